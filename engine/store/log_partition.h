// The partition of a running node: staging on its strand, writing on its worker.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/log/partition_log.h"
#include "engine/store/log_health.h"
#include "engine/store/node_partition.h"
#include "engine/store/options.h"
#include "engine/store/partition.h"
#include "engine/store/partition_replication.h"
#include "engine/store/partition_upkeep.h"
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
  bool replica = false;  ///< one of several: see `LogPartition::open_replica`
  /// From so much on it is worth another thread to verify what a leader sends.
  std::size_t verify_ahead_bytes = 256u << 10;
};

/// Owns a `PartitionLog` and the staged difference to it.
///
/// Thread: commits are checked, decided and encoded on the strand. The worker appends and syncs one
/// batch after another, as long as something is staged; the strand gathers the next meanwhile. When
/// a batch is durable the strand publishes it and answers callers: on the worker's thread when
/// nobody else is on the strand, so that a lone caller waits for no further thread, and the commits
/// with which those callers come back are all in the next batch. When a large batch waits already
/// the worker leaves that to others and goes on writing. Reads go to the log from any thread.
///
/// Crash: before the sync returns, the batch may or may not be found whole at the next start and
/// nobody has been answered; afterwards it is there. A batch that is written last and rots looks as
/// if a crash had torn it: `close` writes one more, so that after a clean shutdown it does not. A
/// failed write (a full disk) takes back everything staged, since later commits may have been
/// decided on it; a failed sync ends the process, since the kernel may have dropped what it could
/// not write.
class LogPartition final : public NodePartition, public std::enable_shared_from_this<LogPartition> {
 public:
  /// Starts a new epoch in `log`, durably, and serves it. When the disk is full, the first batch
  /// that there is room for starts the epoch.
  /// @param maintenance  a worker that seals full segments and removes old ones, beside the writer;
  ///                     partitions may share it.
  [[nodiscard]] static Result<std::shared_ptr<LogPartition>> open(
      Environment environment, std::unique_ptr<log::PartitionLog> log, LogPartitionOptions options,
      std::shared_ptr<Strand> maintenance);

  /// A replica of a partition: takes no command, and shows nothing that it has not been told is
  /// committed, until `replicate` has given it someone who says so. `log` was opened with its tail
  /// held.
  [[nodiscard]] static std::shared_ptr<LogPartition> open_replica(
      Environment environment, std::unique_ptr<log::PartitionLog> log, LogPartitionOptions options,
      std::shared_ptr<Strand> maintenance);

  [[nodiscard]] PartitionId id() const override { return options_.id; }
  [[nodiscard]] Result<void> health() const override;
  [[nodiscard]] MaintenanceStatus maintenance(Maintenance work) const override {
    return upkeep_->status(work);
  }
  [[nodiscard]] Offset start() const override { return log_->start(); }
  [[nodiscard]] Offset end() const override { return log_->end(); }

  void execute(std::optional<CommandStamp> stamp, Decide decide, Completion completion) override;
  void execute_all(std::vector<Execution> all) override;
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
  void linearize(Linearized done) const override;
  void commit_group_offset(std::string group, Offset next, Completion completion) override;
  [[nodiscard]] Result<std::optional<Offset>> group_offset(std::string_view group) const override;
  void keep_for(const std::string& reader, Offset next) override {
    upkeep_->keep_for(reader, next);
  }
  [[nodiscard]] Result<void> readable() const override;
  [[nodiscard]] bool may_lag() const override { return replica_ && !serving_; }
  [[nodiscard]] std::optional<std::string> leader() const override;

  /// From any thread.
  void set_retention(const log::Retention& retention) { upkeep_->set_retention(retention); }
  /// Nothing is removed before. From any thread.
  void start_retention() { upkeep_->start_retention(); }
  /// Refuses new commits as `closed`; calls `done` on the strand when all staged are answered and
  /// the log ends with a witness that they are durable, if it can be written.
  void close(Task done);
  /// Calls `done` when the workers have let go of all they were given; to follow `close`.
  void when_idle(Task done);

