// The end of the log that is written.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/log/incoming_batches.h"
#include "engine/log/log_state.h"
#include "engine/log/partition_log.h"
#include "engine/log/segment.h"
#include "engine/log/segment_fill.h"

namespace keelson::log {

/// Numbers, hashes and writes batches, or takes those of another replica; makes them durable; moves
/// on to the next segment when one is full, and back when batches are cut. Owned by one thread; the
/// functions marked so may be called from others.
///
/// Invariants: bytes of the segment at and after its fill read as zeros or are about to be made so
/// before anything else is written (`dirty_end_`, `cut_unfinished_`). All segments but the last are
/// durable. Where a batch lies is a function of the batches before it (`SegmentFill`).
///
/// A segment has its room on disk from the start, and no more than that: the first write to a block
/// makes the file system note that it is written, which the next sync has to make durable as well.
/// So that not every small batch pays for this, zeros are written ahead of them, many at a time.
///
/// Crash: what `durable_batches` of a batch says is true whenever there is no mark in the folder.
/// With one, the next start removes all from there on: see `append_batches` and `cut`.
class LogWriter {
 public:
  struct Place {
    std::shared_ptr<const SegmentFile> file;  ///< the last segment
    std::uint64_t position = 0;               ///< where its batches end; all before is durable
    std::uint64_t entries = 0;                ///< events and commits in it
  };

  /// No zeros are written ahead of what is as large as this: it would take the disk longer than
  /// the note does that the blocks are written.
  static constexpr std::uint64_t kLargeWriteBytes = 128u << 10;

  /// What the log's options say of writing.
  struct Options {
    std::uint64_t segment_bytes = 0;
    Codec codec = Codec::none;  ///< of batches
  };

  /// @param floor  where the first segment begins that can be cut: those before are sealed.
  LogWriter(const SegmentContext& context, std::string folder, Options options,
            SegmentList& segments, LogState state, Place place, BatchNo floor);

  /// As `PartitionLog` says.
  [[nodiscard]] Result<BatchNo> append(const BatchDraft& draft);
  [[nodiscard]] Result<void> sync();
  [[nodiscard]] Result<Incoming> verify_batches(std::string batches,
                                                const IncomingBatches* before) const;
  [[nodiscard]] Result<void> append_batches(std::span<const Incoming> batches);
  /// @param to  not before the floor.
  [[nodiscard]] Result<void> cut(BatchNo to);
  [[nodiscard]] const LogPoint& point() const { return state_.point; }
  /// The log is another one: it begins, and so far ends, at `state`, in the segment `file`.
  void start_over(LogState state, std::shared_ptr<const SegmentFile> file);
  /// What is on disk cannot be known any more: every later call fails with `error`.
  void fail_for_good(const Error& error) { failed_ = error; }
  [[nodiscard]] const std::optional<Error>& failure() const { return failed_; }

  /// From any thread.
  [[nodiscard]] TimeUs last_time() const { return TimeUs(last_time_.load()); }
  [[nodiscard]] Epoch last_epoch() const { return Epoch(last_epoch_.load()); }
  /// How often batches have been removed. From any thread.
  [[nodiscard]] std::uint64_t cuts() const { return cuts_.load(std::memory_order_acquire); }

 private:
  [[nodiscard]] BatchHeader lay_out(const BatchDraft& draft);
  [[nodiscard]] LogState complete(BatchHeader& header, std::span<const Hash> leaves);
  [[nodiscard]] Result<void> make_room(std::uint64_t bytes, std::uint64_t entries);
  [[nodiscard]] Result<void> roll(std::uint64_t bytes);
  [[nodiscard]] Result<void> write(std::string_view batches, std::size_t first, std::size_t end);
  [[nodiscard]] Result<void> zero_ahead(std::uint64_t bytes);
  [[nodiscard]] Result<void> clean_rest();
  [[nodiscard]] Result<void> sync_folder();
  /// `synced` is what a sync gave: its failure is for good.
  [[nodiscard]] Result<void> remember(Result<void> synced);
  void accept(LogState state);
  void enter(std::shared_ptr<const SegmentFile> file, const SegmentFill& fill);

  // In log_writer_replica.cpp.
  [[nodiscard]] Result<void> tidy();
  [[nodiscard]] bool has_needless_segment() const;
  [[nodiscard]] Result<void> verify(IncomingBatches& batches) const;
  [[nodiscard]] Result<void> write_batches(std::span<const Incoming> batches);
  [[nodiscard]] Result<void> write_runs(std::span<const Incoming> batches, bool marked);
  [[nodiscard]] Result<void> mark(BatchNo end);
  [[nodiscard]] Result<void> unmark();
  [[nodiscard]] Result<void> go_back(BatchNo to);
  [[nodiscard]] Result<void> finish_cut();
  [[nodiscard]] Result<void> remake_first();

  const SegmentContext& context_;
  const std::string folder_;
  const ChecksumSeed seed_;
  const Options options_;
  SegmentList& segments_;
  BatchNo floor_;

  LogState state_;  ///< after the last appended batch
  std::shared_ptr<const SegmentFile> file_;
  SegmentFill fill_;              ///< of it
  std::uint64_t zeroed_end_ = 0;  ///< up to here it has been written to, with zeros at least
  BatchNo durable_batches_;
  /// A failed write may have left bytes up to here; 0: none.
  std::uint64_t dirty_end_ = 0;
  /// Whatever is on disk after `state_` is to be removed before anything else is written.
  bool cut_unfinished_ = false;
  /// The mark is in the folder: with `cut_unfinished_` it is that of `state_`.
  bool marked_ = false;
  /// A sync failed: nothing can be trusted to be written any more.
  std::optional<Error> failed_;
  std::string buffer_;  ///< the batch being written
  BodyCompressor compressor_;

  std::atomic<std::int64_t> last_time_;
  std::atomic<std::uint64_t> last_epoch_;
  std::atomic<std::uint64_t> cuts_ = 0;
};

}  // namespace keelson::log
