// One segment of an open log, and the list of them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/log_state.h"
#include "engine/log/tail_index.h"

namespace keelson::log {

/// An open segment file, mapped. Whoever holds it may read it, also after retention has removed the
/// file's name.
struct SegmentFile {
  std::string path;
  std::unique_ptr<io::File> file;
  std::string_view bytes;  ///< all of it; unused bytes are zero

  [[nodiscard]] static Result<std::shared_ptr<SegmentFile>> open(io::FileSystem& files,
                                                                 std::string path,
                                                                 io::OpenMode mode);
};

/// Segment files that were read lately, so that a reader seldom has to open one and the number of
/// open files stays bounded. Thread-safe.
class SegmentFileCache {
 public:
  void keep(std::shared_ptr<const SegmentFile> file);

 private:
  static constexpr std::size_t kFiles = 64;
  std::mutex mutex_;
  std::array<std::shared_ptr<const SegmentFile>, kFiles> ring_;
  std::size_t next_ = 0;
};

/// A segment as readers know it. Thread-safe.
///
/// It is open for writing at first, with its file held open. Once the next segment has taken over,
/// `used_end` is fixed and nothing of it changes any more; its file is then opened when it is read.
class Segment {
 public:
  /// The segment that is written, with an empty index.
  Segment(io::FileSystem& files, LogPoint start, std::shared_ptr<SegmentFile> file);
  /// A segment that another one follows.
  Segment(io::FileSystem& files, LogPoint start, std::string path, std::uint64_t used_end,
          std::shared_ptr<const SegmentIndex> index);

  [[nodiscard]] const LogPoint& start() const { return start_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Where its batches end; `kStillWritten` while it is the one that is written.
  [[nodiscard]] std::uint64_t used_end() const { return used_end_.load(std::memory_order_acquire); }
  static constexpr std::uint64_t kStillWritten = UINT64_MAX;

  /// The file, opened if need be.
  [[nodiscard]] Result<std::shared_ptr<const SegmentFile>> file(SegmentFileCache& cache) const;

  [[nodiscard]] std::shared_ptr<const SegmentIndex> index() const;
  /// The index while it grows; nullptr once the segment is sealed. For the publisher.
  [[nodiscard]] std::shared_ptr<TailIndex> tail_index() const;

  /// The next segment takes over. By the writer, before the first batch of the next is published.
  void fix_end(std::uint64_t used_end) { used_end_.store(used_end, std::memory_order_release); }
  /// Takes the finished index and lets go of the file: from now on it is opened when it is read.
  void seal(std::shared_ptr<const SegmentIndex> index);
  /// Takes another index of the same batches, in place of a damaged one.
  void replace_index(std::shared_ptr<const SegmentIndex> index);

 private:
  io::FileSystem& files_;
  const LogPoint start_;
  const std::string path_;
  std::atomic<std::uint64_t> used_end_;
  mutable std::mutex mutex_;
  std::shared_ptr<const SegmentFile> held_;
  std::shared_ptr<TailIndex> tail_index_;
  std::shared_ptr<const SegmentIndex> index_;
  mutable std::weak_ptr<const SegmentFile> opened_;
};

/// The segments of a log, oldest first. Thread-safe; its lock is held for a copy of a pointer, and
/// taken by the writer only when a segment is full.
class SegmentList {
 public:
  using Segments = std::vector<std::shared_ptr<Segment>>;

  [[nodiscard]] std::shared_ptr<const Segments> all() const;
  /// Adds the newest; in place of the last one when that starts at the same batch, so is empty.
  void add(std::shared_ptr<Segment> segment);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Segments> segments_ = std::make_shared<Segments>();
};

/// The segment of `segments` in which an event with `offset` lies if there is one; `offset` must
/// not be below the first's start.
[[nodiscard]] const std::shared_ptr<Segment>& segment_of(const SegmentList::Segments& segments,
                                                         Offset offset);

/// The segment whose first batch is `batch`, or nullptr.
[[nodiscard]] std::shared_ptr<Segment> segment_starting_at(const SegmentList::Segments& segments,
                                                           BatchNo batch);

}  // namespace keelson::log
