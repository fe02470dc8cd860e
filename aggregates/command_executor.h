// Where commands are executed: one decider per partition of a topic.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/command_run.h"
#include "aggregates/partition_decider.h"
#include "aggregates/registry.h"
#include "aggregates/snapshot_store.h"
#include "aggregates/snapshotter.h"
#include "engine/base/environment.h"
#include "engine/store/store.h"

namespace keelson::aggregates {

/// Commands in flight hold on to it, so it may outlive the host; neither outlives the topic.
/// Thread-safe.
class CommandExecutor : public std::enable_shared_from_this<CommandExecutor> {
 public:
  using Completion = AggregateHost::Completion;

  /// Takes over the discard listeners of the topic's partitions.
  [[nodiscard]] static std::shared_ptr<CommandExecutor> make(
      Environment environment, Topic& topic, std::shared_ptr<const AggregateRegistry> registry,
      const HostOptions& options);

  /// As AggregateHost::execute.
  void execute(CommandCall call, Completion completion);

  /// Whether `execute` would begin with it. @error not_found, bad_request  as there.
  [[nodiscard]] Result<void> check(CommandCall call) const;

  /// As AggregateHost::execute_all.
  void execute_all(std::vector<std::pair<CommandCall, Completion>> all);

  /// As AggregateHost::load.
  [[nodiscard]] Result<AggregateState> load(std::string_view type, std::string_view id,
                                            const AsOf& as_of) const;

  /// Takes no more snapshots; waits for the one being taken.
  void stop() { snapshotter_.stop(); }

 private:
  struct Home {
    Home(Partition& p, std::unique_ptr<SnapshotStore> s, std::uint64_t cache_bytes_max)
        : partition(p), snapshots(std::move(s)), decider(p, snapshots.get(), cache_bytes_max) {}

    Partition& partition;
    std::unique_ptr<SnapshotStore> snapshots;  // null: none are kept
    PartitionDecider decider;                  // on the partition's strand
  };

  struct Pending;

  CommandExecutor(Environment environment, Topic& topic,
                  std::shared_ptr<const AggregateRegistry> registry, const HostOptions& options);

  [[nodiscard]] Result<CommandRun> checked(CommandCall call) const;
  /// What a partition is to execute, and which; nothing when the call has been answered.
  [[nodiscard]] std::optional<std::pair<Home*, Partition::Execution>> prepare(
      CommandCall call, Completion completion);
  [[nodiscard]] Result<CommandReply> answer(Home& home, CommandRun& run,
                                            Result<CommitOutcome> outcome);
  [[nodiscard]] Result<FoldLimit> limit_of(const Home& home, const std::string& stream,
                                           const AsOf& as_of) const;

  Environment environment_;
  Topic& topic_;
  std::shared_ptr<const AggregateRegistry> registry_;
  std::vector<std::unique_ptr<Home>> homes_;  // by partition
  Snapshotter snapshotter_;
};

}  // namespace keelson::aggregates
