#include "engine/log/segment.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace keelson::log {

Result<std::shared_ptr<SegmentFile>> SegmentFile::open(io::FileSystem& files, std::string path,
                                                       io::OpenMode mode) {
  auto segment = std::make_shared<SegmentFile>();
  KEELSON_TRY_ASSIGN(segment->file, files.open(path, mode));
  KEELSON_TRY_ASSIGN(segment->bytes, segment->file->view());
  segment->path = std::move(path);
  return segment;
}

void SegmentFileCache::keep(std::shared_ptr<const SegmentFile> file) {
  const std::lock_guard lock(mutex_);
  ring_[next_].swap(file);
  next_ = (next_ + 1) % kFiles;
}

Segment::Segment(io::FileSystem& files, LogPoint start, std::shared_ptr<SegmentFile> file)
    : files_(files),
      start_(start),
      path_(file->path),
      used_end_(kStillWritten),
      held_(std::move(file)),
      tail_index_(std::make_shared<TailIndex>(held_->bytes.size())),
      index_(tail_index_) {}

Segment::Segment(io::FileSystem& files, LogPoint start, std::string path, std::uint64_t used_end,
                 std::shared_ptr<const SegmentIndex> index)
    : files_(files),
      start_(start),
      path_(std::move(path)),
      used_end_(used_end),
      index_(std::move(index)) {}

std::shared_ptr<const SegmentIndex> Segment::index() const {
  const std::lock_guard lock(mutex_);
  return index_;
}

std::shared_ptr<TailIndex> Segment::tail_index() const {
  const std::lock_guard lock(mutex_);
  return tail_index_;
}

Result<std::shared_ptr<const SegmentFile>> Segment::file(SegmentFileCache& cache) const {
  const std::lock_guard lock(mutex_);
  if (held_) return held_;
  if (auto open = opened_.lock()) return open;
  KEELSON_TRY_ASSIGN(std::shared_ptr<const SegmentFile> file,
                     SegmentFile::open(files_, path_, io::OpenMode::read));
  if (file->bytes.size() < used_end()) {
    return fail(Errc::corruption, path_ + " ends at byte " + std::to_string(file->bytes.size()) +
                                      ", its batches at " + std::to_string(used_end()));
  }
  opened_ = file;
  cache.keep(file);
  return file;
}

void Segment::seal(std::shared_ptr<const SegmentIndex> index) {
  const std::lock_guard lock(mutex_);
  index_ = std::move(index);
  tail_index_.reset();
  opened_ = held_;
  held_.reset();
}

void Segment::replace_index(std::shared_ptr<const SegmentIndex> index) {
  const std::lock_guard lock(mutex_);
  index_ = std::move(index);
}

std::shared_ptr<const SegmentList::Segments> SegmentList::all() const {
  const std::lock_guard lock(mutex_);
  return segments_;
}

void SegmentList::add(std::shared_ptr<Segment> segment) {
  const std::lock_guard lock(mutex_);
  auto changed = std::make_shared<Segments>(*segments_);
  if (!changed->empty() && changed->back()->start().next_batch == segment->start().next_batch) {
    changed->pop_back();
  }
  changed->push_back(std::move(segment));
  segments_ = std::move(changed);
}

const std::shared_ptr<Segment>& segment_of(const SegmentList::Segments& segments, Offset offset) {
  // The last one that starts at or before it: those before with the same start hold no events.
  const auto after = std::upper_bound(
      segments.begin(), segments.end(), offset,
      [](Offset o, const std::shared_ptr<Segment>& segment) { return o < segment->start().end; });
  KEELSON_ASSERT(after != segments.begin());
  return *std::prev(after);
}

std::shared_ptr<Segment> segment_starting_at(const SegmentList::Segments& segments, BatchNo batch) {
  const auto at = std::lower_bound(segments.begin(), segments.end(), batch,
                                   [](const std::shared_ptr<Segment>& segment, BatchNo b) {
                                     return segment->start().next_batch < b;
                                   });
  const bool found = at != segments.end() && (*at)->start().next_batch == batch;
  return found ? *at : nullptr;
}

}  // namespace keelson::log
