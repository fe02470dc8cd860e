// A sealed segment in less room: the same bytes, as zstd frames.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/io/file_system.h"

namespace keelson::log {

/// Reads what `compress_segment` wrote: gives the segment's bytes, frame by frame as they are
/// needed. Memory: the frames that have been needed, until it is destroyed. Thread-safe.
///
/// The file is what `zstd` and other tools decompress to the segment, byte by byte. Its layout is
/// in docs/log-format.md, "Compressed".
class CompressedSegment {
 public:
  /// Reads the table of frames at the end of `file`.
  /// @error corruption  it is not one, or does not fit the file. @error overloaded  no memory.
  [[nodiscard]] static Result<std::unique_ptr<CompressedSegment>> open(
      std::unique_ptr<io::File> file);

  /// All of the segment. Only what `need` has provided may be read.
  [[nodiscard]] std::string_view bytes() const { return {memory_.get(), size_}; }
  /// Provides [position, position + length) of the segment, as far as it has that.
  /// @error corruption  a frame is damaged; context has its byte in the file.
  [[nodiscard]] Result<void> need(std::uint64_t position, std::uint64_t length) const;
  /// Where in the file the frame begins that holds the byte at `position` of the segment.
  [[nodiscard]] std::uint64_t frame_of(std::uint64_t position) const;
  /// Bytes of memory in use.
  [[nodiscard]] std::uint64_t inflated_bytes() const {
    return inflated_bytes_.load(std::memory_order_relaxed);
  }

 private:
  /// Where a frame lies in the file, and what it holds of the segment.
  struct Frame {
    std::uint64_t file_position = 0;
    std::uint32_t file_bytes = 0;
    std::uint32_t bytes = 0;
    std::uint64_t position = 0;
  };

  CompressedSegment(std::unique_ptr<io::File> file, std::string_view stored,
                    std::vector<Frame> frames, std::unique_ptr<char[]> memory, std::uint64_t size);
  [[nodiscard]] Result<void> inflate(std::size_t frame) const;

  const std::unique_ptr<io::File> file_;
  const std::string_view stored_;
  const std::vector<Frame> frames_;
  const std::uint64_t size_;
  const std::unique_ptr<char[]> memory_;
  const std::unique_ptr<std::atomic<bool>[]> inflated_;  ///< of each frame
  mutable std::atomic<std::uint64_t> inflated_bytes_ = 0;
  mutable std::mutex mutex_;
};

/// Writes the first `bytes` bytes of the segment in `file`, compressed, to `to`, a new file.
/// Durable on return, and read back. Takes about 4 ms of one processor for each MiB, and three MiB
/// of memory.
/// @error disk_full, io_error  a part of `to` may be there, or it is not what `file` is.
[[nodiscard]] Result<void> compress_segment(const io::File& file, std::uint64_t bytes,
                                            io::File& to);

}  // namespace keelson::log
