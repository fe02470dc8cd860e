#include "engine/log/log_writer.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace keelson::log {

namespace {

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
                     SegmentList& segments, SegmentSupply& supply, LogState state, Place place,
                     BatchNo floor)
    : context_(context),
      folder_(std::move(folder)),
      seed_(checksum_seed(context.identity)),
      options_(options),
      segments_(segments),
      supply_(supply),
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
  wants_next_ = false;
  next_segment_bytes_ = fill_.next_capacity(options_.segment_bytes);
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
  KEELSON_TRY_ASSIGN(LogState next, encode(draft));
  const std::uint64_t entries = std::uint64_t{draft.body.event_count()} + draft.body.commit_count;
  KEELSON_TRY(tidy());
  KEELSON_TRY(make_room(buffer_.size(), entries));
  KEELSON_TRY(write(buffer_));
  const BatchNo batch = state_.point.next_batch;
  fill_.add(buffer_.size(), entries);
  accept(std::move(next));
  return batch;
}

/// Writes `bytes` where the segment's batches end. After an error nothing of them is there, or the
/// error says that it may be.
Result<void> LogWriter::write(std::string_view bytes) {
  auto written = file_->file->write_at(fill_.position, bytes);
  if (written) return {};
  dirty_end_ = fill_.position + bytes.size();
  // At once, so that a crash does not find a batch whole after its writer was told otherwise.
  if (auto cleaned = clean_rest(); !cleaned) {
    return fail(Errc::outcome_unknown,
                written.error().context + "; what it left there stays: " + cleaned.error().context);
  }
  return written;
}

/// Fills `buffer_` with the batch. Changes nothing else: the batch may yet fail to be written.
Result<LogState> LogWriter::encode(const BatchDraft& draft) {
  if (auto checked = check_frames(draft.body); !checked) {
    return fail(Errc::internal,
                "a malformed batch was about to be written: " + checked.error().context);
  }
  std::optional<std::string_view> compressed;
  if (options_.codec == Codec::zstd) compressed = compressor_.compress(draft.body.bytes);
  buffer_.assign(kBatchHeaderBytes, '\0');
  buffer_ += compressed ? *compressed : draft.body.bytes;
  const std::size_t length = buffer_.size();
  buffer_.resize(align_batch(length), '\0');
  const auto padded_body = std::string_view(buffer_).substr(kBatchHeaderBytes);
  LogState next = state_;
  for (const Hash& leaf : draft.body.leaves) next.tree.add_hash(leaf);
  BatchHeader header;
  header.kind = draft.kind;
  header.codec = compressed ? Codec::zstd : Codec::none;
  header.length = static_cast<std::uint32_t>(length);
  header.event_count = draft.body.event_count();
  header.commit_count = draft.body.commit_count;
  header.batch_no = state_.point.next_batch;
  header.epoch = draft.epoch;
  header.base_offset = draft.base_offset;
  header.time = draft.time;
  header.durable_batches = durable_batches_;
  header.tree_root = next.tree.root();
  header.body_checksum = checksum(padded_body, seed_);
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
Result<void> LogWriter::clean_rest() {
  KEELSON_TRY(
      file_->file->write_at(fill_.position, std::string(dirty_end_ - fill_.position, '\0')));
  KEELSON_TRY(sync());
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
  KEELSON_TRY_ASSIGN(auto next, supply_.take(header));
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
  wants_next_ = fill_.half_full();
}

}  // namespace keelson::log
