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

/// Shows the batches of a segment in order, until there are no more or `visit` says false.
/// @param batches_max  what is after so many does not count.
/// @return whether `visit` wants more.
Result<bool> walk(std::string_view bytes, const std::string& path, ChecksumSeed seed,
                  std::uint64_t batches_max,
                  const std::function<Result<bool>(const StoredBatch&)>& visit) {
  std::uint64_t position = kSegmentHeaderBytes;
  for (; batches_max > 0 && position + kBatchHeaderBytes <= bytes.size(); --batches_max) {
    const std::string_view rest = bytes.substr(position);
    // What has not been written yet is zero.
    if (rest.substr(0, kBatchHeaderBytes).find_first_not_of('\0') == rest.npos) return true;
    auto header = decode_batch_header(rest, seed);
    if (header && header->padded_bytes() > rest.size()) {
      header = fail(Errc::corruption, "the batch is longer than the file's rest");
    }
    if (!header) return std::unexpected(in_file(std::move(header).error(), path, position));
    const StoredBatch batch{*header, position, rest.substr(0, header->padded_bytes())};
    if (auto good = check_batch_body(*header, batch.bytes, seed); !good) {
      return std::unexpected(in_file(std::move(good).error(), path, position));
    }
    KEELSON_TRY_ASSIGN(const bool more, visit(batch));
    if (!more) return false;
    position += header->padded_bytes();
  }
  return true;
}

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

/// How many batches of a segment count at most: what a mark removes does not.
std::uint64_t counted(const SegmentInfo& segment, const std::optional<BatchNo>& mark) {
  if (!mark) return UINT64_MAX;
  const BatchNo first = segment.start.next_batch;
  return *mark > first ? *mark - first : 0;
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

Result<std::vector<SegmentInfo>> LogInspector::segments() const {
  return settled([this] { return list_segments(); });
}

Result<std::vector<BatchInfo>> LogInspector::batches(BatchNo from, std::size_t limit) const {
  return settled([&] { return list_batches(from, limit); });
}

Result<std::optional<EventInfo>> LogInspector::event(Offset offset) const {
  return settled([&] { return find_event(offset); });
}

Result<std::vector<SegmentInfo>> LogInspector::list_segments() const {
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  KEELSON_TRY_ASSIGN(const Past past, read_past(files_, folder_, identity_, names));
  std::vector<SegmentInfo> segments;
  for (const SegmentOnDisk& segment : find_segments(names)) {
    if (past.contains(segment.first_batch)) continue;
    const std::string path = folder_ + "/" + segment.name;
    SegmentInfo info;
    info.form = segment.form;
    info.plain_file = path;
    info.file = segment_file(path, segment.form);
    KEELSON_TRY_ASSIGN(const auto file, files_.open(info.file, io::OpenMode::read));
    KEELSON_TRY_ASSIGN(info.bytes, file->size());
    KEELSON_TRY_ASSIGN(const std::string bytes, segment_head(files_, path, segment.form));
    auto header = decode_segment_header(bytes, identity_);
    if (!header) return std::unexpected(in_file(std::move(header).error(), info.file, 0));
    info.start = header->start.point;
    KEELSON_TRY_ASSIGN(info.indexed, files_.exists(index_path(path)));
    segments.push_back(std::move(info));
  }
  return segments;
}

Result<std::vector<BatchInfo>> LogInspector::list_batches(BatchNo from, std::size_t limit) const {
  KEELSON_TRY_ASSIGN(const auto mark, read_mark(files_, folder_, identity_));
  KEELSON_TRY_ASSIGN(const auto all, list_segments());
  std::vector<BatchInfo> found;
  for (std::size_t i = 0; i < all.size() && found.size() < limit; ++i) {
    if (i + 1 < all.size() && all[i + 1].start.next_batch <= from) continue;
    KEELSON_TRY_ASSIGN(const std::string bytes,
                       segment_bytes(files_, all[i].plain_file, all[i].form));
    const auto take = [&](const StoredBatch& batch) {
      if (batch.header.batch_no >= from) {
        found.push_back({batch.header, all[i].file, batch.position});
      }
      return Result<bool>(found.size() < limit);
    };
    KEELSON_TRY(walk(bytes, all[i].file, checksum_seed(identity_), counted(all[i], mark), take));
  }
  return found;
}

Result<std::optional<EventInfo>> LogInspector::find_event(Offset offset) const {
  KEELSON_TRY_ASSIGN(const auto mark, read_mark(files_, folder_, identity_));
  KEELSON_TRY_ASSIGN(const auto all, list_segments());
  if (!all.empty() && offset < all.front().start.end) {
    return fail(Errc::below_start,
                "the log begins at offset " + std::to_string(all.front().start.end.value));
  }
  std::optional<EventInfo> found;
  for (std::size_t i = 0; i < all.size() && !found; ++i) {
    if (i + 1 < all.size() && all[i + 1].start.end <= offset) continue;
    KEELSON_TRY_ASSIGN(const std::string bytes,
                       segment_bytes(files_, all[i].plain_file, all[i].form));
    const auto take = [&](const StoredBatch& batch) -> Result<bool> {
      if (batch.header.end_offset() <= offset) return true;
      auto event = event_in(batch, all[i].file, offset);
      if (!event) {
        return std::unexpected(in_file(std::move(event).error(), all[i].file, batch.position));
      }
      found = *std::move(event);
      return false;
    };
    KEELSON_TRY(walk(bytes, all[i].file, checksum_seed(identity_), counted(all[i], mark), take));
  }
  return found;
}

}  // namespace keelson::log
