#include "engine/log/indexed_segment.h"

#include <utility>

namespace keelson::log {

IndexedSegment::IndexedSegment(const PublishedLog& log, std::shared_ptr<const Segment> segment)
    : log_(log), segment_(std::move(segment)), index_(segment_->index()) {}

std::uint64_t IndexedSegment::relative(Offset offset) const {
  return offset <= start().end ? 0 : offset - start().end;
}

std::unexpected<Error> IndexedSegment::failed(Error error) const {
  return std::unexpected(located(std::move(error), *file_, batch_.position));
}

Result<const StoredBatch*> IndexedSegment::batch(std::uint32_t ordinal) {
  if (ordinal_ == ordinal) return &batch_;
  if (ordinal >= index_->batch_count()) {
    return fail(Errc::corruption, segment_->path() + ": its index names batch " +
                                      std::to_string(ordinal) + " of " +
                                      std::to_string(index_->batch_count()));
  }
  KEELSON_TRY_ASSIGN(const BatchEntry entry, index_->batch(ordinal));
  if (file_ == nullptr) {
    KEELSON_TRY_ASSIGN(file_, segment_->file(log_.files));
  }
  ordinal_.reset();
  KEELSON_TRY_ASSIGN(batch_, batch_at(*file_, entry.file_position, log_.seed));
  const BatchNo batch_no = start().next_batch + ordinal;
  if (batch_.header.batch_no != batch_no) {
    return failed({Errc::corruption, "the index says batch " + std::to_string(batch_no.value), {}});
  }
  if (!log_.verified.contains(batch_no)) {
    if (auto good = check_batch_body(batch_.header, batch_.bytes, log_.seed); !good) {
      return failed(std::move(good).error());
    }
    log_.verified.add(batch_no);
  }
  ordinal_ = ordinal;
  return &batch_;
}

Result<FoundEvent> IndexedSegment::event(const Posting& posting) {
  KEELSON_TRY_ASSIGN(const StoredBatch* const stored, batch(posting.batch));
  auto event = decode_event(stored->body(), posting.body_position);
  if (!event) return failed(std::move(event).error());
  auto commit = decode_commit(stored->body(), event->commit_position);
  if (!commit) return failed(std::move(commit).error());
  return FoundEvent{start().end + posting.relative_offset, event->record, commit->header.key.id};
}

Result<DecodedCommit> IndexedSegment::commit(const CommitPlace& place) {
  KEELSON_TRY_ASSIGN(const StoredBatch* const stored, batch(place.batch));
  auto commit = decode_commit(stored->body(), place.body_position);
  if (!commit) return failed(std::move(commit).error());
  return commit;
}

}  // namespace keelson::log
