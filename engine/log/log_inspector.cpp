#include "engine/log/log_inspector.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "engine/log/log_format.h"
#include "engine/log/past_segments.h"
#include "engine/log/segment_bytes.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_sealer.h"
#include "engine/log/stored_batch.h"
#include "engine/log/tail_cut.h"

namespace keelson::log {

namespace {

Error in_file(Error error, const std::string& path, std::uint64_t position) {
  error.context = path + ": " + error.context + ", at byte " + std::to_string(position);
  return error;
}

/// Whoever goes through a segment. Each says whether it wants more.
struct Visitor {
  std::function<Result<bool>(const StoredBatch&)> batch;
  std::function<bool(LogGap)> gap;
};

/// Goes through the batches of one segment, and over what is damaged of it.
class SegmentWalk {
 public:
  /// @param end  batches from this number on do not count.
  SegmentWalk(std::string_view bytes, const std::string& path, ChecksumSeed seed, BatchNo end)
      : bytes_(bytes), path_(path), seed_(seed), end_(end) {}

  /// @return whether the visitor wants more. @error any  of the visitor.
  Result<bool> run(BatchNo next, const Visitor& visitor) {
    while (next < end_ && position_ + kBatchHeaderBytes <= bytes_.size()) {
      const std::string_view rest = bytes_.substr(position_);
      // What has not been written yet is zero.
      if (rest.find_first_not_of('\0') == rest.npos) return true;
      auto header = decode_batch_header(rest, seed_);
      if (header && header->padded_bytes() > rest.size()) {
        header = fail(Errc::corruption, "the batch is longer than the file's rest");
      }
      if (!header) {
        if (!pass(next, kBatchAlignment, std::move(header).error(), visitor)) return false;
        continue;
      }
      const StoredBatch batch{*header, position_, rest.substr(0, header->padded_bytes())};
      if (auto good = check_batch_body(*header, batch.bytes, seed_); !good) {
        if (!pass(next, header->padded_bytes(), std::move(good).error(), visitor)) return false;
        continue;
      }
      KEELSON_TRY_ASSIGN(const bool more, visitor.batch(batch));
      if (!more) return false;
      position_ += header->padded_bytes();
      next = header->batch_no + 1;
    }
    return true;
  }

 private:
  /// Goes on at the next header that is whole, at least `bytes` from here, or at the end.
  bool pass(BatchNo failed, std::uint64_t bytes, Error error, const Visitor& visitor) {
    LogGap gap{in_file(std::move(error), path_, position_), path_, position_};
    for (position_ += bytes; position_ + kBatchHeaderBytes <= bytes_.size();
         position_ += kBatchAlignment) {
      const std::size_t next = bytes_.find_first_not_of('\0', position_);
      if (next == bytes_.npos) break;
      position_ = std::max<std::uint64_t>(position_, next / kBatchAlignment * kBatchAlignment);
      const auto header = decode_batch_header(bytes_.substr(position_), seed_);
      if (!header || header->batch_no <= failed) continue;
      gap.resumes = position_;
      return visitor.gap(std::move(gap));
    }
    const std::string_view head = bytes_.substr(*gap.position, kBatchHeaderBytes);
    position_ = bytes_.size();
    // Without a header, and without a batch after it, it is where nothing has been written yet.
    if (head.find_first_not_of('\0') == head.npos) return true;
    return visitor.gap(std::move(gap));
  }

