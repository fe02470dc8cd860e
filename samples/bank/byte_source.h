// The bytes of an input: a file or standard input, plain or compressed with zstd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/base/result.h"

namespace bank {

using keelson::Result;

/// A stream of bytes, read once from front to back. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills the front of `buffer`, which is not empty; 0 only at the end.
  /// @error io_error  the operating system refused. @error corruption  a broken zstd frame.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<char> buffer) = 0;

  /// How much of the input is used up, from 0 to 1; nothing when its size is unknown (a pipe).
  [[nodiscard]] virtual std::optional<double> fraction_read() const { return std::nullopt; }
};

/// Opens `path`, or standard input for `-`. What begins with the magic number of zstd is
/// decompressed while it is read, whatever its name; memory stays bounded (a frame asking for a
/// window over 128 MiB is refused).
/// @error not_found, io_error
[[nodiscard]] Result<std::unique_ptr<ByteSource>> open_byte_source(const std::string& path);

}  // namespace bank
