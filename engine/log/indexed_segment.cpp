#include "engine/log/indexed_segment.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/check.h"
#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

constexpr std::size_t kCacheLineBytes = 64;

void prefetch(std::string_view bytes, std::uint64_t position) {
  if (position < bytes.size()) __builtin_prefetch(bytes.data() + position);
}

}  // namespace

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
    if (auto good = check_batch_body(batch.header, batch.bytes, seed_); !good) {
      return failed(std::move(good).error(), ordinal);
    }
    open_->verified.add(ordinal);
  }
  return batch;
}

Result<StoredBatch> IndexedSegment::batch(std::uint32_t ordinal) const {
  KEELSON_TRY_ASSIGN(const std::uint32_t at, position(ordinal));
  return verify(ordinal, at);
}

Result<std::string_view> IndexedSegment::body(std::uint32_t ordinal, std::uint32_t position) const {
  const std::string_view file = open_->file().bytes;
  if (open_->verified.contains(ordinal) && position < file.size()) {
    // The header's checksum held when the batch was verified, so the length is right, unless the
    // index says another place than it said then: the length is checked against the file.
    if (const auto batch = batch_bytes(file.substr(position)); !batch.empty()) {
      return is_compressed(batch) ? std::string_view() : batch.substr(kBatchHeaderBytes);
    }
  }
  KEELSON_TRY_ASSIGN(const StoredBatch batch, verify(ordinal, position));
  return batch.header.codec == Codec::none ? batch.stored_body() : std::string_view();
}

Result<OpenBody> IndexedSegment::opened_body(std::uint32_t ordinal) const {
  if (decompressed_ordinal_ == ordinal) return decompressed_;
  KEELSON_TRY_ASSIGN(const StoredBatch stored, batch(ordinal));
  auto body = open_body(stored);
  if (!body) return failed(std::move(body).error(), ordinal);
  if (body->decompressed) {
    decompressed_ = *body;
    decompressed_ordinal_ = ordinal;
  }
  return body;
}

Result<void> IndexedSegment::bodies(std::span<const Posting> postings,
                                    std::span<std::string_view> bodies) const {
  KEELSON_ASSERT(postings.size() <= bodies.size() && postings.size() <= kPostingsAtOnce);
  const std::string_view file = open_->file().bytes;
  std::array<std::uint32_t, kPostingsAtOnce> positions;
  for (std::size_t i = 0; i < postings.size(); ++i) {
    KEELSON_TRY_ASSIGN(positions[i], position(postings[i].batch));
    const std::uint64_t event = positions[i] + kBatchHeaderBytes + postings[i].body_position;
    prefetch(file, positions[i]);
    prefetch(file, event);
    prefetch(file, event + kCacheLineBytes);
  }
  for (std::size_t i = 0; i < postings.size(); ++i) {
    KEELSON_TRY_ASSIGN(bodies[i], body(postings[i].batch, positions[i]));
  }
  return {};
}

Result<FoundEvent> IndexedSegment::event(const Posting& posting, std::string_view body) const {
  if (body.empty()) {
    KEELSON_TRY_ASSIGN(const OpenBody opened, opened_body(posting.batch));
    body = opened.bytes;
  }
  auto event = decode_event(body, posting.body_position);
  if (!event) return failed(std::move(event).error(), posting.batch);
  auto command_id = decode_command_id(body, event->commit_position);
  if (!command_id) return failed(std::move(command_id).error(), posting.batch);
  return FoundEvent{start_.end + posting.relative_offset, event->record, *command_id};
}

Result<DecodedCommit> IndexedSegment::commit(const CommitPlace& place) const {
  KEELSON_TRY_ASSIGN(const OpenBody body, opened_body(place.batch));
  auto commit = decode_commit(body.bytes, place.body_position);
  if (!commit) return failed(std::move(commit).error(), place.batch);
  return commit;
}

}  // namespace keelson::log