  // --- a replica: all of this on its strand; see PartitionReplication ---
  [[nodiscard]] const std::shared_ptr<Strand>& strand() const { return strand_; }
  /// @param replication  outlives this partition, or the call with nullptr that takes it back.
  void replicate(PartitionReplication* replication) { replication_ = replication; }
  /// Appends the control batch that starts `epoch`, then what waits to be written.
  void start_epoch(Epoch epoch);
  /// Whether batches wait that are not appended yet.
  [[nodiscard]] bool has_to_append() const { return staging_.size() > uncommitted_.size(); }
  /// Takes commands.
  void serve() { serving_ = true; }
  /// Writes nothing more until the next `start_epoch`; `on_writer_stopped` follows.
  void pause_writing();
  /// The same, and takes no commands. Who waits is answered `not_leader`, or `outcome_unknown`
  /// where the log may have it.
  void step_down();
  /// All before `end` is committed, and durable here.
  void publish(BatchNo end);
  /// Appends batches of another replica; `on_log_done` or `on_log_failed` follows, for each in the
  /// order they were asked for.
  void append_batches(std::uint64_t operation, std::string batches);
  /// Removes all batches from `to` on; the same follows.
  void cut(std::uint64_t operation, BatchNo to);
  /// Takes what is left of a removed segment; the same follows, and `install_place` has moved on.
  void take_removed(std::uint64_t operation, log::RemovedPiece piece);
  /// Gives the log another beginning: see `log::PartitionLog::begin_at`. The same follows. Nothing
  /// is readable from here on, until `set_readable`.
  void begin_at(std::uint64_t operation, std::string header);
  [[nodiscard]] const log::InstallPlace& install_place() const { return install_place_; }
  /// What is published is all that readers have ever seen here, or more.
  void set_readable();
  void set_leader(std::optional<std::string> address);
  /// This replica takes part no more: nothing is shown from here on, and `health` says why.
  void halt(const Error& reason);
  /// What has halted it holds no more. It is readable when somebody says so.
  void resume();

  /// After the last batch appended: its epoch, and its number + 1.
  [[nodiscard]] const log::LogPoint& appended() const { return appended_; }
  [[nodiscard]] const log::PartitionLog& log() const { return *log_; }

 private:
  class StagedView;

  class HeldCursor;
  /// What a follower is to do to its log, in order.
  struct FollowerWork {
    std::uint64_t operation = 0;
    std::string batches;            ///< to be appended …
    std::optional<BatchNo> cut_to;  ///< … unless one of these is set
    std::optional<log::RemovedPiece> removed{};
    std::optional<std::string> begin_at{};
    Result<log::Incoming> verified{nullptr};  ///< the batches, once they are

    [[nodiscard]] bool appends() const { return !cut_to && !removed && !begin_at; }
  };
  struct FollowerState {
    log::LogPoint appended;
    log::InstallPlace install_place;
    std::optional<log::CutCopy> cut_copy;
  };

  LogPartition(Environment environment, std::unique_ptr<log::PartitionLog> log,
               const LogPartitionOptions& options, std::shared_ptr<Strand> maintenance);

  // On the strand.
  void stage(std::optional<CommandStamp> stamp, Decide decide, Completion completion);
  /// Answers with `error`; a version that is only staged is answered when it is durable, as it may
  /// never come to be, and one that is committed when no later one can be, at another leader.
  void refuse(Error error, Completion completion);
  [[nodiscard]] Result<void> admit() const;
  [[nodiscard]] Error refusal() const;
  /// @return for each write where it begins.
  [[nodiscard]] Result<std::vector<CommitOutcome::Written>> check(const Commit& commit) const;
  [[nodiscard]] Result<Version> staged_version(std::string_view stream) const;
  void start_writer();
  void on_written(std::uint64_t term, Result<BatchNo> written);
  void discard(const Error& error, std::size_t kept);
  void maybe_closed();

  /// Returns when nothing can be committed with a time up to `time` any more, by whichever node.
  [[nodiscard]] Result<void> settle_committed(TimeUs time) const;

