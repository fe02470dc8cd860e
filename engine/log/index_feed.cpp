#include "engine/log/index_feed.h"

namespace keelson::log {

Result<void> add_to_index(TailIndex& index, const KeyHasher& hasher, const LogPoint& segment,
                          const StoredBatch& batch) {
  BatchEntry entry;
  entry.file_position = static_cast<std::uint32_t>(batch.position);
  entry.relative_offset = static_cast<std::uint32_t>(batch.header.base_offset - segment.end);
  entry.time = batch.header.time;
  KEELSON_TRY_ASSIGN(const OpenBody body, open_body(batch));
  index.add_batch(entry, batch.header.event_count);
  BodyReader reader(body.bytes, batch.header.event_count, batch.header.commit_count);
  while (true) {
    KEELSON_TRY_ASSIGN(const DecodedCommit* const commit, reader.next_commit());
    if (commit == nullptr) return {};
    if (!commit->header.key.id.empty()) {
      index.add_commit(hasher.command(commit->header.key),
                       static_cast<std::uint32_t>(commit->position));
    }
    while (true) {
      KEELSON_TRY_ASSIGN(const DecodedEvent* const event, reader.next_event());
      if (event == nullptr) break;
      KEELSON_TRY(index.add_event(hasher.stream(event->record.stream), event->record.version,
                                  static_cast<std::uint32_t>(event->position)));
    }
  }
}

}  // namespace keelson::log
