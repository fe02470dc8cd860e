#include "engine/log/stream_reader.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

constexpr std::size_t kCacheLineBytes = 64;

/// Asks the processor for the bytes at `position`, if they are some of `bytes`. Inlined always: the
/// compiler takes a call of it for one without effect, and leaves it out.
[[gnu::always_inline]] inline void prefetch(std::string_view bytes, std::uint64_t position) {
  if (position < bytes.size()) __builtin_prefetch(bytes.data() + position);
}

}  // namespace

Result<void> StreamReader::add(StreamPart part) {
  KEELSON_ASSERT(wants_part());
  part_ = std::make_shared<StreamPart>(std::move(part));
  return ask(*asked_);
}

Result<const FoundEvent*> StreamReader::next() {
  while (given_ == entered_->count) {
    if (asked_->count == 0) return nullptr;
    KEELSON_TRY(next_chunk());
  }
  ++given_;
  KEELSON_TRY(decode(*entered_, last_given()));
  return &event_;
}

Result<void> StreamReader::check_given() const {
  return entered_->part->open->check_read(entered_->batches[last_given()]);
}

Result<void> StreamReader::next_chunk() {
  std::swap(asked_, entered_);
  given_ = 0;
  KEELSON_TRY(ask(*asked_));
  return enter(*entered_);
}

/// Looks the next events up and asks for them, each with the head of its batch. Nothing else stands
/// between one prefetch and the next: each waits for its page to be found, and what comes after it
/// in the processor's window waits beside it.
Result<void> StreamReader::ask(Chunk& chunk) {
  chunk.part = part_;
  chunk.count = 0;
  if (part_ == nullptr) return {};
  StreamPart& part = *part_;
  const std::size_t count = std::min<std::uint64_t>(part.end - part.first, kChunkEvents);
  chunk.first = backward_ ? part.end - count : part.first;
  const std::span postings(chunk.postings.data(), count);
  const auto ordinal = static_cast<std::uint32_t>(chunk.first - part.postings->first_version());
  KEELSON_TRY(part.postings->copy(ordinal, postings));
  KEELSON_TRY(part.open->index().find_batches(postings, chunk.batches));
  const std::string_view bytes = part.open->bytes();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t batch = chunk.batches[i].begin;
    const std::uint64_t event = batch + kBatchHeaderBytes + postings[i].body_position;
    // The commit is in the same page or near, if batches are small.
    if (command_ids_ || part.open->reads_header(postings[i].batch)) prefetch(bytes, batch);
    prefetch(bytes, event);
    prefetch(bytes, event + kCacheLineBytes);
  }
  chunk.count = count;
  (backward_ ? part.end : part.first) = backward_ ? chunk.first : chunk.first + count;
  if (part.first == part.end) part_ = nullptr;
  return {};
}

/// Enters the batches of the events and asks for the events' commits.
Result<void> StreamReader::enter(Chunk& chunk) const {
  for (std::size_t i = 0; i < chunk.count; ++i) {
    const Posting& posting = chunk.postings[i];
    KEELSON_TRY_ASSIGN(chunk.bodies[i], chunk.part->open->body(posting.batch, chunk.batches[i]));
    if (command_ids_) {
      prefetch(chunk.bodies[i], commit_position(chunk.bodies[i], posting.body_position));
    }
  }
  return {};
}

Result<void> StreamReader::decode(const Chunk& chunk, std::size_t i) {
  const IndexedSegment& segment = *chunk.part->open;
  const Posting& posting = chunk.postings[i];
  std::string_view body = chunk.bodies[i];
  if (body.empty()) {
    KEELSON_TRY_ASSIGN(const OpenBody opened, segment.opened_body(posting.batch));
    body = opened.bytes;
  }
  auto commit = read_event(body, posting.body_position, event_.record);
  KEELSON_TRY(segment.check_read(chunk.batches[i]));
  if (!commit) return segment.failed(std::move(commit).error(), posting.batch);
  const Version version = chunk.first + i;
  if (event_.record.version != version || event_.record.stream != stream_) {
    return segment.failed({Errc::corruption,
                           "the index says version " + std::to_string(version.value) + " of '" +
                               std::string(stream_) + "' is here",
                           {}},
                          posting.batch);
  }
  if (command_ids_) {
    auto id = decode_command_id(body, *commit);
    KEELSON_TRY(segment.check_read(chunk.batches[i]));
    if (!id) return segment.failed(std::move(id).error(), posting.batch);
    event_.command_id = *id;
  }
  event_.offset = segment.start().end + posting.relative_offset;
  return {};
}

}  // namespace keelson::log
