// A segment opened for look-ups: its index and, once something is found, its bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/base/result.h"
#include "engine/log/published_log.h"
#include "engine/log/segment_index.h"

namespace keelson::log {

/// Resolves what an index says to what lies in the log, verifying each batch on the way. Holds what
/// it has opened. Not thread-safe; make one per look-up.
class IndexedSegment {
 public:
  IndexedSegment(const PublishedLog& log, std::shared_ptr<const Segment> segment);

  [[nodiscard]] const SegmentIndex& index() const { return *index_; }
  [[nodiscard]] const LogPoint& start() const { return segment_->start(); }
  /// `offset` less the segment's first; 0 when it lies before.
  [[nodiscard]] std::uint64_t relative(Offset offset) const;

  /// The batch with this ordinal, its checksum verified. Valid until the next call.
  /// @error corruption  context has file and byte.
  [[nodiscard]] Result<const StoredBatch*> batch(std::uint32_t ordinal);

  /// The event at `posting` with the id of its command.
  [[nodiscard]] Result<FoundEvent> event(const Posting& posting);
  /// The commit at `place`.
  [[nodiscard]] Result<DecodedCommit> commit(const CommitPlace& place);

  /// Keeps the bytes that have been read.
  [[nodiscard]] std::shared_ptr<const void> pin() const { return file_; }
  /// `error` with the file and the batch read last.
  [[nodiscard]] std::unexpected<Error> failed(Error error) const;

 private:
  const PublishedLog& log_;
  std::shared_ptr<const Segment> segment_;
  std::shared_ptr<const SegmentIndex> index_;
  std::shared_ptr<const SegmentFile> file_;
  std::optional<std::uint32_t> ordinal_;  ///< of `batch_`
  StoredBatch batch_;
};

}  // namespace keelson::log
