// A cluster of replicas of one partition in one thread: the real protocol on modelled logs, over a
// network, a coordinator and nodes that fail as a seed says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/cluster/record_rebuild.h"
#include "engine/replication/replica.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/model_log.h"

namespace keelson::simulation {

using replication::Member;
using replication::MemberList;
using replication::Moment;
using replication::PartitionRecord;
using replication::Revision;

class ReplicaCluster {
 public:
  /// @param replicas  3 or 5; two spare nodes stand by for changes of members.
  ReplicaCluster(std::uint64_t seed, std::size_t replicas, Faults faults);
  ~ReplicaCluster();

  /// Runs for `duration` with faults.
  void run(Moment duration);
  /// Ends all faults but those of a minority of the replicas, of which the leader is one more often
  /// than not: the others go on without it. Rule 14 is for that.
  void endure();
  /// Ends all faults, for a majority first and then for all, and waits for commands to be
  /// acknowledged and logs to be equal.
  void settle();

  /// The first invariant that did not hold; empty: all did.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] std::size_t committed() const { return truth_.size(); }
  [[nodiscard]] std::size_t acknowledged() const { return acknowledged_.size(); }
  [[nodiscard]] std::uint64_t epochs() const { return record_.epoch.value; }
  /// How often a log was given another beginning.
  [[nodiscard]] std::uint64_t beginnings() const { return beginnings_; }
  /// What happened, for a look at one seed.
  bool trace = false;

 private:
  friend class ModelNode;

  struct Event {
    Moment at;
    std::uint64_t order;
    std::function<void()> run;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return std::pair(a.at, a.order) > std::pair(b.at, b.order);
    }
  };
  struct Link {
    std::uint64_t connection = 0;  ///< 0: none
    std::uint64_t seen[2] = {0, 0};
    bool blocked[2] = {false, false};
    Moment last[2] = {};
    std::deque<replication::Message> held[2];
  };
  struct Client {
    std::uint64_t command = 0;
    std::uint64_t attempt = 0;
    std::set<std::size_t> silent;  ///< nodes that have not answered
    int refusals = 0;              ///< by the others, one after the other
  };

  void after(Moment delay, std::function<void()> run);
  void step_until(Moment end);
  void fail(const std::string& what);
  void log(const std::string& what) const;
  [[nodiscard]] std::uint64_t random(std::uint64_t below);
  [[nodiscard]] bool chance(double probability);
  [[nodiscard]] Moment delay(std::uint64_t least_us, std::uint64_t most_us);
  /// Runs on the node unless it has been started anew since; later, while it is paused.
  void on_node(std::size_t node, std::uint64_t life, std::function<void()> run);

  // Network.
  [[nodiscard]] Link& link(std::size_t a, std::size_t b);
  void send(std::size_t from, std::size_t to, replication::Message message);
  void deliver(std::size_t from, std::size_t to, std::uint64_t connection,
               replication::Message message);
  void connect(std::size_t a, std::size_t b);
  void see(std::size_t node, std::size_t peer, std::uint64_t connection);
  void disconnect(std::size_t a, std::size_t b);
  void unblock(std::size_t from, std::size_t to);
  void keep_connected();

  // Coordinator.
  void compare_and_set(std::size_t node, const PartitionRecord& replaced, Revision expected,
                       const PartitionRecord& wanted);
  void read_record(std::size_t node, std::uint64_t read);
  void announce();
  void lose_coordinator();
  void come_back(Revision revision, std::uint64_t loss);
  /// What an operator does then, again and again until it is done.
  void rebuild();
  using Pledges = std::map<Member, replication::Promise>;
  void finish_rebuild(const keelson::cluster::RebuiltRecord& made,
                      const std::optional<keelson::cluster::LastRecord>& there,
                      const Pledges& pledged);
  [[nodiscard]] bool anyone_pledged() const;
  void await_pledge(std::size_t node, std::uint64_t life, Epoch epoch,
                    const replication::Promise& before, const std::shared_ptr<Pledges>& pledged);
  /// @param read  number of a reading; 0: as watched.
  void show_record(std::size_t node, const PartitionRecord& record, Revision revision,
                   std::uint64_t read = 0);

  // Faults.
  void inject(double rate, const std::function<void()>& fault);
  void crash(std::size_t node, bool power);
  void start(std::size_t node);
  void wake(std::size_t node, std::uint64_t life);
  void change_members();
  void end_faults();
  [[nodiscard]] std::vector<std::size_t> choose_minority();
  void trouble(std::size_t node);
  void end_troubles();
  void go_on(Moment first_within);

  // Clients.
  void issue(std::size_t client);
  [[nodiscard]] std::size_t whom_to_ask(Client& client);
  void acknowledge(std::uint64_t command);
  void read();

  // Invariants.
  void check_published(std::size_t node, std::size_t from, std::size_t to);
  void check_readers();
  void check_leaders();

  std::mt19937_64 random_;
  Faults faults_;
  bool faulty_ = true;
  std::uint64_t beginnings_ = 0;
  std::string failure_;
  Moment now_{};
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  std::vector<std::unique_ptr<class ModelNode>> nodes_;
  std::vector<bool> stays_down_;
  std::map<std::pair<std::size_t, std::size_t>, Link> links_;
  std::uint64_t connections_ = 0;
  PartitionRecord record_;
  Revision revision_{1};
  std::vector<std::pair<PartitionRecord, Revision>> past_records_;
  bool coordinator_up_ = true;
  bool lost_ = false;              ///< there is no record
  std::uint64_t incarnation_ = 0;  ///< of the coordinator: what was asked of another is lost
  bool rebuilding_ = false;
  std::uint64_t generation_ = 0;  ///< of the record
  MemberList began_;
  std::string doubt_;  ///< why it was not made anew at the last try
  std::vector<Client> clients_;
  std::uint64_t commands_ = 0;
  std::set<std::uint64_t> acknowledged_;
  std::vector<ModelBatch> truth_;               ///< what has been committed
  std::map<std::uint64_t, std::size_t> where_;  ///< of a command in `truth_`
  std::map<Epoch, std::pair<std::size_t, std::uint64_t>> begun_;
  std::map<std::pair<Epoch, std::size_t>, std::uint64_t> written_;
  std::vector<std::size_t> seen_by_readers_;
  std::uint64_t reads_ = 0;
};

}  // namespace keelson::simulation
