// The partition of a running node: staging on its strand, writing on its worker.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/log/partition_log.h"
#include "engine/store/log_health.h"
#include "engine/store/maintenance_health.h"
#include "engine/store/options.h"
#include "engine/store/partition.h"
#include "engine/store/staged_batch.h"
#include "engine/store/tail_waiters.h"

namespace keelson {

struct LogPartitionOptions {
  PartitionId id;
  std::size_t partitions = 1;  ///< of the topic
  Durability durability = Durability::fsync;
  log::Retention retention;
  std::shared_ptr<Strand> compression;  ///< a worker that nobody waits for; none: no compression
  Limits limits;
  std::uint64_t pending_bytes_max = 64u << 20;
  std::uint32_t batch_bytes_max = 1u << 20;
  MaintenanceHealth::Changed on_maintenance_change{};
};

/// Owns a `PartitionLog` and the staged difference to it.
///
/// Thread: commits are checked, decided and encoded on the strand. The worker appends and syncs one
/// batch after another, as long as something is staged; the strand gathers the next meanwhile. When
/// a batch is durable the strand publishes it and answers callers: on the worker's thread when
/// nobody else is on the strand, so that a lone caller waits for no further thread, and the commits
/// with which those callers come back are all in the next batch. Reads go to the log from any
/// thread.
///
/// Crash: before the sync returns, the batch may or may not be found whole at the next start and
/// nobody has been answered; afterwards it is there. A batch that is written last and rots looks as
/// if a crash had torn it: `close` writes one more, so that after a clean shutdown it does not. A
/// failed write (a full disk) takes back everything staged, since later commits may have been
/// decided on it; a failed sync ends the process, since the kernel may have dropped what it could
/// not write.
class LogPartition final : public Partition, public std::enable_shared_from_this<LogPartition> {
 public:
  /// Starts a new epoch in `log`, durably, and serves it. When the disk is full, the first batch
  /// that there is room for starts the epoch.
  /// @param maintenance  a worker that makes segments ahead of need and seals full ones, beside the
  ///                     writer; partitions may share it.
  [[nodiscard]] static Result<std::shared_ptr<LogPartition>> open(
      Environment environment, std::unique_ptr<log::PartitionLog> log, LogPartitionOptions options,
      std::shared_ptr<Strand> maintenance);

  [[nodiscard]] PartitionId id() const override { return options_.id; }
  [[nodiscard]] Result<void> health() const override { return health_->now(); }
  [[nodiscard]] MaintenanceStatus maintenance(Maintenance work) const override {
    return maintenance_health_.now(work);
  }
  [[nodiscard]] Offset start() const override { return log_->start(); }
  [[nodiscard]] Offset end() const override { return log_->end(); }

  void execute(std::optional<CommandStamp> stamp, Decide decide, Completion completion) override;
  [[nodiscard]] Result<std::optional<CommitOutcome>> find_outcome(
      const CommandStamp& stamp) const override;
  void set_discard_listener(std::function<void()> on_discard) override;
  [[nodiscard]] Result<std::unique_ptr<Cursor>> read(Offset from) const override;
  [[nodiscard]] Result<void> read_stream(std::string_view stream, const StreamRange& range,
                                         const EventVisitor& visit) const override;
  [[nodiscard]] Result<Version> stream_version(std::string_view stream,
                                               Offset before) const override;
  [[nodiscard]] Result<Offset> end_at(TimeUs time) const override;
  [[nodiscard]] std::unique_ptr<Registration> when_past(Offset offset, Task task) const override;
  void commit_group_offset(std::string group, Offset next, Completion completion) override;
  [[nodiscard]] Result<std::optional<Offset>> group_offset(std::string_view group) const override;
  void keep_for(const std::string& reader, Offset next) override;

  /// From any thread.
  void set_retention(const log::Retention& retention);
  /// Nothing is removed before. From any thread.
  void start_retention();
  /// Refuses new commits as `closed`; calls `done` on the strand when all staged are answered and
  /// the log ends with a witness that they are durable, if it can be written.
  void close(Task done);
  /// Calls `done` when the workers have let go of all they were given; to follow `close`.
  void when_idle(Task done);

 private:
  class StagedView;

  LogPartition(Environment environment, std::unique_ptr<log::PartitionLog> log,
               LogPartitionOptions options, Epoch epoch, std::shared_ptr<Strand> maintenance);

  // On the strand.
  void stage(std::optional<CommandStamp> stamp, Decide decide, Completion completion);
  /// Answers with `error`; a version that is only staged is answered when it is durable, as it may
  /// never come to be.
  void refuse(Error error, Completion completion);
  [[nodiscard]] Result<void> admit() const;
  /// @return for each write where it begins.
  [[nodiscard]] Result<std::vector<CommitOutcome::Written>> check(const Commit& commit) const;
  [[nodiscard]] Result<Version> staged_version(std::string_view stream) const;
  void start_writer();
  void on_written(Result<BatchNo> written);
  void discard(const Error& error);
  void maybe_closed();
  void maintain();
  [[nodiscard]] bool retention_due(TimeUs now) const;
  void on_maintained(bool done);
  void look_at_retention_again();
  void wait_for_age();
  void compress();

  // On the worker for maintenance.
  [[nodiscard]] bool retain(TimeUs now);
  [[nodiscard]] bool maintain_segments();

  // On the worker.
  void write_batches();
  [[nodiscard]] Result<BatchNo> append(const log::BatchDraft& draft);
  [[nodiscard]] Result<BatchNo> write(const log::BatchDraft& draft);
  [[nodiscard]] Result<void> make_durable();
  /// Appends a control batch that says that all before it is durable, and makes that durable too.
  [[nodiscard]] Result<BatchNo> write_witness(TimeUs now);

  Environment environment_;
  LogPartitionOptions options_;
  Epoch epoch_;
  bool epoch_started_ = false;  ///< in the log; the worker's
  std::unique_ptr<log::PartitionLog> log_;
  mutable CommitTimes times_;
  StagingArea staging_;
  std::shared_ptr<LogHealth> health_ = std::make_shared<LogHealth>();  ///< cursors have it too
  MaintenanceHealth maintenance_health_;
  std::shared_ptr<TailWaiters> waiters_ = std::make_shared<TailWaiters>();
  std::function<void()> on_discard_;
  /// The log ends with a control batch: whatever rots before it was durable, and is corruption.
  bool witnessed_ = true;
  bool closing_ = false;
  bool maintaining_ = false;
  bool retaining_ = false;  ///< see `start_retention`
  bool waiting_for_age_ = false;
  bool compressing_ = false;
  TimeUs retention_not_before_{0};  ///< it failed a while ago
  std::mutex readers_mutex_;
  std::map<std::string, Offset> readers_;  ///< what each has yet to read; see `keep_for`
  Task on_closed_;
  std::shared_ptr<Strand> strand_;
  std::shared_ptr<Strand> writer_;
  std::shared_ptr<Strand> maintenance_;
};

}  // namespace keelson
