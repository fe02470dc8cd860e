// Connections between the nodes of a simulation, which break, lose, hold back and repeat.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/replication/transport.h"
#include "tests/simulation/world.h"

namespace keelson::simulation {

using replication::Member;

/// Nodes are numbered from 0, and their ids begin with 1.
[[nodiscard]] inline replication::NodeId id_of(std::size_t node) {
  return replication::NodeId(static_cast<std::uint32_t>(node + 1));
}
[[nodiscard]] inline std::size_t number_of(const Member& member) { return member.node.value - 1; }

/// Two nodes have one connection, when both
/// are there and know each other's address; messages of a flow stay in order on it. Each end hears
/// of its beginning and its end by itself, and of nothing on it before.
class SimulatedNetwork {
 public:
  SimulatedNetwork(World& world, std::size_t nodes) : world_(world), ends_(nodes) {
    keep_connected();
  }

  [[nodiscard]] static std::string address_of(std::size_t node) {
    return "node-" + std::to_string(node) + ":7070";
  }
  /// Of a process.
  struct State {
    std::function<bool()> up;
    std::function<Moment()> asleep_for;  ///< it is paused, and reads nothing for so long
  };
  /// The transport of a process on that node.
  [[nodiscard]] std::unique_ptr<replication::Transport> attach(std::size_t node, const Member& self,
                                                               State state);
  /// The process is gone, before its transport is dropped.
  void detach(std::size_t node);

  void disconnect(std::size_t a, std::size_t b);
  /// What goes that way is held back.
  void block(std::size_t from, std::size_t to);
  void unblock(std::size_t from, std::size_t to);

 private:
  class NodeTransport;

  struct Packet {
    Member from;
    std::string message;
    std::optional<std::string> file;  ///< what lay behind it
    replication::Flow flow;
  };
  struct Link {
    std::uint64_t connection = 0;  ///< 0: none
    Member members[2];             ///< whom it connects
    std::uint64_t seen[2] = {0, 0};
    bool blocked[2] = {false, false};
    std::map<replication::Flow, Moment> last[2];  ///< when that flow's last message arrives
    std::uint64_t sent[2] = {0, 0};               ///< on this connection
    std::vector<Packet> held[2];
  };

  [[nodiscard]] Link& link(std::size_t a, std::size_t b) { return links_[std::minmax(a, b)]; }
  [[nodiscard]] bool up(std::size_t node) const;
  [[nodiscard]] bool knows(std::size_t node, std::size_t peer) const;
  [[nodiscard]] Result<void> send(std::size_t from, const Member& to, std::string message,
                                  std::optional<replication::FileRegion> region,
                                  replication::Flow flow);
  [[nodiscard]] Moment arrival(Link& link, std::size_t way, replication::Flow flow, Moment takes);
  void arrive(std::size_t from, std::size_t to, std::uint64_t connection, Packet packet);
  void connect(std::size_t a, std::size_t b);
  void see(std::size_t node, std::size_t peer, std::uint64_t connection);
  void keep_connected();

  World& world_;
  std::vector<NodeTransport*> ends_;  ///< of the processes that are there
  std::map<std::pair<std::size_t, std::size_t>, Link> links_;
  std::uint64_t connections_ = 0;
};

}  // namespace keelson::simulation