  [[nodiscard]] Result<void> not_halted() const;
  [[nodiscard]] bool damaged() const override { return !not_halted(); }
  void on_moved_away() override { waiters_->wake_all(); }

  // On the strand, of a replica.
  void mark_time();
  void on_appended(std::uint64_t term, const log::LogPoint& appended, bool staged);
  void stop_writer();
  void follow();
  [[nodiscard]] std::vector<FollowerWork> take_work();
  void give_writer(std::vector<FollowerWork> work);
  void verify_ahead();
  void on_verified(std::uint64_t pass, Result<log::Incoming> verified);
  void on_followed(const std::vector<FollowerWork>& work, const Result<void>& result,
                   const FollowerState& state);

  // On the worker.
  void write_batches(std::uint64_t term);
  [[nodiscard]] Result<BatchNo> append(const log::BatchDraft& draft);
  [[nodiscard]] Result<BatchNo> write(std::uint64_t term, const log::BatchDraft& draft);
  [[nodiscard]] Result<void> make_durable();
  /// Appends a control batch that says that all before it is durable, and makes that durable too.
  [[nodiscard]] Result<BatchNo> write_witness(TimeUs now);
  void write_epoch_start(std::uint64_t term, log::BatchDraft draft);
  [[nodiscard]] Result<void> follow(std::vector<FollowerWork>& work);
  [[nodiscard]] Result<void> append_followed(std::vector<FollowerWork>& work);

  Environment environment_;
  LogPartitionOptions options_;
  const std::shared_ptr<log::PartitionLog> log_;
  Epoch epoch_;                 ///< in which batches are written; the worker's
  bool epoch_started_ = false;  ///< in the log; the worker's
  mutable CommitTimes times_;
  StagingArea staging_;
  const std::shared_ptr<LogHealth> health_ =
      std::make_shared<LogHealth>();  ///< cursors have it too
  const std::shared_ptr<TailWaiters> waiters_ = std::make_shared<TailWaiters>();
  std::function<void()> on_discard_;
  /// The log ends with a control batch: whatever rots before it was durable, and is corruption.
  bool witnessed_ = true;
  bool closing_ = false;
  Task on_closed_;
  std::shared_ptr<Strand> strand_;
  std::shared_ptr<Strand> writer_;
  const std::shared_ptr<PartitionUpkeep> upkeep_;

  // Of a replica, on the strand.
  const bool replica_;
  PartitionReplication* replication_ = nullptr;
  std::atomic<bool> serving_ = false;  ///< read from any thread
  std::uint64_t term_ = 0;             ///< counts the times that this node has stopped leading
  log::LogPoint appended_;
  std::deque<BatchNo> uncommitted_;  ///< numbers of the staged batches that have been appended
  std::deque<FollowerWork> follower_work_;  ///< what the worker has not been given
  std::size_t verified_ = 0;                ///< how many at the front of it are verified
  bool verifying_ = false;                  ///< the verifier is at the next
  std::uint64_t verifying_pass_ = 0;        ///< counts failures: what was verified before is void
  log::Incoming last_verified_;             ///< what it follows; null: what is appended
  std::shared_ptr<Strand> verifier_;        ///< a worker, made when there is much to verify
  bool following_ = false;                  ///< the worker is at it
  bool cutting_ = false;                    ///< at what nothing may be published beside
  log::InstallPlace install_place_;
  std::optional<BatchNo> publish_later_;
  bool readable_later_ = false;  ///< when that has been published
  // Of a replica, read from any thread.
  std::atomic<bool> readable_;
  mutable std::mutex leader_mutex_;  ///< of `leader_`
  std::optional<std::string> leader_;
  mutable std::mutex halted_mutex_;  ///< of `halted_`
  std::optional<Error> halted_;
  std::function<void()> ask_for_mark_;  ///< sees to it that a batch with a later time is committed
  mutable std::mutex marks_mutex_;
  mutable std::condition_variable marked_;                ///< `published_time_` has changed
  std::atomic<std::int64_t> published_time_ = INT64_MIN;  ///< of the last batch published
};

}  // namespace keelson
