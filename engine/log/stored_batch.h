// A batch where it lies: in the bytes of a segment.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/log/batch.h"

namespace keelson::log {

/// A batch in a mapped segment.
struct StoredBatch {
  BatchHeader header;
  std::uint64_t position = 0;
  std::string_view bytes;  ///< header, body and padding

  /// As it is stored: compressed or not, padding included.
  [[nodiscard]] std::string_view stored_body() const { return bytes.substr(kBatchHeaderBytes); }
};

/// The commits of a batch: where they lie, or decompressed.
struct OpenBody {
  std::string_view bytes;  ///< may be followed by padding
  /// What `bytes` are in, unless they lie in the log.
  std::shared_ptr<const std::string> decompressed;
};

/// For a batch whose checksum held.
/// @error corruption  it is compressed, and not what its codec makes.
[[nodiscard]] Result<OpenBody> open_body(const StoredBatch& batch);

}  // namespace keelson::log
