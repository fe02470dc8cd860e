// The end of the log that is written.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/result.h"
#include "engine/log/log_state.h"
#include "engine/log/partition_log.h"
#include "engine/log/segment.h"
#include "engine/log/segment_supply.h"

namespace keelson::log {

/// Numbers, hashes and writes batches; makes them durable; moves on to the next segment when one is
/// full. Owned by one thread; the functions marked so may be called from others.
///
/// Invariants: bytes of the segment at and after `position_` are zero on disk or about to be made
/// so before anything else is written (`dirty_end_`). All segments but the last are durable.
class LogWriter {
 public:
  struct Place {
    std::shared_ptr<SegmentFile> file;  ///< the last segment
    std::uint64_t position = 0;         ///< where its batches end; all before is durable
    std::uint64_t entries = 0;          ///< events and commits in it
  };

  /// What the log's options say of writing.
  struct Options {
    std::uint64_t segment_bytes = 0;
    Codec codec = Codec::none;  ///< of batches
  };

  LogWriter(const SegmentContext& context, std::string folder, Options options,
            SegmentList& segments, SegmentSupply& supply, LogState state, Place place);

  /// As `PartitionLog` says.
  [[nodiscard]] Result<BatchNo> append(const BatchDraft& draft);
  [[nodiscard]] Result<void> sync();

  /// From any thread.
  [[nodiscard]] TimeUs last_time() const { return TimeUs(last_time_.load()); }
  [[nodiscard]] Epoch last_epoch() const { return Epoch(last_epoch_.load()); }
  /// Whether the segment is so full, by half, that the next one should be made. From any thread.
  [[nodiscard]] bool wants_next() const { return wants_next_.load(); }
  /// What the next segment should hold. From any thread.
  [[nodiscard]] std::uint64_t next_segment_bytes() const { return next_segment_bytes_.load(); }

 private:
  [[nodiscard]] Result<LogState> encode(const BatchDraft& draft);
  [[nodiscard]] Result<void> make_room(std::uint64_t bytes, std::uint64_t entries);
  [[nodiscard]] std::uint64_t entries_max() const;
  [[nodiscard]] Result<void> roll(std::uint64_t bytes);
  [[nodiscard]] Result<void> clean_rest();
  void accept(LogState state);
  void enter(Place place);

  const SegmentContext& context_;
  const std::string folder_;
  const ChecksumSeed seed_;
  const Options options_;
  SegmentList& segments_;
  SegmentSupply& supply_;

  LogState state_;  ///< after the last appended batch
  std::shared_ptr<SegmentFile> file_;
  std::uint64_t entries_ = 0;  ///< events and commits in it
  std::uint64_t position_ = 0;
  BatchNo durable_batches_;
  /// A failed write may have left bytes in [position_, dirty_end_); 0: none.
  std::uint64_t dirty_end_ = 0;
  /// A sync failed: nothing can be trusted to be written any more.
  std::optional<Error> failed_;
  std::string buffer_;  ///< the batch being written
  BodyCompressor compressor_;

  std::atomic<std::int64_t> last_time_;
  std::atomic<std::uint64_t> last_epoch_;
  std::atomic<bool> wants_next_ = false;
  std::atomic<std::uint64_t> next_segment_bytes_;
};

}  // namespace keelson::log
