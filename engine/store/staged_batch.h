// Commits gathered into one batch, on their way to the disk.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/log/partition_log.h"
#include "engine/store/commit.h"
#include "engine/store/commit_times.h"
#include "engine/store/partition.h"

namespace keelson {

/// A commit that has been decided and encoded, and whose callers wait for it to be durable.
struct StagedCommit {
  std::optional<CommandStamp> stamp;
  std::string key;  ///< of `stamp`, as `StagingArea` knows it
  CommitOutcome outcome;
  std::vector<StreamWrite> writes;              ///< kept for `StagingArea::read`
  Partition::Completion completion;             ///< of the first caller
  std::vector<Partition::Completion> repeated;  ///< of those who sent the same command meanwhile
  /// Callers who were refused because of what this commit writes, each with the refusal.
  std::vector<std::pair<Partition::Completion, Error>> refused;
};

/// Answers all who wait for `commit`.
void answer(StagedCommit& commit, Result<CommitOutcome> outcome);

/// Commits in order. Without any it only says that its time has come: a control batch.
struct StagedBatch {
  Offset base_offset;
  TimeUs time;
  log::BodyWriter body;
  std::uint64_t bytes = 0;  ///< of the body, also when the writer has taken it
  /// A deque, so that commits stay where they are while more are added.
  std::deque<StagedCommit> commits;
};

/// What is staged and not yet committed: the difference between the partition as readers see it and
/// as its next commit finds it.
///
/// Batches are in commit order: those that the writer has taken, those that are full and wait, and
/// the last one, which gathers until it is full or taken. When a write fails, its batch and all
/// that were staged after it are lost together (`discard`), since later commits may have been
/// decided on earlier ones.
///
/// Threads: belongs to the strand, but for `next_to_write` and `waiting_bytes`, which are for the
/// writer. So the writer goes on to the next batch without waiting for the strand, and a batch is
/// not closed before the disk is free for it.
class StagingArea {
 public:
  struct Options {
    PartitionId partition;
    Offset end;
    TimeUs last_time;               ///< of the last committed batch
    std::uint32_t batch_bytes_max;  ///< a batch is closed when it has reached this
  };
  /// @param times  told of every batch; must outlive it.
  StagingArea(const Options& options, CommitTimes& times)
      : partition_(options.partition),
        batch_bytes_max_(options.batch_bytes_max),
        end_(options.end),
        last_time_(options.last_time),
        times_(times) {}

  /// The time that a commit decided now carries. Takes back one that nothing was staged with.
  [[nodiscard]] TimeUs next_time(TimeUs now);
  /// Takes the time back when nothing was staged since: nobody is to wait for it.
  void drop_unused_time();

  /// Encodes `commit` into the gathering batch. Its expectations must have been checked.
  /// @param written  for each of its writes where it begins; ends and offsets are filled in.
  /// @param time     of `next_time`, since which nothing was staged.
  StagedCommit& stage(Commit commit, std::optional<CommandStamp> stamp,
                      std::vector<CommitOutcome::Written> written, TimeUs time);

  /// Encodes a consumer group's offset.
  StagedCommit& stage_group_offset(std::string_view group, Offset next, TimeUs time);

  /// Sees to it that a batch with a time from `now` on is written, be it without commits.
  void stage_mark(TimeUs now);

  /// Version of a stream with uncommitted events; nothing when all its events are committed.
  [[nodiscard]] std::optional<Version> version(std::string_view stream) const;
  /// Uncommitted events of `stream` from `from`, in order. False from `visit` stops.
  void read(std::string_view stream, Version from, const EventVisitor& visit) const;
  /// The uncommitted commit with the same command key, or nullptr.
  [[nodiscard]] StagedCommit* find(const CommandStamp& stamp);
  /// The newest uncommitted commit that writes to `stream`, or nullptr.
  [[nodiscard]] StagedCommit* last_writer(std::string_view stream);

