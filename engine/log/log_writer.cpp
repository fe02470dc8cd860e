#include "engine/log/log_writer.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/log/segment_creation.h"

namespace keelson::log {

namespace {

/// What is written of zeros ahead of small batches, at a time: so much that few batches in a
/// hundred do, so little that it holds up the one that does by less than a sync takes.
constexpr std::uint64_t kZerosAheadBytes = 256u << 10;
static_assert(LogWriter::kLargeWriteBytes <= kZerosAheadBytes);

/// Where the zeros end that are written ahead of what ends at `position`.
constexpr std::uint64_t zeros_end(std::uint64_t position) {
  return (position / kZerosAheadBytes + 1) * kZerosAheadBytes;
}

/// Checks the frames and counts of `body`.
Result<void> check_frames(const BatchBody& body) {
  BodyReader reader(body.bytes, body.event_count(), body.commit_count);
  while (true) {
    KEELSON_TRY_ASSIGN(const DecodedCommit* const commit, reader.next_commit());
    if (commit == nullptr) return {};
    while (true) {
      KEELSON_TRY_ASSIGN(const DecodedEvent* const event, reader.next_event());
      if (event == nullptr) break;
    }
  }
}

}  // namespace

LogWriter::LogWriter(const SegmentContext& context, std::string folder, Options options,
                     SegmentList& segments, LogState state, Place place, BatchNo floor)
    : context_(context),
      folder_(std::move(folder)),
      seed_(checksum_seed(context.identity)),
      options_(options),
      segments_(segments),
      floor_(floor),
      state_(std::move(state)),
      durable_batches_(state_.point.next_batch),
      last_time_(state_.point.last_time.value),
      last_epoch_(state_.point.last_epoch.value) {
  const std::uint64_t capacity = place.file->bytes.size();
  enter(std::move(place.file), {capacity, place.position, place.entries});
}

void LogWriter::enter(std::shared_ptr<const SegmentFile> file, const SegmentFill& fill) {
  file_ = std::move(file);
  fill_ = fill;
  // Of a segment that was written before, as it would be had small batches been written last; if
  // they were not, some syncs take longer.
  zeroed_end_ = fill_.empty() ? fill_.position : zeros_end(fill_.position);
}

Result<BatchNo> LogWriter::append(const BatchDraft& draft) {
  if (failed_) return std::unexpected(*failed_);
  KEELSON_ASSERT(draft.base_offset == state_.point.end);
  KEELSON_ASSERT(draft.time >= state_.point.last_time);
  KEELSON_ASSERT(draft.epoch >= state_.point.last_epoch);
  if (draft.body.bytes.size() > kBatchBytesMax - kBatchHeaderBytes) {
    return fail(Errc::too_large,
                "a batch of " + std::to_string(draft.body.bytes.size()) + " bytes");
  }
  if (auto checked = check_frames(draft.body); !checked) {
    return fail(Errc::internal,
                "a malformed batch was about to be written: " + checked.error().context);
  }
  BatchHeader header = lay_out(draft);
  const std::uint64_t entries = std::uint64_t{header.event_count} + header.commit_count;
  KEELSON_TRY(tidy());
  KEELSON_TRY(make_room(buffer_.size(), entries));
  KEELSON_TRY(zero_ahead(buffer_.size()));
  // The disk writes a large body while it is hashed. Without its header it is a torn batch.
  const bool large = buffer_.size() >= kLargeWriteBytes;
  if (large) {
    KEELSON_TRY(write(buffer_, kBatchHeaderBytes, buffer_.size()));
    file_->file->begin_sync(fill_.position + kBatchHeaderBytes, buffer_.size() - kBatchHeaderBytes);
  }
  LogState next = complete(header, draft.body.leaves);
  KEELSON_TRY(write(buffer_, 0, large ? kBatchHeaderBytes : buffer_.size()));
  fill_.add(buffer_.size(), entries);
  accept(std::move(next));
  return header.batch_no;
}

/// Writes [first, end) of `batches`, which belong where the segment's batches end. After an error
/// nothing of them is there, or the error says that it may be.
Result<void> LogWriter::write(std::string_view batches, std::size_t first, std::size_t end) {
  auto written = file_->file->write_at(fill_.position + first, batches.substr(first, end - first));
  if (written) return {};
  dirty_end_ = fill_.position + batches.size();
  // At once, so that a crash does not find a batch whole after its writer was told otherwise.
  if (auto cleaned = clean_rest(); !cleaned) {
    return fail(cleaned.error().code, written.error().context + "; " + cleaned.error().context);
  }
  return written;
}

/// Before `bytes` are written where the segment's batches end.
Result<void> LogWriter::zero_ahead(std::uint64_t bytes) {
  const std::uint64_t end = fill_.position + bytes;
  if (end <= zeroed_end_ || bytes >= kLargeWriteBytes) return {};
  const std::uint64_t zeros = std::min(zeros_end(end), fill_.capacity);
  KEELSON_TRY(file_->file->write_zeros(end, zeros - end));
  zeroed_end_ = zeros;
  return {};
}

/// Fills `buffer_` with the batch, but for its header. Changes nothing else: the batch may yet fail
/// to be written.
/// @return of the header what is known so far.
BatchHeader LogWriter::lay_out(const BatchDraft& draft) {
  std::optional<std::string_view> compressed;
  if (options_.codec == Codec::zstd) compressed = compressor_.compress(draft.body.bytes);
  buffer_.assign(kBatchHeaderBytes, '\0');
  buffer_ += compressed ? *compressed : draft.body.bytes;
  BatchHeader header;
  header.kind = draft.kind;
  header.codec = compressed ? Codec::zstd : Codec::none;
  header.length = static_cast<std::uint32_t>(buffer_.size());
  header.event_count = draft.body.event_count();
  header.commit_count = draft.body.commit_count;
  header.batch_no = state_.point.next_batch;
  header.epoch = draft.epoch;
  header.base_offset = draft.base_offset;
  header.time = draft.time;
  buffer_.resize(header.padded_bytes(), '\0');
  return header;
}

/// Puts the header into `buffer_`.
/// @return the log after the batch.
LogState LogWriter::complete(BatchHeader& header, std::span<const Hash> leaves) {
  LogState next = state_;
  for (const Hash& leaf : leaves) next.tree.add_hash(leaf);
  header.durable_batches = durable_batches_;
  header.tree_root = next.tree.root();
  header.body_checksum = checksum(std::string_view(buffer_).substr(kBatchHeaderBytes), seed_);
  const auto encoded = encode_batch_header(header, seed_);
  std::copy(encoded.begin(), encoded.end(), buffer_.begin());
  next.point.advance(header);
  return next;
}

Result<void> LogWriter::make_room(std::uint64_t bytes, std::uint64_t entries) {
  return fill_.takes(bytes, entries) ? Result<void>() : roll(bytes);
}

/// Turns what a failed write may have left back into zeros, durably: it must never be taken for a
/// batch, neither by the next start nor behind a later batch.
/// @error outcome_unknown  it stays, and may be a batch whole: perhaps of the very command that is
///                         to be written now, asked again.
Result<void> LogWriter::clean_rest() {
  Result<void> cleaned = file_->file->write_zeros(fill_.position, dirty_end_ - fill_.position);
  if (cleaned) cleaned = sync();
  if (!cleaned) {
    return fail(Errc::outcome_unknown,
                "what a failed write left stays: " + cleaned.error().context);
  }
  dirty_end_ = 0;
  return {};
}

Result<void> LogWriter::roll(std::uint64_t bytes) {
  // All of the old segment first: the next start takes it as durable once there is a newer one.
  KEELSON_TRY(sync());
  const SegmentFill fill = fill_.next(options_.segment_bytes, bytes);
  SegmentHeader header;
  header.identity = context_.identity;
  header.capacity = fill.capacity;
  header.start = state_;
  KEELSON_TRY_ASSIGN(auto next, create_segment(context_.files, folder_, header));
  // Its name is there now, durable or not: writing on in the old segment could contradict it.
  KEELSON_TRY(sync_folder());
  auto segment = std::make_shared<Segment>(context_, state_.point, next);
  segments_.all()->back()->fix_end(fill_.position);
  segments_.add(std::move(segment));
  enter(std::move(next), fill);
  return {};
}

Result<void> LogWriter::sync() {
  if (failed_) return std::unexpected(*failed_);
  KEELSON_TRY(remember(file_->file->sync()));
  durable_batches_ = state_.point.next_batch;
  return {};
}

Result<void> LogWriter::sync_folder() { return remember(context_.files.sync_folder(folder_)); }

Result<void> LogWriter::remember(Result<void> synced) {
  if (!synced) failed_ = synced.error();
  return synced;
}

void LogWriter::accept(LogState state) {
  state_ = std::move(state);
  last_time_ = state_.point.last_time.value;
  last_epoch_ = state_.point.last_epoch.value;
}

}  // namespace keelson::log
