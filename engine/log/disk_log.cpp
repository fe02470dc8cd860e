#include "engine/log/disk_log.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/log/index_feed.h"
#include "engine/log/log_cursor.h"
#include "engine/log/log_format.h"
#include "engine/log/log_lookup.h"
#include "engine/log/segment_grouping.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

namespace {

/// Full segments that may wait for `maintain` before the writer does it itself.
constexpr std::uint32_t kSealableMax = 2;

/// Below that of any machine.
constexpr std::size_t kPageBytes = 4096;

/// The batch at `position`, which was written moments ago. In memory the file may show zeros in its
/// place, if a page of it could not be read earlier: then it is read by a call.
/// @param copy  for what it shows then.
Result<StoredBatch> written_batch(const SegmentFile& file, std::uint64_t position,
                                  ChecksumSeed seed, std::string& copy) {
  auto batch = batch_at(file, position, seed);
  if (batch) {
    [[maybe_unused]] volatile char touched = batch->bytes.back();
    for (std::size_t at = 0; at < batch->bytes.size(); at += kPageBytes) touched = batch->bytes[at];
    if (file.check_read(position, batch->bytes.size())) return batch;
  }
  if (!file.faults->any()) return batch;
  KEELSON_TRY_ASSIGN(copy, file.file->read_at(position, kBatchHeaderBytes));
  KEELSON_TRY_ASSIGN(const BatchHeader header, decode_batch_header(copy, seed));
  KEELSON_TRY_ASSIGN(copy, file.file->read_at(position, header.padded_bytes()));
  return StoredBatch{header, position, copy};
}

}  // namespace

DiskLog::DiskLog(io::FileSystem& files, std::string folder, const Uuid& identity,
                 LogOptions options)
    : files_(files),
      folder_(std::move(folder)),
      identity_(identity),
      options_(options),
      log_({files, identity,
            options.open_segments ? options.open_segments : std::make_shared<OpenSegments>()}),
      install_(files, folder_, identity),
      retention_(options.retention) {
  log_.repair_indexes = [this](std::uint64_t before) { return repair_indexes(before); };
}

Result<BatchNo> DiskLog::append(const BatchDraft& draft) {
  seal_overdue();
  return writer_->append(draft);
}

/// Nobody has called `maintain` for long: do it here, so that indexes in memory stay few. If it
/// fails nothing is lost; a full disk will show in the append as well.
void DiskLog::seal_overdue() {
  if (sealable_ > kSealableMax) [[maybe_unused]]
    const auto done = seal_full();
}

Result<void> DiskLog::sync() { return writer_->sync(); }

void DiskLog::publish(BatchNo through) {
  if (through < publishing_.next_batch) return;
  while (publishing_.next_batch <= through) publish_batch();
  published_ = publishing_.next_batch.value;
  log_.end_offset.store(publishing_.end.value, std::memory_order_release);
}

/// Puts the next batch into its segment's index.
void DiskLog::publish_batch() {
  Publishing& p = publishing_;
  if (p.position == p.segment->used_end()) {
    // An empty one has been replaced by one with more room, for a batch that did not fit.
    if (p.position > kSegmentHeaderBytes) ++sealable_;
    p.segment = segment_starting_at(*log_.segments.all(), p.next_batch);
    KEELSON_ASSERT(p.segment != nullptr);
    p.index = p.segment->tail_index();
    auto open = p.segment->open();
    KEELSON_ASSERT(p.index != nullptr && open.has_value());  // not sealed, so held
    p.open = *std::move(open);
    p.position = kSegmentHeaderBytes;
  }
  // Written by this process moments ago. If it does not read back, nothing else may be believed
  // either: the process ends rather than answer from it.
  std::string copy;
  const auto batch = written_batch(p.open->file(), p.position, log_.seed, copy);
  KEELSON_ASSERT(batch.has_value() && batch->header.batch_no == p.next_batch);
  const auto indexed = add_to_index(*p.index, log_.hasher, p.segment->start(), *batch);
  KEELSON_ASSERT(indexed.has_value());
  p.position += batch->header.padded_bytes();
  ++p.next_batch;
  p.end = batch->header.end_offset();
  p.index->publish(static_cast<std::uint32_t>(p.next_batch - p.segment->start().next_batch));
}

Result<std::unique_ptr<LogCursor>> DiskLog::read(Offset from) const {
  if (from > end()) {
    return fail(Errc::beyond_end, "offset " + std::to_string(from.value) + " is past the end, " +
                                      std::to_string(end().value));
  }
  if (from < start()) return removed(log_, "offset " + std::to_string(from.value));
  return std::make_unique<DiskCursor>(log_, from);
}

Result<void> DiskLog::read_stream(const StreamSlice& slice, const Visitor& visit) const {
  StreamSlice left = slice;  // what has been visited is not visited again
  Result<void> seen;         // nor is it right by being read again when it was not
  return repairing(log_, [&] { return seen ? log::read_stream(log_, left, visit, seen) : seen; });
}

Result<Version> DiskLog::stream_version(std::string_view stream, Offset before) const {
  return repairing(log_, [&] { return log::stream_version(log_, stream, before); });
}

Result<std::optional<FoundCommit>> DiskLog::find_command(const CommandKey& key) const {
  return repairing(log_, [&] { return log::find_command(log_, key); });
}

Result<Offset> DiskLog::end_at(TimeUs time) const {
  return repairing(log_, [&] { return log::end_at(log_, time); });
}

bool DiskLog::maintenance_due() const { return sealable_ > 0 || groupable_; }

Result<void> DiskLog::maintain() {
  KEELSON_TRY(seal_full());
  return group_sealed();
}

Result<void> DiskLog::seal_full() {
  const std::lock_guard lock(sealing_mutex_);
  if (sealable_ == 0) return {};
  const auto segments = log_.segments.all();
  for (const auto& segment : *segments) {
    if (sealable_ == 0) break;
    if (segment->sealed()) continue;
    KEELSON_ASSERT(segment->used_end() != Segment::kStillWritten);
    KEELSON_TRY(seal(*segment));
  }
  return {};
}

/// Makes one group's filter if there is one to be made. Without it look-ups take longer, no more.
Result<void> DiskLog::group_sealed() {
  const std::unique_lock lock(grouping_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return {};
  // First, so that a segment sealed meanwhile is not overlooked. After a failure it stays so until
  // the next segment is sealed: a filter is not worth trying for after each batch.
  groupable_ = false;
  const auto group = next_group(log_);
  if (!group) return {};
  KEELSON_TRY_ASSIGN(auto made, repairing(log_, [&] { return make_group(log_, folder_, *group); }));
  log_.groups.add(std::move(made));
  if (next_group(log_)) groupable_ = true;
  return {};
}

/// Seals the oldest segment that is not yet: with `sealable_` above 0 it is full and published.
Result<void> DiskLog::seal(Segment& segment) {
  const SegmentId id{identity_, segment.start().next_batch, segment.start().end,
                     segment.used_end()};
  KEELSON_TRY(seal_segment(files_, segment.path(), *segment.tail_index(), id));
  sealed_bytes_ += segment.used_end();  // first: retention counts what is sealed
  segment.seal();
  --sealable_;
  groupable_ = true;
  compressible_ = options_.sealed_codec == Codec::zstd;
  return {};
}

}  // namespace keelson::log
