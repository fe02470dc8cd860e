// How bytes of the log are compressed.
#pragma once

#include <cstdint>

namespace keelson::log {

/// The numbers are those of a batch's header.
enum class Codec : std::uint8_t { none = 0, zstd = 1 };

}  // namespace keelson::log