  const std::string_view bytes_;
  const std::string& path_;
  const ChecksumSeed seed_;
  const BatchNo end_;
  std::uint64_t position_ = kSegmentHeaderBytes;
};

/// The event at `offset` of `batch`, which holds it.
Result<EventInfo> event_in(const StoredBatch& batch, const std::string& path, Offset offset) {
  KEELSON_TRY_ASSIGN(const OpenBody body, open_body(batch));
  BodyReader reader(body.bytes, batch.header.event_count, batch.header.commit_count);
  Offset next = batch.header.base_offset;
  while (true) {
    KEELSON_TRY_ASSIGN(const DecodedCommit* const commit, reader.next_commit());
    if (commit == nullptr) break;
    while (true) {
      KEELSON_TRY_ASSIGN(const DecodedEvent* const event, reader.next_event());
      if (event == nullptr) break;
      const Offset here = next;
      ++next;
      if (here != offset) continue;
      const EventRecord& record = event->record;
      const CommandKey& key = commit->header.key;
      return EventInfo{.batch = {batch.header, path, batch.position},
                       .offset = offset,
                       .stream = std::string(record.stream),
                       .version = record.version,
                       .type = std::string(record.type),
                       .time = record.time,
                       .data = std::string(record.data),
                       .metadata = std::string(record.metadata),
                       .principal = std::string(key.principal),
                       .command_id = std::string(key.id),
                       .leaf_hash = leaf_hash(event->leaf)};
    }
  }
  return fail(Errc::corruption, "the batch has fewer events than its header says");
}

/// Looks again when a file has gone: a server compresses and removes segments meanwhile.
template <class Look>
auto settled(const Look& look) -> decltype(look()) {
  constexpr int kTries = 5;
  auto seen = look();
  for (int i = 1; i < kTries && !seen && seen.error().code == Errc::not_found; ++i) seen = look();
  return seen;
}

}  // namespace

Result<SegmentList> LogInspector::list_segments() const {
  return settled([this] { return look_at_segments(); });
}

Result<BatchList> LogInspector::list_batches(BatchNo from, std::size_t limit) const {
  constexpr int kLooks = 5;
  Result<BatchList> list = settled([&] { return look_at_batches(from, limit); });
  // A server may have been writing what was read.
  for (int i = 1; i < kLooks && list && !list->gaps.empty(); ++i) {
    list = settled([&] { return look_at_batches(from, limit); });
  }
  return list;
}

Result<std::vector<SegmentInfo>> LogInspector::segments() const {
  KEELSON_TRY_ASSIGN(SegmentList list, list_segments());
  if (!list.gaps.empty()) return std::unexpected(std::move(list.gaps.front()).error);
  return std::move(list.segments);
}

Result<std::vector<BatchInfo>> LogInspector::batches(BatchNo from, std::size_t limit) const {
  KEELSON_TRY_ASSIGN(BatchList list, list_batches(from, limit));
  if (!list.gaps.empty()) return std::unexpected(std::move(list.gaps.front()).error);
  return std::move(list.batches);
}

Result<std::optional<EventInfo>> LogInspector::event(Offset offset) const {
  return settled([&] { return find_event(offset); });
}

SegmentInfo LogInspector::look_at_segment(const SegmentOnDisk& segment) const {
  const std::string path = folder_ + "/" + segment.name;
  SegmentInfo info;
  info.form = segment.form;
  info.plain_file = path;
  info.file = segment_file(path, segment.form);
  info.start.next_batch = segment.first_batch;
  const auto read = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto file, files_.open(info.file, io::OpenMode::read));
    KEELSON_TRY_ASSIGN(info.bytes, file->size());
    KEELSON_TRY_ASSIGN(info.indexed, files_.exists(index_path(path)));
    KEELSON_TRY_ASSIGN(const std::string bytes, segment_head(files_, path, segment.form));
    auto header = decode_segment_header(bytes, identity_);
    if (!header) return std::unexpected(in_file(std::move(header).error(), info.file, 0));
    info.start = header->start.point;
    return {};
  };
  if (auto good = read(); !good) info.damage = std::move(good).error();
  return info;
}

Result<SegmentList> LogInspector::look_at_segments() const {
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  SegmentList list;
  Past past;
  if (auto read = read_past(files_, folder_, identity_, names)) {
    past = *std::move(read);
  } else {
    if (read.error().code == Errc::not_found) return std::unexpected(std::move(read).error());
    // It begins with the file.
    std::string file = read.error().context.substr(0, read.error().context.find(": "));
    list.gaps.push_back({std::move(read).error(), std::move(file)});
  }
  for (const SegmentOnDisk& segment : find_segments(names)) {
    if (past.contains(segment.first_batch)) continue;
    SegmentInfo info = look_at_segment(segment);
    if (info.damage && info.damage->code == Errc::not_found) return std::unexpected(*info.damage);
    if (info.damage) list.gaps.push_back({*info.damage, info.file, 0});
    list.segments.push_back(std::move(info));
  }
  return list;
}

