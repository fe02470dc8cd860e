// A cluster of nodes as they run, in one thread: the protocol, the partition and its log on
// simulated disks, over a network and a coordinator that fail as a seed says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/real_history.h"
#include "tests/simulation/real_node.h"
#include "tests/simulation/replica_cluster.h"

namespace keelson::simulation {

class RealCluster {
 public:
  /// @param replicas  3 or 5; one spare node stands by for changes of members.
  RealCluster(std::uint64_t seed, std::size_t replicas, Faults faults);
  ~RealCluster();

  /// Runs for `duration` with faults.
  void run(Moment duration);
  /// Ends all faults, and waits for commands to be acknowledged and for files to be equal.
  void settle();

  /// The first invariant that did not hold; empty: all did.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const RealHistory& history() const { return history_; }
  [[nodiscard]] std::uint64_t epochs() const { return record_.epoch.value; }
  [[nodiscard]] std::uint64_t lives() const;
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  /// How often a log was to be given another beginning.
  [[nodiscard]] std::uint64_t beginnings() const { return beginnings_; }
  /// What happened, for a look at one seed.
  bool trace = false;

 private:
  class NodeCoordinator;

  struct Link {
    std::uint64_t connection = 0;  ///< 0: none
    std::uint64_t seen[2] = {0, 0};
    bool blocked[2] = {false, false};
    Moment last[2] = {};
    std::uint64_t sent[2] = {0, 0};  ///< on this connection
    std::vector<std::string> held[2];
  };
  /// What a client wants done; the same each time it asks.
  struct Command {
    std::string id;
    Commit commit;
    std::string transfer_from;  ///< refused when this account has too little
    std::int64_t amount = 0;
    bool uncertain = false;  ///< some try of it may have been done
  };
  struct Client {
    std::shared_ptr<Command> command;
    std::uint64_t attempt = 0;
    std::size_t node = 0;
  };

  void after(Moment delay, Task run) { time_.after(delay, std::move(run)); }
  void step_until(Moment end);
  void fail(const std::string& what);
  void log(const std::string& what) const;
  [[nodiscard]] std::uint64_t random(std::uint64_t below) { return random_() % below; }
  [[nodiscard]] bool chance(double probability);
  [[nodiscard]] Moment delay(std::uint64_t least_us, std::uint64_t most_us);

  // Network.
  [[nodiscard]] Link& link(std::size_t a, std::size_t b) { return links_[std::minmax(a, b)]; }
  void send(std::size_t from, const Member& to, std::string message);
  void deliver(std::size_t from, std::size_t to, std::uint64_t connection, std::string message);
  void connect(std::size_t a, std::size_t b);
  void see(std::size_t node, std::size_t peer, std::uint64_t connection);
  void disconnect(std::size_t a, std::size_t b);
  void unblock(std::size_t from, std::size_t to);
  void keep_connected();

  // Coordinator.
  void compare_and_set(std::optional<replication::Record> expected, std::string value,
                       replication::Coordinator::Swap done);
  void get(replication::Coordinator::Read done);
  void announce();
  void show_record(std::size_t node, const PartitionRecord& record, Revision revision);

  // Nodes.
  void start(std::size_t node);
  void crash(std::size_t node, bool power);
  void look_at_record(std::size_t node, std::uint64_t life);
  void task_done(std::size_t node);
  void take_published(RealNode& node);
  [[nodiscard]] bool may_wipe(std::size_t node) const;

  // Faults and operators.
  void inject(double rate, const std::function<void()>& fault);
  void operate();
  [[nodiscard]] MemberList target_of_move();

  // Clients.
  void issue(std::size_t client);
  [[nodiscard]] std::shared_ptr<Command> make_command();
  void on_answer(std::size_t client, std::uint64_t attempt, const std::shared_ptr<Command>& command,
                 const Result<CommitOutcome>& answer);
  void next(std::size_t client);
  void execute(std::size_t node, const std::shared_ptr<Command>& command,
               Partition::Completion done);
  void read_linearizably();
  void read_at_follower();
  void check_removed(const RealNode& node, const std::string& stream);
  [[nodiscard]] std::size_t probable_leader();

  // When all is over.
  [[nodiscard]] bool members_are_whole() const;
  void progress(const char* who);
  [[nodiscard]] bool has_all(const MemberList& members) const;
  void check_equal_logs();

  std::mt19937_64 random_;
  Faults faults_;
  bool faulty_ = true;
  std::string failure_;
  VirtualTime time_;
  RealHistory history_;
  std::vector<std::unique_ptr<RealNode>> nodes_;
  std::vector<std::unique_ptr<NodeCoordinator>> coordinators_;
  std::map<std::pair<std::size_t, std::size_t>, Link> links_;
  std::uint64_t connections_ = 0;
  PartitionRecord record_;
  Revision revision_{1};
  std::vector<std::pair<PartitionRecord, Revision>> past_records_;
  bool coordinator_up_ = true;
  std::vector<Client> clients_;
  std::uint64_t commands_ = 0;
  std::vector<std::shared_ptr<Command>> done_;  ///< to be repeated now and then
  std::uint64_t reads_ = 0;
  std::uint64_t beginnings_ = 0;
};

}  // namespace keelson::simulation
