// One segment of an open log, and the list of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/log/log_state.h"
#include "engine/log/open_segment.h"
#include "engine/log/sealed_index.h"
#include "engine/log/segment_files.h"
#include "engine/log/tail_index.h"

namespace keelson::log {

/// A segment as readers know it. Thread-safe.
///
/// It is open for writing at first, with its file and its index held. Once the next segment has
/// taken over, `used_end` is fixed and nothing of it changes any more. When it is sealed it lets go
/// of both: from then on it is opened when it is read, and takes a few hundred bytes of memory.
/// Later it may be compressed, or removed by retention: then its index stays, so that what was in
/// it is still known to have been.
class Segment {
 public:
  /// The segment that is written, with an empty index.
  Segment(const SegmentContext& context, LogPoint start, std::shared_ptr<const SegmentFile> file);
  /// A sealed segment, with its index beside it.
  Segment(const SegmentContext& context, LogPoint start, std::string path, std::uint64_t used_end,
          SegmentForm form);

  [[nodiscard]] const LogPoint& start() const { return start_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Where its batches end; `kStillWritten` while it is the one that is written.
  [[nodiscard]] std::uint64_t used_end() const { return used_end_.load(std::memory_order_acquire); }
  static constexpr std::uint64_t kStillWritten = UINT64_MAX;

  /// Its bytes and its index, opened if need be; of a removed segment the index alone.
  /// @error corruption  a file is gone, or shorter than its batches, or the index damaged.
  /// @error unsupported_format  the file or its index is of another format.
  [[nodiscard]] Result<std::shared_ptr<const OpenSegment>> open() const;

  [[nodiscard]] bool sealed() const { return tail_index() == nullptr; }
  [[nodiscard]] SegmentForm form() const;
  [[nodiscard]] bool removed() const { return form() == SegmentForm::removed; }
  /// Where its index is, once it is sealed.
  [[nodiscard]] std::string index_file() const;
  /// What its index belongs to. Once `used_end` is fixed.
  [[nodiscard]] SegmentId id() const {
    return {context_.identity, start_.next_batch, start_.end, used_end()};
  }

  /// The index while it grows; nullptr once the segment is sealed. For the publisher.
  [[nodiscard]] std::shared_ptr<TailIndex> tail_index() const;

  /// The next segment takes over. By the writer, before the first batch of the next is published.
  void fix_end(std::uint64_t used_end) { used_end_.store(used_end, std::memory_order_release); }
  /// It is the one that is written again: those after it have been removed, unpublished.
  void write_on() { used_end_.store(kStillWritten, std::memory_order_release); }
  /// Its index has been written: lets go of the one in memory, and of one that was read before.
  void seal();
  /// It is there in another form once `on_disk` has succeeded, during which nobody opens it. Who
  /// has it open may read on. Any error: that of `on_disk`, and nothing has changed.
  [[nodiscard]] Result<void> change(SegmentForm form, const std::function<Result<void>()>& on_disk);
  /// It is no part of the log any more, which has been given another beginning: who opens it finds
  /// it removed.
  void retire();
  /// Whether a reader has found its index damaged.
  [[nodiscard]] bool index_damaged() const;
  /// Serves `open` in place of what is on disk, until it is sealed or the log closed.
  void hold(std::shared_ptr<const OpenSegment> open);

 private:
  void forget_open();  ///< with the mutex held

  const SegmentContext& context_;
  const LogPoint start_;
  const std::string path_;
  std::atomic<std::uint64_t> used_end_;
  mutable std::mutex mutex_;
  std::shared_ptr<TailIndex> tail_index_;
  std::shared_ptr<const OpenSegment> held_;  ///< until it is sealed
  mutable std::weak_ptr<const OpenSegment> opened_;
  mutable bool index_damaged_ = false;  ///< so badly that it could not be opened
  SegmentForm form_ = SegmentForm::plain;
  bool retired_ = false;
};

/// The segments of a log, oldest first. Thread-safe; its lock is held for a copy of a pointer, and
/// taken by the writer only when a segment is full.
class SegmentList {
 public:
  using Segments = std::vector<std::shared_ptr<Segment>>;

  [[nodiscard]] std::shared_ptr<const Segments> all() const;
  /// Adds the newest; in place of the last one when that starts at the same batch, so is empty.
  void add(std::shared_ptr<Segment> segment);
  /// Drops all after the first `count`. Who reads them may read on.
  void keep(std::size_t count);
  /// Puts `segments` in the place of all there are, which are returned.
  std::shared_ptr<const Segments> replace(Segments segments);

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
