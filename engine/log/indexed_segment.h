// A segment opened for look-ups.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
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
  [[nodiscard]] std::string_view bytes() const { return open_->file().bytes; }
  /// Whether `body` reads the header of the batch with this ordinal.
  [[nodiscard]] bool reads_header(std::uint32_t ordinal) const {
    return !open_->verified.contains_plain(ordinal);
  }
  /// The body of the batch with this ordinal, which the index says is at `extent`, padding
  /// included; nothing where it is compressed.
  [[nodiscard]] Result<std::string_view> body(std::uint32_t ordinal,
                                              const BatchExtent& extent) const;
  /// The body of the batch with this ordinal. The last one that was decompressed is kept.
  [[nodiscard]] Result<OpenBody> opened_body(std::uint32_t ordinal) const;

  /// After what lies at `extent` was read: see `SegmentFile::check_read`.
  [[nodiscard]] Result<void> check_read(const BatchExtent& extent) const {
    const std::uint64_t end = extent.end == 0 ? bytes().size() : extent.end;
    return open_->file().check_read(extent.begin, end - std::min<std::uint64_t>(extent.begin, end));
  }
  /// The same of the last body that was asked for.
  [[nodiscard]] Result<void> check_read() const {
    return open_->file().check_read(opened_position_, opened_bytes_);
  }

  /// The commit at `place`; see `check_read`. Valid until the body of another batch is asked for.
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
  [[nodiscard]] Result<StoredBatch> verify(std::uint32_t ordinal, std::uint32_t position) const;

  LogPoint start_;
  ChecksumSeed seed_;
  std::shared_ptr<const OpenSegment> open_;
  static constexpr std::uint32_t kNone = UINT32_MAX;
  mutable std::uint32_t decompressed_ordinal_ = kNone;
  mutable OpenBody decompressed_;
  mutable std::uint64_t opened_position_ = 0;  ///< of the batch whose body was asked for last
  mutable std::uint64_t opened_bytes_ = 0;
};

}  // namespace keelson::log
