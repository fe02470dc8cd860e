// Retention: removing the oldest segments, and finding at a start those that are removed.
//
// A segment is removed by giving its index another name, durably, and then deleting the segment.
// The name says that the segment is meant to be gone: a crash between the two steps is finished by
// the next start, and a segment that is gone without it has been lost. Neither step needs room on
// the disk, so retention can free a full one.
#include <memory>
#include <mutex>
#include <utility>

#include "engine/log/disk_log.h"
#include "engine/log/past_segments.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

Retention DiskLog::retention() const {
  const std::lock_guard lock(retention_mutex_);
  return retention_;
}

void DiskLog::set_retention(Retention retention) {
  const std::lock_guard lock(retention_mutex_);
  retention_ = retention;
}

bool DiskLog::retention_due(TimeUs now) const {
  return deletion_due_ || oldest_expired(now) != nullptr;
}

/// The oldest segment that is kept, if it is to be removed.
std::shared_ptr<Segment> DiskLog::oldest_expired(TimeUs now) const {
  const Retention kept = retention();
  if (kept.keeps_all()) return nullptr;
  const auto segments = log_.segments.all();
  const std::size_t oldest = removed_;
  if (oldest + 1 >= segments->size()) return nullptr;
  const auto& segment = (*segments)[oldest];
  const LogPoint& next = (*segments)[oldest + 1]->start();
  if (!segment->sealed() || next.end.value >= kept_from_) return nullptr;
  const Retention::Oldest found{segment->used_end(), next.last_time, now};
  return kept.expires(found, sealed_bytes_) ? segment : nullptr;
}

Result<void> DiskLog::retain(TimeUs now) {
  // No index is repaired meanwhile: its segment would be needed for that.
  const std::lock_guard lock(repair_mutex_);
  KEELSON_TRY(delete_removed());
  while (const auto segment = oldest_expired(now)) {
    KEELSON_TRY(remove(*segment, (*log_.segments.all())[removed_ + 1]->start()));
  }
  return {};
}

/// Deletes the files of removed segments, after their indexes' new names have been made durable.
Result<void> DiskLog::delete_removed() {
  if (to_delete_.empty()) return {};
  KEELSON_TRY(files_.sync_folder(folder_));
  while (!to_delete_.empty()) {
    KEELSON_TRY(files_.remove(to_delete_.back()));
    to_delete_.pop_back();
  }
  deletion_due_ = false;
  return {};
}

Result<void> DiskLog::remove(Segment& segment, const LogPoint& next) {
  const std::string index_file = index_path(segment.path());
  // From now on nothing can make the index again. So it is made again now if that is needed.
  const auto check = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto index, load_index(files_, index_file, segment.id()));
    return index->check_all();
  };
  if (auto good = check(); !good) {
    if (good.error().code == Errc::io_error) return good;
    KEELSON_TRY(repair_index(segment, next));
    KEELSON_TRY(check());
  }
  const std::string file = segment_file(segment.path(), segment.form());
  KEELSON_TRY(segment.change(SegmentForm::removed,
                             [&] { return files_.rename(index_file, past_path(segment.path())); }));
  sealed_bytes_ -= segment.used_end();
  ++removed_;
  log_.start_offset.store(next.end.value, std::memory_order_release);
  // If this fails it is tried again; a start after a crash finds the segment as it was, or
  // finishes.
  to_delete_.push_back(file);
  deletion_due_ = true;
  return delete_removed();
}

SegmentList::Segments DiskLog::past_segments(const Past& past) const {
  SegmentList::Segments segments;
  for (const PastSegment& segment : past.segments) {
    segments.push_back(std::make_shared<Segment>(log_.context, segment.start, segment.path,
                                                 segment.used_end, SegmentForm::removed));
  }
  return segments;
}

/// Puts what is removed in front of the list of segments.
void DiskLog::take_past(const Past& past) {
  for (auto& segment : past_segments(past)) log_.segments.add(std::move(segment));
  removed_ = past.segments.size();
  log_.start_offset = past.end.end.value;
}

/// Finishes what a crash cut short.
Result<void> DiskLog::remove_leftovers(const Past& past) {
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  bool removed = false;
  for (const SegmentOnDisk& segment : find_segments(names)) {
    if (!past.contains(segment.first_batch)) continue;
    for (const SegmentForm form : {SegmentForm::plain, SegmentForm::compressed}) {
      const std::string file = folder_ + "/" + segment_file(segment.name, form);
      KEELSON_TRY_ASSIGN(const bool there, files_.exists(file));
      if (there) KEELSON_TRY(files_.remove(file));
    }
    removed = true;
  }
  return removed ? files_.sync_folder(folder_) : Result<void>();
}

}  // namespace keelson::log