BatchNo LogInspector::marked_end(std::vector<LogGap>& gaps) const {
  const auto mark = read_mark(files_, folder_, identity_);
  if (!mark) gaps.push_back({mark.error(), folder_ + "/" + std::string(kMarkName)});
  return mark ? mark->value_or(BatchNo(UINT64_MAX)) : BatchNo(UINT64_MAX);
}

Result<BatchList> LogInspector::look_at_batches(BatchNo from, std::size_t limit) const {
  BatchList list;
  const BatchNo end = marked_end(list.gaps);
  KEELSON_TRY_ASSIGN(SegmentList all, look_at_segments());
  std::ranges::move(all.gaps, std::back_inserter(list.gaps));
  if (!all.segments.empty()) list.start = all.segments.front().start;
  bool more = true;
  for (std::size_t i = 0; i < all.segments.size() && more; ++i) {
    if (i + 1 < all.segments.size() && all.segments[i + 1].start.next_batch <= from) continue;
    const SegmentInfo& segment = all.segments[i];
    auto bytes = segment_bytes(files_, segment.plain_file, segment.form);
    if (!bytes && bytes.error().code == Errc::not_found) return std::unexpected(bytes.error());
    if (!bytes) {
      if (!segment.damage) list.gaps.push_back({std::move(bytes).error(), segment.file});
      continue;
    }
    const Visitor visitor{[&](const StoredBatch& batch) -> Result<bool> {
                            if (batch.header.batch_no >= from) {
                              list.batches.push_back({batch.header, segment.file, batch.position});
                            }
                            return list.batches.size() < limit;
                          },
                          [&](LogGap gap) {
                            list.gaps.push_back(std::move(gap));
                            return true;
                          }};
    SegmentWalk walk(*bytes, segment.file, checksum_seed(identity_), end);
    KEELSON_TRY_ASSIGN(more, walk.run(segment.start.next_batch, visitor));
  }
  return list;
}

Result<std::optional<EventInfo>> LogInspector::find_event(Offset offset) const {
  std::vector<LogGap> gaps;
  const BatchNo end = marked_end(gaps);
  KEELSON_TRY_ASSIGN(SegmentList all, look_at_segments());
  const auto& segments = all.segments;
  if (!segments.empty() && !segments.front().damage && offset < segments.front().start.end) {
    return fail(Errc::below_start,
                "the log begins at offset " + std::to_string(segments.front().start.end.value));
  }
  std::optional<EventInfo> found;
  bool more = true;
  for (std::size_t i = 0; i < segments.size() && more; ++i) {
    const SegmentInfo& segment = segments[i];
    if (i + 1 < segments.size() && !segments[i + 1].damage && segments[i + 1].start.end <= offset) {
      continue;
    }
    auto bytes = segment_bytes(files_, segment.plain_file, segment.form);
    if (!bytes && bytes.error().code == Errc::not_found) return std::unexpected(bytes.error());
    if (!bytes) {
      gaps.push_back({std::move(bytes).error(), segment.file});
      continue;
    }
    const Visitor visitor{
        [&](const StoredBatch& batch) -> Result<bool> {
          if (batch.header.end_offset() <= offset) return true;
          // Behind what is damaged the log may be past it.
          if (batch.header.base_offset > offset) return false;
          auto event = event_in(batch, segment.file, offset);
          if (!event) {
            return std::unexpected(in_file(std::move(event).error(), segment.file, batch.position));
          }
          found = *std::move(event);
          return false;
        },
        [&](LogGap gap) {
          gaps.push_back(std::move(gap));
          return true;
        }};
    SegmentWalk walk(*bytes, segment.file, checksum_seed(identity_), end);
    KEELSON_TRY_ASSIGN(more, walk.run(segment.start.next_batch, visitor));
  }
  if (!found && !gaps.empty()) return std::unexpected(std::move(gaps.back()).error);
  return found;
}

}  // namespace keelson::log
