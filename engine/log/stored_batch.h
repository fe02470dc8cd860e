// A batch where it lies: in the bytes of a segment.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/log/batch.h"

namespace keelson::log {

/// A batch in a mapped segment.
struct StoredBatch {
  BatchHeader header;
  std::uint64_t position = 0;
  std::string_view bytes;  ///< header, body and padding

  [[nodiscard]] std::string_view body() const { return bytes.substr(kBatchHeaderBytes); }
};

}  // namespace keelson::log
