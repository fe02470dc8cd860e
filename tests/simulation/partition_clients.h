// Clients of one partition, and what they check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/cluster/cluster_keys.h"
#include "engine/store/topic_record.h"
#include "tests/simulation/real_history.h"
#include "tests/simulation/real_node.h"

namespace keelson::simulation {

/// Moves money between accounts, with expected versions, checks of other streams and refusals, and
/// repeats commands with the same id on whatever node; reads everywhere; keeps the offset of a
/// consumer group. What replicas publish and answer must fit together.
class PartitionClients {
 public:
  using Nodes = std::vector<std::unique_ptr<RealNode>>;
  struct Of {
    cluster::PartitionKey key;
    std::string topic;
    std::size_t number = 0;      ///< of this partition in the cluster
    std::size_t partitions = 1;  ///< of its topic
    std::string folder;          ///< of its log, on each node
    bool retained = false;       ///< whether retention removes nothing
  };
  PartitionClients(World& world, Nodes& nodes, Of of);

  void begin();
  /// Nothing new is asked for.
  void end() { clients_.clear(); }

  [[nodiscard]] const Of& of() const { return of_; }
  [[nodiscard]] RealHistory& history() { return history_; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  /// How many clients got an answer that is final: an outcome, or why there is none.
  [[nodiscard]] std::uint64_t answers() const { return answers_; }
  /// Of that node.
  [[nodiscard]] SeenReplica& seen(RealNode& node) const { return node.replicas[of_.number]; }
  /// Whether the replica is open there; what it says then must not be less than it has said before.
  [[nodiscard]] bool open(RealNode& node);
  /// To be called after each task of the node.
  void look(RealNode& node);
  /// Who leads, or somebody; none of `but`.
  [[nodiscard]] std::size_t probable_leader(const std::set<std::size_t>& but = {});
  /// All before was lost with a majority: what the node has is what there is.
  void lose_all_but(RealNode& node);

 private:
  /// What a client wants done; the same each time it asks.
  struct Command {
    std::string id;
    Commit commit;
    std::string filler;      ///< behind the event's text
    bool limited = false;    ///< refused when the account would have too little
    bool uncertain = false;  ///< some try of it may have been done
  };
  using CommandPtr = std::shared_ptr<Command>;
  struct Client {
    CommandPtr command;
    std::uint64_t attempt = 0;
    std::set<std::size_t> silent;  ///< nodes that have not answered
    int refusals = 0;              ///< by the others, one after the other
  };

  void take_published(RealNode& node);
  void when_awake(RealNode& node, std::function<void()> ask);
  void issue(std::size_t client);
  [[nodiscard]] std::size_t whom_to_ask(Client& client);
  [[nodiscard]] CommandPtr make_command();
  [[nodiscard]] CommandStamp stamp_of(const Command& command) const;
  void on_answer(std::size_t client, std::uint64_t attempt, const CommandPtr& command,
                 const Result<CommitOutcome>& answer);
  void next(std::size_t client);
  void execute(RealNode& node, const CommandPtr& command, Partition::Completion done);
  void commit_group_offset();
  void read_linearizably();
  void read_linearizably(RealNode& node);
  void read_anywhere();
  void check_stream(RealNode& node);
  void check_outcome(RealNode& node);

  World& world_;
  Nodes& nodes_;
  const Of of_;
  std::vector<std::string> accounts_;
  RealHistory history_;
  std::vector<Client> clients_;
  std::uint64_t commands_ = 0;
  std::vector<CommandPtr> done_;  ///< to be repeated now and then
  std::uint64_t reads_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t group_offset_ = 0;  ///< the last one that was acknowledged
  bool group_busy_ = false;
};

}  // namespace keelson::simulation
