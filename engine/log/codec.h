// How bytes of the log are compressed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace keelson::log {

/// The numbers are those of a batch's header.
enum class Codec : std::uint8_t { none = 0, zstd = 1 };

/// Compresses the bodies of batches. Keeps its memory; for one thread.
class BodyCompressor {
 public:
  BodyCompressor();
  ~BodyCompressor();

  /// `body` compressed, or nothing when that would save less than an eighth. Valid until the next
  /// call. About 400 MB/s.
  [[nodiscard]] std::optional<std::string_view> compress(std::string_view body);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  std::string compressed_;
};

/// The body that `stored` was made of, which may be followed by padding.
/// @param body_bytes_max  what a body has at most.
/// @error corruption  damaged, or longer.
[[nodiscard]] Result<std::string> decompress_body(std::string_view stored,
                                                  std::uint64_t body_bytes_max);

}  // namespace keelson::log
