// A cluster of nodes as they run, in one thread: all of the engine but its sockets and its etcd, on
// simulated disks, over a network and a coordinator that fail as a seed says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/replication/partition_record.h"
#include "engine/store/options.h"
#include "tests/simulation/partition_clients.h"
#include "tests/simulation/real_node.h"
#include "tests/simulation/simulated_coordinator.h"
#include "tests/simulation/simulated_network.h"
#include "tests/simulation/world.h"

namespace keelson::simulation {

using replication::MemberList;
using replication::PartitionRecord;

class RealCluster {
 public:
  /// @param replicas  3 or 5; one or two spare nodes stand by for changes of members.
  RealCluster(std::uint64_t seed, std::size_t replicas, const Faults& faults,
              const Lies& lies = {});
  ~RealCluster();

  /// Runs for `duration` with faults.
  void run(Moment duration);
  /// Ends all faults but those of a minority, of which a leader is one more often than not: the
  /// others go on without it. Rule 14, and that a leader without room lets another lead, are for
  /// that.
  void endure();
  /// Ends all faults, and waits for commands to be acknowledged and for files to be equal.
  void settle();
  /// Loses the disks of a majority of the first partition, and has a survivor made leader by force.
  void lose_majority();

  /// All disks have room for every other write only, or for all again.
  void fill_disks(bool full);

  /// The first invariant that did not hold; empty: all did.
  [[nodiscard]] const std::string& failure() const { return world_.failure(); }
  /// How much there was to be seen.
  [[nodiscard]] std::string summary();
  /// How often a log was to be given another beginning.
  [[nodiscard]] std::uint64_t beginnings() const { return beginnings_; }
  /// What happened is told, for a look at one seed.
  void trace() { world_.trace = true; }

 private:
  /// What operators want there to be.
  struct WantedTopic {
    std::string name;
    TopicOptions options;
    Moment from{};
    bool there = false;
  };

  void want_topics();
  void make_topics();
  void find_topic(WantedTopic& topic);
  [[nodiscard]] std::optional<PartitionRecord> record(const PartitionClients& clients) const;
  [[nodiscard]] MemberList members_of(const PartitionClients& clients) const;
  [[nodiscard]] RealNode& node_of(const Member& member) { return *nodes_[number_of(member)]; }
  [[nodiscard]] bool has(const Member& member) const {
    return nodes_[number_of(member)]->self == member;
  }

  // Nodes.
  void start(std::size_t node);
  void crash(std::size_t node, bool power);
  void on_task_done(std::size_t node);
  void on_report(std::size_t node, const std::string& what);
  void on_written(const std::string& key, const std::optional<Record>& last, const Record& next);
  [[nodiscard]] bool may_wipe(std::size_t node) const;

  // Faults and operators.
  void inject(double rate, const std::function<void()>& fault);
  void inject_all();
  void operate();
  void change_members(PartitionClients& clients);
  [[nodiscard]] MemberList target_of_move(const MemberList& members);

  // Troubles that last.
  [[nodiscard]] bool well();
  [[nodiscard]] std::vector<std::size_t> choose_minority();
  void trouble(std::size_t node);
  void go_on(PartitionClients& clients, Moment first_within);

  // When all is over.
  void end_faults();
  [[nodiscard]] bool possible(const PartitionClients& clients) const;
  [[nodiscard]] bool members_are_whole(const PartitionClients& clients) const;
  void progress(PartitionClients& clients);
  void force(PartitionClients& clients, RealNode& survivor);
  void describe(PartitionClients& clients);
  [[nodiscard]] std::string difference(PartitionClients& clients);
  void check_equal_logs(PartitionClients& clients);

  World world_;
  SimulatedCoordinator coordinator_;
  const std::size_t replicas_;
  const cluster::ClusterKeys keys_;
  PartitionClients::Nodes nodes_;
  SimulatedNetwork network_;
  std::vector<WantedTopic> topics_;
  std::uint64_t beginnings_ = 0;
  bool forced_ = false;  ///< the survivor leads
  std::vector<std::unique_ptr<PartitionClients>> partitions_;
};

}  // namespace keelson::simulation
