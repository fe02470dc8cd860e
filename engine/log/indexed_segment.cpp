#include "engine/log/indexed_segment.h"

#include <string>
#include <utility>

#include "engine/log/log_format.h"

namespace keelson::log {

Result<IndexedSegment> IndexedSegment::open(const PublishedLog& log, const Segment& segment) {
  KEELSON_TRY_ASSIGN(auto open, segment.open());
  return IndexedSegment(log, segment.start(), std::move(open));
}

std::uint64_t IndexedSegment::relative(Offset offset) const {
  return offset <= start_.end ? 0 : offset - start_.end;
}

std::unexpected<Error> IndexedSegment::failed(Error error, std::uint32_t ordinal) const {
  const auto at = position(ordinal);
  if (!at) return std::unexpected(at.error());
  return std::unexpected(located(std::move(error), open_->file(), *at));
}

Result<std::uint32_t> IndexedSegment::position(std::uint32_t ordinal) const {
  if (ordinal >= index().batch_count()) {
    return fail(Errc::corruption, open_->file().path + ": its index names batch " +
                                      std::to_string(ordinal) + " of " +
                                      std::to_string(index().batch_count()));
  }
  KEELSON_TRY_ASSIGN(const BatchEntry entry, index().batch(ordinal));
  return entry.file_position;
}

Result<StoredBatch> IndexedSegment::verify(std::uint32_t ordinal, std::uint32_t position) const {
  KEELSON_TRY_ASSIGN(StoredBatch batch, batch_at(open_->file(), position, seed_));
  const BatchNo batch_no = start_.next_batch + ordinal;
  if (batch.header.batch_no != batch_no) {
    return failed({Errc::corruption, "the index says batch " + std::to_string(batch_no.value), {}},
                  ordinal);
  }
  if (!open_->verified.contains(ordinal)) {
    const auto good = check_batch_body(batch.header, batch.bytes, seed_);
    KEELSON_TRY(open_->file().check_read(batch.position, batch.bytes.size()));
    if (!good) {
      return failed(good.error(), ordinal);
    }
    open_->verified.add(ordinal, batch.header.codec);
  }
  return batch;
}

Result<StoredBatch> IndexedSegment::batch(std::uint32_t ordinal) const {
  KEELSON_TRY_ASSIGN(const std::uint32_t at, position(ordinal));
  return verify(ordinal, at);
}

Result<std::string_view> IndexedSegment::body(std::uint32_t ordinal,
                                              const BatchExtent& extent) const {
  const std::string_view file = bytes();
  const std::uint64_t begin = std::uint64_t{extent.begin} + kBatchHeaderBytes;
  if (!reads_header(ordinal) && begin <= extent.end && extent.end <= file.size()) {
    return file.substr(begin, extent.end - begin);
  }
  KEELSON_TRY_ASSIGN(const StoredBatch batch, verify(ordinal, extent.begin));
  return batch.header.codec == Codec::none ? batch.stored_body() : std::string_view();
}

Result<OpenBody> IndexedSegment::opened_body(std::uint32_t ordinal) const {
  if (decompressed_ordinal_ == ordinal) return decompressed_;
  KEELSON_TRY_ASSIGN(const StoredBatch stored, batch(ordinal));
  auto body = open_body(stored);
  opened_position_ = stored.position;
  opened_bytes_ = stored.bytes.size();
  KEELSON_TRY(check_read());
  if (!body) return failed(std::move(body).error(), ordinal);
  if (body->decompressed) {
    decompressed_ = *body;
    decompressed_ordinal_ = ordinal;
  }
  return body;
}

Result<DecodedCommit> IndexedSegment::commit(const CommitPlace& place) const {
  KEELSON_TRY_ASSIGN(const OpenBody body, opened_body(place.batch));
  auto commit = decode_commit(body.bytes, place.body_position);
  KEELSON_TRY(check_read());
  if (!commit) return failed(std::move(commit).error(), place.batch);
  return commit;
}

}  // namespace keelson::log