  [[nodiscard]] bool empty() const { return batches_.empty(); }
  [[nodiscard]] std::size_t size() const { return batches_.size(); }
  /// Bytes of all batches.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// End of the staged events: where the next commit begins.
  [[nodiscard]] Offset end() const { return end_; }

  /// Whether there is something to write and no writer at it. It is regarded as at it from now on,
  /// until `next_to_write` has nothing for it.
  [[nodiscard]] bool wants_writer();
  /// Bytes of the batch that `next_to_write` would hand out. On the writer's thread.
  [[nodiscard]] std::uint64_t waiting_bytes() const;
  /// Closes the oldest batch that the writer has not taken, and hands it out; nothing when there is
  /// none. On the writer's thread.
  /// @param done  the body of the batch written before, if any: its memory is used again.
  [[nodiscard]] std::optional<log::BatchDraft> next_to_write(log::BatchBody done);
  /// The oldest batch is committed: removes and returns it.
  std::unique_ptr<StagedBatch> finish_writing();
  /// A write has failed: the writer takes no more, and what it could not write is to be discarded.
  void writer_gave_up();
  /// Removes and returns all batches but the first `kept`; the next commit begins where they did.
  /// The writer has given up, or is held.
  std::deque<std::unique_ptr<StagedBatch>> discard(std::size_t kept);

  /// The writer is to take nothing until `let_write`: it finishes what it has taken.
  void hold_writer();
  void let_write();
  /// How many batches the writer has taken.
  [[nodiscard]] std::size_t taken() const;
  /// The log has been written by others: the next commit follows this. Only while empty.
  void continue_from(Offset end, TimeUs last_time);

 private:
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>{}(name);
    }
  };
  /// A write of a staged commit; its events have the versions of `commit->outcome.written[write]`.
  struct StagedWrite {
    StagedCommit* commit;
    std::size_t write;

    [[nodiscard]] const CommitOutcome::Written& written() const {
      return commit->outcome.written[write];
    }
  };
  /// The staged writes of one stream, oldest first: a queue that can be searched. At least one.
  class StreamWrites {
   public:
    void push(StagedWrite write) { writes_.push_back(write); }
    void pop();
    void pop_newest() { writes_.pop_back(); }
    [[nodiscard]] std::span<const StagedWrite> all() const {
      return std::span(writes_).subspan(popped_);
    }

   private:
    std::vector<StagedWrite> writes_;
    std::size_t popped_ = 0;  ///< how many at the front are gone
  };

  /// Writes into `key` what `stamp` is known by.
  static void put_key(std::string& key, const CommandStamp& stamp);
  // With the mutex held.
  [[nodiscard]] bool gathering() const;
  StagedBatch& gathering_batch(TimeUs time);
  void add_batch(TimeUs time);
  void encode_events(StagedBatch& batch, StagedCommit& staged);
  void forget(const StagedBatch& newest);

  StagedCommit& add(log::CommitHeader header, StagedCommit staged, TimeUs time);

  const PartitionId partition_;
  const std::uint32_t batch_bytes_max_;
  Offset end_;
  TimeUs last_time_;  ///< of the last committed batch
  CommitTimes& times_;
  bool time_begun_ = false;  ///< `times_` knows of a batch to come, which takes the next commit
  std::uint64_t bytes_ = 0;
  /// Of each stream with staged events, its writes. A decision reads the few events that are new to
  /// it, however many are staged.
  std::unordered_map<std::string, StreamWrites, NameHash, std::equal_to<>> streams_;
  std::unordered_map<std::string_view, StagedCommit*> commands_;  ///< by `StagedCommit::key`
  std::string sought_;                                            ///< the key looked for last

  /// Guards what the writer shares: the bodies in `batches_`, and the following. `batches_` itself
  /// is changed by the strand alone.
  mutable std::mutex mutex_;
  std::deque<std::unique_ptr<StagedBatch>> batches_;
  std::size_t taken_ = 0;  ///< how many at the front the writer has taken
  bool writing_ = false;   ///< the writer is at it
  bool held_ = false;      ///< and takes no more
  log::BatchBody spare_;   ///< memory for the next batch
};

}  // namespace keelson
