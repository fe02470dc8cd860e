#include "engine/log/log_lookup.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/log/indexed_segment.h"
#include "engine/log/segment_search.h"
#include "engine/log/stream_reader.h"

namespace keelson::log {

namespace {

/// Segments that a forward read of a stream keeps open between finding the stream's parts and
/// reading them; those of a stream that lies in more are opened again.
constexpr std::size_t kPartsKeptOpen = 32;

/// Finds the parts of a slice, newest first, and looks no further back than the slice reaches.
class PartFinder {
 public:
  PartFinder(const PublishedLog& log, const StreamSlice& slice)
      : log_(log),
        slice_(slice),
        before_(std::min(slice.before, log.end())),
        key_(log.hasher.stream(slice.stream)),
        search_(log, key_.hash) {}

  /// The next older part, or nothing.
  [[nodiscard]] Result<std::optional<StreamPart>> next() {
    while (!done_) {
      const std::shared_ptr<Segment>* const segment = search_.next();
      if (segment == nullptr) break;
      if ((*segment)->start().end >= before_) continue;
      KEELSON_TRY_ASSIGN(auto indexed, IndexedSegment::open(log_, **segment));
      KEELSON_TRY_ASSIGN(const auto postings, indexed.index().find_stream(key_));
      if (!postings) continue;
      if (!kept_from_ && indexed.removed()) kept_from_ = postings->end_version();
      KEELSON_TRY_ASSIGN(const std::uint32_t count,
                         postings->count_before(indexed.relative(before_)));
      done_ = postings->first_version() <= slice_.first;
      StreamPart part{*segment, std::move(indexed), postings,
                      std::max(slice_.first, postings->first_version()),
                      std::min(slice_.end, postings->first_version() + count)};
      if (part.first >= part.end) continue;
      if (part.open->removed()) {
        return removed(log_, "'" + std::string(slice_.stream) + "' is kept from version " +
                                 std::to_string(kept_from_->value) + " on");
      }
      return part;
    }
    return std::nullopt;
  }

  /// Opens a part whose segment has been let go of.
  [[nodiscard]] Result<void> open_again(StreamPart& part) const {
    KEELSON_TRY_ASSIGN(part.open, IndexedSegment::open(log_, *part.segment));
    if (part.open->removed()) return removed(log_, "'" + std::string(slice_.stream) + "'");
    KEELSON_TRY_ASSIGN(part.postings, part.open->index().find_stream(key_));
    if (part.postings && part.postings->first_version() <= part.first &&
        part.end <= part.postings->end_version()) {
      return {};
    }
    return fail(Errc::corruption, part.segment->path() + ": its index has changed");
  }

