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
/// makes it a segment. Thread-safe, so that it can be made beside the writer, and made in slices: a
/// disk that is given a whole segment of zeros at once lets every sync of the log wait for it.
///
/// Crash: `next.tmp` is never looked at again; `open` removes it. A file gets a segment's name only
/// when its header is durable, so a segment's header that cannot be read is corruption always.
class SegmentSupply {
 public:
  SegmentSupply(io::FileSystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  /// Removes what a crash left behind.
  [[nodiscard]] Result<void> clean();

  [[nodiscard]] bool ready() const { return ready_.load(); }

  /// Makes one more slice of the next file, unless it has `capacity` bytes: then it is ready.
  /// @error disk_full, io_error  there is none then, and nothing is left of the attempt.
  [[nodiscard]] Result<void> prepare(std::uint64_t capacity);

  /// Turns the next file, all that is missing made now, into the segment that starts at
  /// `header.start`. It has `header.capacity` bytes, whatever was prepared. Durable but for its
  /// name: the caller syncs the folder.
  /// @error disk_full, io_error  there is no such segment.
  [[nodiscard]] Result<std::shared_ptr<SegmentFile>> take(const SegmentHeader& header);

 private:
  // With the mutex held.
  [[nodiscard]] Result<void> grow_to(std::uint64_t bytes);
  [[nodiscard]] Result<std::shared_ptr<SegmentFile>> turn_into(const SegmentHeader& header);
  void discard();
  void forget();
  [[nodiscard]] std::string next_path() const;

  io::FileSystem& files_;
  const std::string folder_;
  std::mutex mutex_;                ///< held while a slice is made
  std::unique_ptr<io::File> file_;  ///< `next.tmp`; null: there is none
  std::uint64_t bytes_ = 0;         ///< of it, all durable
  std::atomic<bool> ready_ = false;
};

}  // namespace keelson::log
