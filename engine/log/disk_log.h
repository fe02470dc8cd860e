// The partition's log in a folder of segment files.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/log_install.h"
#include "engine/log/log_writer.h"
#include "engine/log/partition_log.h"
#include "engine/log/published_log.h"
#include "engine/log/segment_files.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

struct Past;
struct TornBytes;

/// Ties the parts together: `LogWriter` writes the last segment, `publish` lets readers see it,
/// `DiskCursor` and the look-ups read what is published.
///
/// Crash: see `LogWriter`, `create_segment`, `LogInstall`, `seal_segment`, disk_log_retention.cpp
/// and disk_log_compression.cpp; the repair is in disk_log_open.cpp and disk_log_replica.cpp.
class DiskLog final : public PartitionLog {
 public:
  DiskLog(io::FileSystem& files, std::string folder, const Uuid& identity, LogOptions options);

  /// Finds or makes the segments. Called once, before anything else.
  [[nodiscard]] Result<void> open();

  [[nodiscard]] const std::optional<TornTail>& torn_tail() const override { return torn_tail_; }
  [[nodiscard]] std::uint32_t rebuilt_indexes() const override { return rebuilt_indexes_; }

  [[nodiscard]] Result<BatchNo> append(const BatchDraft& draft) override;
  [[nodiscard]] Result<void> sync() override;
  void publish(BatchNo through) override;

  using PartitionLog::append_batches;
  [[nodiscard]] Result<Incoming> verify_batches(std::string batches,
                                                const IncomingBatches* before) const override {
    return writer_->verify_batches(std::move(batches), before);
  }
  [[nodiscard]] Result<void> append_batches(std::span<const Incoming> batches) override;
  [[nodiscard]] Result<void> cut(BatchNo to) override;
  [[nodiscard]] const std::optional<CutCopy>& last_cut() const override { return last_cut_; }
  [[nodiscard]] Result<void> take_removed(const RemovedPiece& piece) override;
  [[nodiscard]] InstallPlace install_place() const override { return install_.place(); }
  [[nodiscard]] Result<void> begin_at(std::string_view header) override;
  [[nodiscard]] LogPoint appended() const override { return writer_->point(); }
  [[nodiscard]] BatchNo first_batch() const override;
  [[nodiscard]] Result<Beginning> beginning(BatchNo segment, std::uint64_t position,
                                            std::uint64_t bytes_max) const override;
  [[nodiscard]] std::uint64_t bytes_from(BatchNo batch) const override;
  [[nodiscard]] BatchNo published() const override { return BatchNo(published_); }
  [[nodiscard]] Result<EncodedBatches> read_batches(BatchNo from, BatchNo end,
                                                    std::uint64_t bytes_max) const override;
  [[nodiscard]] std::optional<BatchRegion> region_of(BatchNo from, BatchNo end,
                                                     std::uint64_t bytes_max) const override;
  [[nodiscard]] Result<LogTail> tail(BatchNo from, BatchNo end) const override;
  [[nodiscard]] Result<Offset> offset_of(BatchNo batch) const override;

  [[nodiscard]] bool maintenance_due() const override;
  [[nodiscard]] Result<void> maintain() override;
  void set_retention(Retention retention) override;
  void keep_from(Offset offset) override { kept_from_ = offset.value; }
  [[nodiscard]] bool compression_due() const override { return compressible_; }
  [[nodiscard]] Result<void> compress() override;
  [[nodiscard]] bool retention_due(TimeUs now) const override;
  [[nodiscard]] Result<void> retain(TimeUs now) override;

  [[nodiscard]] Offset start() const override { return log_.start(); }
  [[nodiscard]] Offset end() const override { return log_.end(); }
  [[nodiscard]] TimeUs last_time() const override { return writer_->last_time(); }
  [[nodiscard]] Epoch last_epoch() const override { return writer_->last_epoch(); }

  [[nodiscard]] Result<std::unique_ptr<LogCursor>> read(Offset from) const override;
  [[nodiscard]] Result<void> read_stream(const StreamSlice& slice,
                                         const Visitor& visit) const override;
  [[nodiscard]] Result<Version> stream_version(std::string_view stream,
                                               Offset before) const override;
  [[nodiscard]] Result<std::optional<FoundCommit>> find_command(
      const CommandKey& key) const override;
  [[nodiscard]] Result<Offset> end_at(TimeUs time) const override;

 private:
  /// What opening found.
  struct Opened {
    LogState state;
    LogWriter::Place place;
    std::optional<TornTail> torn_tail;
  };

  /// How far `publish` has come. Belongs to the publishing thread.
  struct Publishing {
    std::shared_ptr<Segment> segment;
    std::shared_ptr<const OpenSegment> open;
    std::shared_ptr<TailIndex> index;
    std::uint64_t position = 0;
    BatchNo next_batch;
    Offset end;
  };

  /// A place between two batches, published or not.
  struct ReadPlace {
    std::shared_ptr<Segment> segment;
    std::shared_ptr<const OpenSegment> open;
    std::uint64_t position = 0;
    BatchNo next_batch;
    std::uint64_t cuts = 0;  ///< of the writer, when it was found
  };

