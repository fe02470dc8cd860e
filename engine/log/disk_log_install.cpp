// Giving the log another beginning, and telling another replica how this one begins.
#include <algorithm>
#include <mutex>
#include <utility>

#include "engine/log/disk_log.h"
#include "engine/log/log_format.h"
#include "engine/log/past_segments.h"
#include "engine/log/segment_grouping.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

BatchNo DiskLog::first_batch() const {
  const auto segments = log_.segments.all();
  return (*segments)[removed_]->start().next_batch;
}

Result<Beginning> DiskLog::beginning(BatchNo segment, std::uint64_t position,
                                     std::uint64_t bytes_max) const {
  const auto found = segment_starting_at(*log_.segments.all(), segment);
  if (found == nullptr) return Beginning();
  KEELSON_TRY_ASSIGN(const auto open, found->open());
  if (!open->removed()) {
    KEELSON_TRY(open->file().need(0, kSegmentHeaderBytes));
    std::string header(open->file().bytes.substr(0, kSegmentHeaderBytes));
    KEELSON_TRY(open->file().check_read(0, kSegmentHeaderBytes));
    return Beginning{{}, std::move(header)};
  }
  KEELSON_TRY_ASSIGN(std::shared_ptr<io::File> file,
                     files_.open(past_path(found->path()), io::OpenMode::read));
  RemovedPiece piece{segment, position, 0, {}, {}};
  KEELSON_TRY_ASSIGN(piece.file_bytes, file->size());
  // The one that the first pieces came from was another: from the beginning.
  if (position >= piece.file_bytes) piece.position = 0;
  const std::uint64_t length = std::min(piece.file_bytes - piece.position, bytes_max);
  piece.region =
      io::FileRegion{std::move(file), piece.position, static_cast<std::uint32_t>(length)};
  return Beginning{std::move(piece), {}};
}

std::uint64_t DiskLog::bytes_from(BatchNo batch) const {
  const auto segments = log_.segments.all();
  std::uint64_t bytes = 0;
  for (std::size_t i = segments->size() - 1; i-- > removed_;) {
    if ((*segments)[i + 1]->start().next_batch <= batch) break;
    bytes += (*segments)[i]->used_end();
  }
  return bytes;
}

Result<void> DiskLog::take_removed(const RemovedPiece& piece) {
  if (const auto& failed = writer_->failure()) return std::unexpected(*failed);
  last_cut_.reset();
  auto taken = install_.take(piece);
  if (const auto& failed = install_.failure()) writer_->fail_for_good(*failed);
  return taken;
}

Result<void> DiskLog::begin_at(std::string_view header) {
  if (const auto& failed = writer_->failure()) return std::unexpected(*failed);
  const auto made = install_.make_start(header);
  if (const auto& failed = install_.failure()) writer_->fail_for_good(*failed);
  if (!made) return std::unexpected(made.error());
  const SegmentHeader& start = *made;
  if (start.start.point.next_batch < publishing_.next_batch) {
    return fail(Errc::corruption, folder_ + ": the log is to begin at batch " +
                                      std::to_string(start.start.point.next_batch.value) +
                                      ", and what is committed here ends at " +
                                      std::to_string(publishing_.next_batch.value));
  }
  // Of what is not known to be committed this log may have something that no other has.
  KEELSON_TRY(copy_from(publishing_.next_batch));
  // No segment is sealed, compressed, grouped, repaired or removed meanwhile.
  const std::scoped_lock lock(sealing_mutex_, compressing_mutex_, grouping_mutex_, repair_mutex_);
  auto done = mark_install(files_, folder_, identity_, start.start.point.next_batch);
  if (!done && done.error().code == Errc::disk_full) {
    KEELSON_TRY_ASSIGN(const bool marked, has_install_mark(files_, folder_));
    if (!marked) return done;
  }
  if (done) done = finish_install(files_, folder_, identity_);
  if (done) done = start_over(start);
  // What of it is there a start finds out: this process cannot go on with either log.
  if (!done) writer_->fail_for_good(done.error());
  return done;
}

/// In memory what `finish_install` has made on disk. What the old log's readers are at they read
/// on; what they look for next they do not find.
Result<void> DiskLog::start_over(const SegmentHeader& start) {
  const LogPoint& point = start.start.point;
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  KEELSON_TRY_ASSIGN(const Past past, read_past(files_, folder_, identity_, names));
  if (past.end.next_batch != point.next_batch || past.end.end != point.end) {
    return fail(Errc::corruption, folder_ + ": what was removed ends at batch " +
                                      std::to_string(past.end.next_batch.value) +
                                      ", and the log is to begin at " +
                                      std::to_string(point.next_batch.value));
  }
  KEELSON_TRY_ASSIGN(auto file,
                     SegmentFile::open(files_, folder_ + "/" + segment_name(point.next_batch),
                                       io::OpenMode::read_write));
  KEELSON_TRY(install_.resume(point));
  SegmentList::Segments segments = past_segments(past);
  const auto first = std::make_shared<Segment>(log_.context, point, file);
  segments.push_back(first);
  removed_ = past.segments.size();
  log_.groups.clear();
  const auto old = log_.segments.replace(std::move(segments));
  for (const auto& segment : *old) segment->retire();
  KEELSON_TRY(open_groups(log_, folder_, names));
  sealed_bytes_ = 0;
  sealable_ = 0;
  groupable_ = next_group(log_).has_value();
  compressible_ = false;
  to_delete_.clear();
  deletion_due_ = false;
  writer_->start_over(start.start, std::move(file));
  KEELSON_TRY_ASSIGN(publishing_.open, first->open());  // held
  publishing_.segment = first;
  publishing_.index = first->tail_index();
  publishing_.position = kSegmentHeaderBytes;
  publishing_.next_batch = point.next_batch;
  publishing_.end = point.end;
  published_ = point.next_batch.value;
  log_.start_offset.store(point.end.value, std::memory_order_release);
  log_.beginnings.fetch_add(1, std::memory_order_release);
  log_.end_offset.store(point.end.value, std::memory_order_release);
  return {};
}

}  // namespace keelson::log
