// A segment opened for look-ups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/log/published_log.h"
#include "engine/log/segment_index.h"

namespace keelson::log {

/// Resolves what an index says to what lies in the log. A batch is verified, header and body, the
/// first time anyone enters it; afterwards an event is read where the index says it is, with checks
/// that keep the reading inside the batch. Keeps the segment open. Not thread-safe; make one per
/// look-up.
class IndexedSegment {
 public:
  /// Postings that `bodies` takes at a time: more than memory answers at once, and few enough that
  /// what was asked for is still in the cache when it is used.
  static constexpr std::size_t kPostingsAtOnce = 64;

  /// @error io_error, corruption  as `Segment::open`.
  [[nodiscard]] static Result<IndexedSegment> open(const PublishedLog& log, const Segment& segment);

  [[nodiscard]] const SegmentIndex& index() const { return open_->index(); }
  [[nodiscard]] const LogPoint& start() const { return start_; }
  /// Whether retention has removed it: its index answers, nothing else can be asked for.
  [[nodiscard]] bool removed() const { return open_->removed(); }
  /// `offset` less the segment's first; 0 when it lies before.
  [[nodiscard]] std::uint64_t relative(Offset offset) const;

  /// The batch with this ordinal.
  /// @error corruption  context has file and byte.
  [[nodiscard]] Result<StoredBatch> batch(std::uint32_t ordinal) const;
  /// Fills `bodies` with the body of each posting's batch, padding included, or nothing where it is
  /// compressed: those are decompressed one at a time, by `event`. And asks the processor
  /// for the bytes of all the events before the first of them is needed: they lie far apart, so the
  /// time to read them is the time of waiting for memory, and this way they are waited for
  /// together.
  [[nodiscard]] Result<void> bodies(std::span<const Posting> postings,
                                    std::span<std::string_view> bodies) const;

  /// The body of the batch with this ordinal. The last one that was decompressed is kept.
  [[nodiscard]] Result<OpenBody> opened_body(std::uint32_t ordinal) const;

  /// The event at `posting` in `body`, as `bodies` gave it, with the id of its command. Valid until
  /// an event or a commit of another batch is asked for.
  [[nodiscard]] Result<FoundEvent> event(const Posting& posting, std::string_view body) const;
  /// The commit at `place`. Valid as an event is.
  [[nodiscard]] Result<DecodedCommit> commit(const CommitPlace& place) const;

  /// Keeps the bytes that have been read.
  [[nodiscard]] std::shared_ptr<const OpenSegment> pin() const { return open_; }
  /// `error` with the file and the byte at which the batch with this ordinal begins.
  [[nodiscard]] std::unexpected<Error> failed(Error error, std::uint32_t ordinal) const;

 private:
  IndexedSegment(const PublishedLog& log, const LogPoint& start,
                 std::shared_ptr<const OpenSegment> open)
      : start_(start), seed_(log.seed), open_(std::move(open)) {}

  [[nodiscard]] Result<std::uint32_t> position(std::uint32_t ordinal) const;
  [[nodiscard]] Result<std::string_view> body(std::uint32_t ordinal, std::uint32_t position) const;
  [[nodiscard]] Result<StoredBatch> verify(std::uint32_t ordinal, std::uint32_t position) const;

  LogPoint start_;
  ChecksumSeed seed_;
  std::shared_ptr<const OpenSegment> open_;
  static constexpr std::uint32_t kNone = UINT32_MAX;
  mutable std::uint32_t decompressed_ordinal_ = kNone;
  mutable OpenBody decompressed_;
};

}  // namespace keelson::log