  void publish_batch();
  [[nodiscard]] Result<void> seal_full();
  void seal_overdue();
  [[nodiscard]] Result<void> seal(Segment& segment);
  [[nodiscard]] Result<void> group_sealed();

  // Retention, in disk_log_retention.cpp.
  [[nodiscard]] Retention retention() const;
  [[nodiscard]] std::shared_ptr<Segment> oldest_expired(TimeUs now) const;
  [[nodiscard]] Result<void> remove(Segment& segment, const LogPoint& next);
  [[nodiscard]] Result<void> delete_removed();
  [[nodiscard]] SegmentList::Segments past_segments(const Past& past) const;
  void take_past(const Past& past);
  [[nodiscard]] Result<void> remove_leftovers(const Past& past);

  // Another beginning, in disk_log_install.cpp.
  [[nodiscard]] Result<void> start_over(const SegmentHeader& start);

  // Compression, in disk_log_compression.cpp.
  [[nodiscard]] std::shared_ptr<Segment> next_to_compress() const;
  [[nodiscard]] Result<void> put_compressed(Segment& segment, const std::string& unfinished,
                                            const std::string& compressed);
  [[nodiscard]] Result<void> clean_compressed();

  // Batches as such, in disk_log_replica.cpp.
  [[nodiscard]] Result<void> obey_mark(BatchNo end);
  [[nodiscard]] Result<ReadPlace> find_batch(BatchNo batch) const;
  [[nodiscard]] Result<StoredBatch> next_batch(ReadPlace& place) const;
  [[nodiscard]] Result<void> copy_from(BatchNo batch);
  [[nodiscard]] Result<LogState> state_at(BatchNo batch) const;
  [[nodiscard]] Result<Epoch> epoch_before(BatchNo batch) const;

  // Opening, in disk_log_open.cpp.
  [[nodiscard]] Result<Past> check_not_lost() const;
  [[nodiscard]] Result<Opened> make_first_segment();
  [[nodiscard]] Result<SegmentHeader> read_header(const SegmentOnDisk& segment) const;
  [[nodiscard]] Result<void> open_sealed(const SegmentOnDisk& segment, const SegmentHeader& header,
                                         const LogPoint& next);
  [[nodiscard]] Result<void> rebuild(const std::string& path, const SegmentHeader& header,
                                     const LogPoint& next);
  [[nodiscard]] Result<void> rebuild_compressed(const std::string& path,
                                                const SegmentHeader& header, const LogPoint& next);
  [[nodiscard]] Result<std::size_t> count_sealed(const std::vector<SegmentOnDisk>& segments) const;
  [[nodiscard]] Result<bool> was_sealed(const SegmentOnDisk& segment,
                                        const SegmentHeader& header) const;
  [[nodiscard]] Result<void> open_held(const std::string& name, const SegmentHeader& header,
                                       const LogPoint& next);
  [[nodiscard]] Result<Opened> open_last(const std::string& name, const SegmentHeader& header);
  [[nodiscard]] Result<TornTail> keep_torn(const SegmentFile& file, const LogState& at,
                                           const TornBytes& torn);
  void continue_from(Opened opened, std::size_t held);

  // Later, in disk_log_repair.cpp. Any thread.
  [[nodiscard]] Result<bool> repair_indexes(std::uint64_t repairs_before);
  [[nodiscard]] Result<void> repair_index(Segment& segment, const LogPoint& next);

  io::FileSystem& files_;
  const std::string folder_;
  const Uuid identity_;
  const LogOptions options_;
  PublishedLog log_;
  std::unique_ptr<LogWriter> writer_;
  LogInstall install_;               ///< the writer's
  std::optional<CutCopy> last_cut_;  ///< the same
  Publishing publishing_;
  std::atomic<std::uint64_t> published_ = 0;  ///< `next_batch` of that
  mutable ReadPlace read_on_;     ///< where `read_batches` has come; of the thread that calls it
  std::mutex sealing_mutex_;      ///< held while segments are sealed
  std::mutex compressing_mutex_;  ///< held while a segment is compressed, which may take seconds
  std::mutex grouping_mutex_;     ///< held while a group's filter is made, which may take seconds
  std::mutex repair_mutex_;  ///< held while indexes are repaired, or segments removed or replaced
  /// Full segments, wholly published, whose index is still in memory.
  std::atomic<std::uint32_t> sealable_ = 0;
  /// There may be segments to be grouped, or a filter to be made again.
  std::atomic<bool> groupable_ = false;
  /// There may be segments to be compressed.
  std::atomic<bool> compressible_ = false;
  std::vector<std::string> to_delete_;  ///< files of removed segments; with `repair_mutex_` held
  std::atomic<bool> deletion_due_ = false;  ///< `to_delete_` has some
  mutable std::mutex retention_mutex_;      ///< of `retention_`
  Retention retention_;
  std::atomic<std::uint64_t> kept_from_ = UINT64_MAX;  ///< see `keep_from`
  std::atomic<std::size_t> removed_ = 0;               ///< segments at the front of the list
  std::atomic<std::uint64_t> sealed_bytes_ = 0;  ///< of the sealed segments that are not removed
  std::optional<TornTail> torn_tail_;
  std::uint32_t rebuilt_indexes_ = 0;
};

}  // namespace keelson::log
