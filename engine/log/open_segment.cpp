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
  segment->faults = &segment->file->faults();
  segment->path = std::move(path);
  return segment;
}

Result<std::shared_ptr<SegmentFile>> SegmentFile::open_form(
    io::FileSystem& files, const std::string& path, SegmentForm form,
    std::weak_ptr<OpenSegments> open_segments) {
  if (form == SegmentForm::plain) return open(files, path, io::OpenMode::read);
  auto segment = std::make_shared<SegmentFile>();
  segment->path = segment_file(path, form);
  segment->open_segments = std::move(open_segments);
  KEELSON_TRY_ASSIGN(auto file, files.open(segment->path, io::OpenMode::read));
  auto compressed = CompressedSegment::open(std::move(file));
  if (!compressed) {
    return fail(compressed.error().code, segment->path + ": " + compressed.error().context);
  }
  segment->compressed = *std::move(compressed);
  segment->bytes = segment->compressed->bytes();
  return segment;
}

Result<void> SegmentFile::decompress(std::uint64_t position, std::uint64_t length) const {
  const std::uint64_t before = compressed->inflated_bytes();
  if (auto done = compressed->need(position, length); !done) {
    return fail(done.error().code, path + ": " + done.error().context);
  }
  if (compressed->inflated_bytes() != before) {
    if (const auto bound = open_segments.lock()) bound->shrink();
  }
  return {};
}

Result<void> SegmentFile::find_fault(std::uint64_t position, std::uint64_t length) const {
  const auto byte = faults->first_in(position, length);
  if (!byte) return {};
  return fail(Errc::corruption, path + " at byte " + std::to_string(*byte) +
                                    ": the disk cannot read it, or it has been cut off");
}

OpenSegments::OpenSegments(std::size_t segments_max, std::uint64_t memory_bytes_max)
    : segments_max_(segments_max), memory_bytes_max_(memory_bytes_max) {
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

void OpenSegments::drop(const Opened& opened) {
  std::shared_ptr<const Opened> dropped;  // destroyed after the lock is let go
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(held_, &opened, [](const auto& held) { return held.get(); });
  if (found == held_.end()) return;
  dropped = std::move(*found);
  *found = std::move(held_.back());
  held_.pop_back();
}

void OpenSegments::shrink() {
  std::vector<std::shared_ptr<const Opened>> dropped;  // destroyed after the lock is let go
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& held : held_) bytes += held->memory_bytes();
  while (bytes > memory_bytes_max_ && held_.size() > 1) {
    const auto used = [](const auto& held) {
      // What takes no memory is let go of last.
      return std::pair(held->memory_bytes() == 0, held->used_.load(std::memory_order_relaxed));
    };
    const auto oldest = std::ranges::min_element(held_, {}, used);
    bytes -= std::min(bytes, (*oldest)->memory_bytes());
    dropped.push_back(std::move(*oldest));
    *oldest = std::move(held_.back());
    held_.pop_back();
  }
}

std::uint64_t OpenSegments::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& held : held_) bytes += held->memory_bytes();
  return bytes;
}

std::size_t OpenSegments::size() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

}  // namespace keelson::log