 private:
  const PublishedLog& log_;
  const StreamSlice slice_;
  const Offset before_;
  const StreamKey key_;
  SegmentSearch search_;
  std::optional<Version> kept_from_;  ///< after what is removed, once that is met
  bool done_ = false;                 ///< nothing older is wanted
};

/// Newest first, as the parts are found: what is not wanted is not looked for.
Result<void> read_backward(const PublishedLog& log, StreamSlice& left,
                           const PartitionLog::Visitor& visit, Result<void>& seen) {
  PartFinder finder(log, left);
  StreamReader reader(left);
  while (true) {
    KEELSON_TRY_ASSIGN(const FoundEvent* const event, reader.next());
    if (event != nullptr) {
      left.end = event->record.version;
      const bool more = visit(*event);
      if (seen = reader.check_given(); !seen || !more) return seen;
      continue;
    }
    KEELSON_TRY_ASSIGN(auto part, finder.next());
    if (!part) return {};
    KEELSON_TRY(reader.add(*std::move(part)));
  }
}

Result<void> read_forward(const PublishedLog& log, StreamSlice& left,
                          const PartitionLog::Visitor& visit, Result<void>& seen) {
  PartFinder finder(log, left);
  std::vector<StreamPart> parts;  // newest first
  while (true) {
    KEELSON_TRY_ASSIGN(auto part, finder.next());
    if (!part) break;
    parts.push_back(*std::move(part));
    if (parts.size() > kPartsKeptOpen) {
      // The newer one, which is read later.
      StreamPart& later = parts[parts.size() - 1 - kPartsKeptOpen];
      later.postings.reset();
      later.open.reset();
    }
  }
  StreamReader reader(left);
  while (true) {
    if (reader.wants_part() && !parts.empty()) {
      if (!parts.back().open) KEELSON_TRY(finder.open_again(parts.back()));
      KEELSON_TRY(reader.add(std::move(parts.back())));
      parts.pop_back();
    }
    KEELSON_TRY_ASSIGN(const FoundEvent* const event, reader.next());
    if (event == nullptr) return {};
    left.first = event->record.version + 1;
    const bool more = visit(*event);
    if (seen = reader.check_given(); !seen || !more) return seen;
  }
}

bool same_key(const CommandKey& a, const CommandKey& b) {
  return a.id == b.id && a.target == b.target && a.principal == b.principal;
}

/// Makes the views of a commit that lies in `bytes` show its copy instead.
void show_in(FoundCommit& found, std::string_view bytes, std::string_view copy) {
  const auto move = [&](std::string_view& view) {
    if (!view.empty()) view = copy.substr(view.data() - bytes.data(), view.size());
  };
  CommitHeader& header = found.header;
  for (auto* view : {&header.key.principal, &header.key.target, &header.key.id, &header.detail}) {
    move(*view);
  }
  for (FoundEvent& event : found.events) {
    EventRecord& record = event.record;
    for (auto* view : {&record.stream, &record.type, &record.data, &record.metadata}) move(*view);
    event.command_id = header.key.id;
  }
}

/// Everything about the commit at `place`.
Result<FoundCommit> read_commit(const IndexedSegment& segment, const CommitPlace& place) {
  KEELSON_TRY_ASSIGN(const DecodedCommit commit, segment.commit(place));
  KEELSON_TRY_ASSIGN(const StoredBatch batch, segment.batch(place.batch));
  KEELSON_TRY_ASSIGN(const OpenBody body, segment.opened_body(place.batch));
  FoundCommit found;
  found.header = commit.header;
  found.time = batch.header.time;
  found.first = batch.header.base_offset + commit.first_event;
  found.events.reserve(commit.header.event_count);
  std::size_t position = commit.events_position;
  for (std::uint32_t i = 0; i < commit.header.event_count; ++i) {
    auto event = decode_event(body.bytes.substr(0, commit.end), position);
    KEELSON_TRY(segment.check_read());
    if (!event) return segment.failed(std::move(event).error(), place.batch);
    found.events.push_back({found.first + i, event->record, commit.header.key.id});
    position = event->end;
  }
  if (body.decompressed) {
    found.pin = body.decompressed;
    return found;
  }
  // What lies in a file may turn out unreadable at any time: the caller gets a copy.
  const auto bytes = body.bytes.substr(commit.position, commit.end - commit.position);
  const auto copy = std::make_shared<const std::string>(bytes);
  KEELSON_TRY(segment.check_read());
  show_in(found, bytes, *copy);
  found.pin = copy;
  return found;
}

}  // namespace

Result<void> read_stream(const PublishedLog& log, StreamSlice& left,
                         const PartitionLog::Visitor& visit, Result<void>& seen) {
  return left.backward ? read_backward(log, left, visit, seen)
                       : read_forward(log, left, visit, seen);
}

Result<Version> stream_version(const PublishedLog& log, std::string_view stream, Offset before) {
  before = std::min(before, log.end());
  const StreamKey key = log.hasher.stream(stream);
  SegmentSearch search(log, key.hash);
  while (const auto* const candidate = search.next()) {
    if ((*candidate)->start().end >= before) continue;
    KEELSON_TRY_ASSIGN(const auto segment, IndexedSegment::open(log, **candidate));
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
  SegmentSearch search(log, hash);
  while (const auto* const candidate = search.next()) {
    KEELSON_TRY_ASSIGN(const auto segment, IndexedSegment::open(log, **candidate));
    const auto matches = [&](const CommitPlace& place) -> Result<bool> {
      // Its hash is all there is left of it. Another command has the same one in 2^64 at most.
      if (segment.removed()) {
        return removed(log, "the command '" + std::string(key.id) +
                                "' was decided before, and its outcome is not known any more");
      }
      KEELSON_TRY_ASSIGN(const DecodedCommit commit, segment.commit(place));
      const bool same = same_key(commit.header.key, key);
      KEELSON_TRY(segment.check_read());
      return same;
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
  KEELSON_TRY_ASSIGN(const auto segment, IndexedSegment::open(log, **std::prev(after)));
  KEELSON_TRY_ASSIGN(const auto batch, segment.index().batch_after(time));
  if (!batch) return after == segments->end() ? end : std::min(end, (*after)->start().end);
  KEELSON_TRY_ASSIGN(const BatchEntry entry, segment.index().batch(*batch));
  return std::min(end, segment.start().end + entry.relative_offset);
}

}  // namespace keelson::log
