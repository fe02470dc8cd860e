// Commits gathered into one batch, on their way to the disk.
#pragma once

#include <deque>
#include <memory>
#include <optional>
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
  CommitOutcome outcome;
  std::vector<StreamWrite> writes;             ///< kept for `StagingArea::read`
  std::vector<Partition::Completion> waiting;  ///< the first caller, then those who repeated it
  /// Callers who were refused because of what this commit writes, each with the refusal.
  std::vector<std::pair<Partition::Completion, Error>> refused;
};

/// Filled on the strand, then read by the writer; never both.
struct StagedBatch {
  Offset base_offset;
  TimeUs time;
  log::BodyWriter body;
  /// A deque, so that commits stay where they are while more are added.
  std::deque<StagedCommit> commits;

  [[nodiscard]] Offset end() const { return base_offset + body.event_count(); }
  [[nodiscard]] bool empty() const { return commits.empty(); }
};

/// What is staged and not yet committed: the difference between the partition as readers see it and
/// as its next commit finds it. Belongs to the strand.
///
/// Batches are in commit order: at most one is being written (`front`), the last one gathers. All
/// of it is lost together when a write fails (`discard`), since later commits may have been decided
/// on earlier ones.
class StagingArea {
 public:
  /// @param times  told of every batch; must outlive it.
  StagingArea(Offset end, TimeUs last_time, CommitTimes& times)
      : end_(end), last_time_(last_time), times_(times) {}

  /// The batch being gathered, made if there is none, with a time from `now` on.
  StagedBatch& gather(TimeUs now);
  /// Takes the gathered batch back when nothing was staged in it: nobody is to wait for it.
  void drop_if_empty();

  /// Encodes `commit` into the gathered batch. Its expectations must have been checked, and each
  /// write's stream must be at `versions[i]`.
  StagedCommit& stage(Commit commit, std::optional<CommandStamp> stamp,
                      const std::vector<Version>& versions, PartitionId partition);

  /// Encodes a consumer group's offset.
  StagedCommit& stage_group_offset(std::string_view group, Offset next, PartitionId partition);

  /// Version of a stream with uncommitted events; nothing when all its events are committed.
  [[nodiscard]] std::optional<Version> version(std::string_view stream) const;
  /// Uncommitted events of `stream` from `from`, in order. False from `visit` stops.
  void read(std::string_view stream, Version from, PartitionId partition,
            const EventVisitor& visit) const;
  /// The uncommitted commit with the same command key, or nullptr.
  [[nodiscard]] StagedCommit* find(const CommandStamp& stamp);
  /// The newest uncommitted commit that writes to `stream`, or nullptr.
  [[nodiscard]] StagedCommit* last_writer(std::string_view stream);

  [[nodiscard]] bool empty() const;
  /// Bytes of all batches.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// End of the staged events: where the next commit begins.
  [[nodiscard]] Offset end() const { return end_; }

  /// Closes the gathered batch if it is full: the next commit begins another.
  void close_if_full(std::uint32_t bytes_max);
  /// Closes the gathered batch and takes the oldest one for writing; nullptr when nothing waits or
  /// one is being written already.
  StagedBatch* start_writing();
  /// The batch being written is committed: removes and returns it.
  std::unique_ptr<StagedBatch> finish_writing();
  /// Removes and returns everything; the next commit begins at `end` again.
  std::deque<std::unique_ptr<StagedBatch>> discard(Offset end);

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
  [[nodiscard]] static std::string command_key(const CommandStamp& stamp);
  [[nodiscard]] StagedBatch& gathered();
  void encode_events(StagedBatch& batch, StagedCommit& staged,
                     const std::vector<Version>& versions);
  StagedCommit& add(StagedBatch& batch, StagedCommit staged);

  Offset end_;
  TimeUs last_time_;  ///< of the last committed batch
  CommitTimes& times_;
  std::uint64_t bytes_ = 0;
  bool writing_ = false;
  bool gathering_ = false;  ///< the last batch still takes commits
  std::deque<std::unique_ptr<StagedBatch>> batches_;
  /// Of each stream with staged events, its writes in order: at least one. A decision reads the few
  /// events that are new to it, however many are staged.
  std::unordered_map<std::string, std::deque<StagedWrite>, NameHash, std::equal_to<>> streams_;
  std::unordered_map<std::string, StagedCommit*, NameHash, std::equal_to<>> commands_;
};

}  // namespace keelson
