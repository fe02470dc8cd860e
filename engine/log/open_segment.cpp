#include "engine/log/open_segment.h"

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

OpenSegments::OpenSegments(std::size_t segments_max) : segments_max_(segments_max) {
  KEELSON_ASSERT(segments_max > 0);
}

void OpenSegments::keep(std::shared_ptr<const Opened> opened) {
  // What is dropped is unmapped after the lock is let go: that takes a while.
  const std::lock_guard lock(mutex_);
  opened->used_.store(clock_++, std::memory_order_relaxed);
  if (held_.size() < segments_max_) {
    held_.push_back(std::move(opened));
    return;
  }
  const auto oldest = std::ranges::min_element(
      held_, {}, [](const auto& held) { return held->used_.load(std::memory_order_relaxed); });
  oldest->swap(opened);
}

std::size_t OpenSegments::size() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

}  // namespace keelson::log
