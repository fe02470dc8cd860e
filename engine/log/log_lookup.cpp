#include "engine/log/log_lookup.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "engine/log/indexed_segment.h"

namespace keelson::log {

namespace {

/// Postings fetched from an index at a time.
constexpr std::size_t kPostingsAtOnce = 64;

/// A part of a stream: some of its versions, in one segment.
struct StreamPart {
  std::shared_ptr<Segment> segment;
  Version first;  ///< versions [first, end)
  Version end;
};

/// The parts of `slice`, newest first. Looks no further back than the slice reaches.
Result<std::vector<StreamPart>> find_parts(const PublishedLog& log, const StreamSlice& slice) {
  const Offset before = std::min(slice.before, log.end());
  const auto segments = log.segments.all();
  const StreamKey key = log.hasher.stream(slice.stream);
  std::vector<StreamPart> parts;
  for (auto at = segments->rbegin(); at != segments->rend(); ++at) {
    IndexedSegment segment(log, *at);
    if (segment.start().end >= before) continue;
    KEELSON_TRY_ASSIGN(const auto postings, segment.index().find_stream(key));
    if (!postings) continue;
    KEELSON_TRY_ASSIGN(const std::uint32_t count, postings->count_before(segment.relative(before)));
    const StreamPart part{*at, std::max(slice.first, postings->first_version()),
                          std::min(slice.end, postings->first_version() + count)};
    if (part.first < part.end) parts.push_back(part);
    if (postings->first_version() <= slice.first) break;
  }
  return parts;
}

/// The event at `posting`, which the index has for `version` of `stream`.
Result<FoundEvent> read_event(IndexedSegment& segment, const Posting& posting,
                              std::string_view stream, Version version) {
  KEELSON_TRY_ASSIGN(const FoundEvent event, segment.event(posting));
  if (event.record.stream != stream || event.record.version != version) {
    return segment.failed({Errc::corruption,
                           "the index says version " + std::to_string(version.value) + " of '" +
                               std::string(stream) + "' is here",
                           {}});
  }
  return event;
}

/// Visits `part`. False when the visitor has had enough.
Result<bool> visit_part(const PublishedLog& log, const StreamPart& part, const StreamSlice& slice,
                        const PartitionLog::Visitor& visit) {
  IndexedSegment segment(log, part.segment);
  KEELSON_TRY_ASSIGN(const auto postings,
                     segment.index().find_stream(log.hasher.stream(slice.stream)));
  if (!postings) return fail(Errc::corruption, part.segment->path() + ": its index has changed");
  std::array<Posting, kPostingsAtOnce> buffer;
  for (Version first = part.first, end = part.end; first < end;) {
    const std::size_t count = std::min<std::uint64_t>(end - first, buffer.size());
    const Version chunk = slice.backward ? end - count : first;
    const std::span chosen(buffer.data(), count);
    KEELSON_TRY(
        postings->copy(static_cast<std::uint32_t>(chunk - postings->first_version()), chosen));
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t n = slice.backward ? count - 1 - i : i;
      KEELSON_TRY_ASSIGN(const FoundEvent event,
                         read_event(segment, chosen[n], slice.stream, chunk + n));
      if (!visit(event)) return false;
    }
    (slice.backward ? end : first) = slice.backward ? chunk : chunk + count;
  }
  return true;
}

bool same_key(const CommandKey& a, const CommandKey& b) {
  return a.id == b.id && a.target == b.target && a.principal == b.principal;
}

/// Everything about the commit at `place`.
Result<FoundCommit> read_commit(IndexedSegment& segment, const CommitPlace& place) {
  KEELSON_TRY_ASSIGN(const DecodedCommit commit, segment.commit(place));
  KEELSON_TRY_ASSIGN(const StoredBatch* const batch, segment.batch(place.batch));
  FoundCommit found;
  found.header = commit.header;
  found.time = batch->header.time;
  found.first = batch->header.base_offset + commit.first_event;
  found.events.reserve(commit.header.event_count);
  std::size_t position = commit.events_position;
  for (std::uint32_t i = 0; i < commit.header.event_count; ++i) {
    auto event = decode_event(batch->body().substr(0, commit.end), position);
    if (!event) return segment.failed(std::move(event).error());
    found.events.push_back({found.first + i, event->record, commit.header.key.id});
    position = event->end;
  }
  found.pin = segment.pin();
  return found;
}

}  // namespace

Result<void> read_stream(const PublishedLog& log, const StreamSlice& slice,
                         const PartitionLog::Visitor& visit) {
  KEELSON_TRY_ASSIGN(auto parts, find_parts(log, slice));
  if (!slice.backward) std::reverse(parts.begin(), parts.end());
  for (const StreamPart& part : parts) {
    KEELSON_TRY_ASSIGN(const bool more, visit_part(log, part, slice, visit));
    if (!more) break;
  }
  return {};
}

Result<Version> stream_version(const PublishedLog& log, std::string_view stream, Offset before) {
  before = std::min(before, log.end());
  const auto segments = log.segments.all();
  const StreamKey key = log.hasher.stream(stream);
  for (auto at = segments->rbegin(); at != segments->rend(); ++at) {
    const IndexedSegment segment(log, *at);
    if (segment.start().end >= before) continue;
    KEELSON_TRY_ASSIGN(const auto postings, segment.index().find_stream(key));
    if (!postings) continue;
    KEELSON_TRY_ASSIGN(const std::uint32_t count, postings->count_before(segment.relative(before)));
    // Versions are dense: with none of these counted, the one before the first is the answer.
    return postings->first_version() + count - 1;
  }
  return Version(0);
}

Result<std::optional<FoundCommit>> find_command(const PublishedLog& log, const CommandKey& key) {
  const std::uint64_t hash = log.hasher.command(key);
  const auto segments = log.segments.all();
  for (auto at = segments->rbegin(); at != segments->rend(); ++at) {
    IndexedSegment segment(log, *at);
    const auto matches = [&](const CommitPlace& place) -> Result<bool> {
      KEELSON_TRY_ASSIGN(const DecodedCommit commit, segment.commit(place));
      return same_key(commit.header.key, key);
    };
    KEELSON_TRY_ASSIGN(const auto place, segment.index().find_command(hash, matches));
    if (place) return read_commit(segment, *place);
  }
  return std::nullopt;
}

Result<Offset> end_at(const PublishedLog& log, TimeUs time) {
  const Offset end = log.end();
  const auto segments = log.segments.all();
  // The first segment that starts after `time`; what is searched lies in the one before it.
  const auto after = std::upper_bound(segments->begin(), segments->end(), time,
                                      [](TimeUs t, const std::shared_ptr<Segment>& segment) {
                                        return t < segment->start().last_time;
                                      });
  if (after == segments->begin()) return segments->front()->start().end;
  const IndexedSegment segment(log, *std::prev(after));
  KEELSON_TRY_ASSIGN(const auto batch, segment.index().batch_after(time));
  if (!batch) return after == segments->end() ? end : std::min(end, (*after)->start().end);
  KEELSON_TRY_ASSIGN(const BatchEntry entry, segment.index().batch(*batch));
  return std::min(end, segment.start().end + entry.relative_offset);
}

}  // namespace keelson::log
