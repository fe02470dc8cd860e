// Makes segment files ahead of need.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/segment.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

/// Owns the file `next.tmp`: allocated, written with zeros and durable, waiting for the header that
/// makes it a segment. Thread-safe, so that it can be made beside the writer.
///
/// Crash: `next.tmp` is never looked at again; `open` removes it. A file gets a segment's name only
/// when its header is durable, so a segment's header that cannot be read is corruption always.
class SegmentSupply {
 public:
  SegmentSupply(io::FileSystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  /// Removes what a crash left behind.
  [[nodiscard]] Result<void> clean();

  [[nodiscard]] bool ready() const { return ready_bytes_.load() != 0; }

  /// Makes the next file with at least `capacity` bytes, unless there is one.
  /// @error disk_full, io_error  there is none then, and nothing is left of the attempt.
  [[nodiscard]] Result<void> prepare(std::uint64_t capacity);

  /// Turns the next file, made now if need be, into the segment that starts at `header.start`. It
  /// has at least `header.capacity` bytes. Durable but for its name: the caller syncs the folder.
  /// @error disk_full, io_error  there is no such segment.
  [[nodiscard]] Result<std::shared_ptr<SegmentFile>> take(SegmentHeader header);

 private:
  // With the mutex held.
  [[nodiscard]] Result<void> make(std::uint64_t capacity);
  [[nodiscard]] Result<std::shared_ptr<SegmentFile>> turn_into(const SegmentHeader& header);
  void discard();
  [[nodiscard]] std::string next_path() const;

  io::FileSystem& files_;
  const std::string folder_;
  std::mutex mutex_;                            ///< held while a file is made
  std::atomic<std::uint64_t> ready_bytes_ = 0;  ///< size of `next.tmp`; 0: there is none
};

}  // namespace keelson::log
