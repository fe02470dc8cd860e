#include "tests/simulation/simulated_network.h"

#include <utility>

#include "engine/io/file_system.h"

namespace keelson::simulation {

using replication::FileRegion;
using replication::Flow;
using replication::NodeId;

class SimulatedNetwork::NodeTransport final : public replication::Transport {
 public:
  NodeTransport(SimulatedNetwork& network, std::size_t node, const Member& of, State its_state)
      : self(of), state(std::move(its_state)), network_(network), node_(node) {}

  void set_listener(Listener to) override { listener = std::move(to); }

  Result<void> set_peers(std::map<NodeId, std::string> addresses) override {
    for (const auto& [node, address] : peers) {
      if (!addresses.contains(node)) network_.disconnect(node_, node.value - 1);
    }
    peers = std::move(addresses);
    return {};
  }

  /// Here a process is gone before the next one comes.
  void outdate(const Member&, const replication::Incarnation&) override {}

  Result<void> send(const Member& to, std::string message, Flow flow) override {
    return network_.send(node_, to, std::move(message), std::nullopt, flow);
  }
  Result<void> send_file(const Member& to, std::string message, FileRegion region,
                         Flow flow) override {
    return network_.send(node_, to, std::move(message), std::move(region), flow);
  }
  std::size_t waiting(const Member&) const override { return 0; }

  const Member self;
  const State state;
  std::optional<Listener> listener;
  std::map<NodeId, std::string> peers;

 private:
  SimulatedNetwork& network_;
  const std::size_t node_;
};

std::unique_ptr<replication::Transport> SimulatedNetwork::attach(std::size_t node,
                                                                 const Member& self, State state) {
  auto transport = std::make_unique<NodeTransport>(*this, node, self, std::move(state));
  ends_[node] = transport.get();
  return transport;
}

void SimulatedNetwork::detach(std::size_t node) {
  ends_[node] = nullptr;
  for (std::size_t peer = 0; peer < ends_.size(); ++peer) {
    if (peer == node) continue;
    disconnect(node, peer);
    link(node, peer).seen[node < peer ? 0 : 1] = 0;
  }
}

bool SimulatedNetwork::up(std::size_t node) const {
  return ends_[node] != nullptr && ends_[node]->listener && ends_[node]->state.up();
}

bool SimulatedNetwork::knows(std::size_t node, std::size_t peer) const {
  const auto& peers = ends_[node]->peers;
  const auto found = peers.find(id_of(peer));
  return found != peers.end() && found->second == address_of(peer);
}

Result<void> SimulatedNetwork::send(std::size_t from, const Member& to, std::string message,
                                    std::optional<FileRegion> region, Flow flow) {
  const std::size_t peer = number_of(to);
  Link& l = link(from, peer);
  const std::size_t way = from < peer ? 0 : 1;
  if (!up(from) || l.connection == 0 || l.seen[way] != l.connection || l.members[1 - way] != to) {
    return fail(Errc::closed, "not connected to node " + std::to_string(peer));
  }
  if (world_.mishap(world_.faults.lost_message)) return {};
  Packet packet{l.members[way], std::move(message), std::nullopt, flow};
  if (region) {
    auto bytes = region->file->read_at(region->position, region->length);
    if (!bytes) {
      disconnect(from, peer);
      return {};
    }
    packet.file = *std::move(bytes);
  }
  // What was on its way while the connection was made may come once more.
  const bool fresh = l.sent[way]++ < 3;
  const int copies = fresh && world_.mishap(world_.faults.repeated_message) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const Moment takes = world_.delay(20, world_.chance(0.02) ? 20'000 : 400);
    world_.after(arrival(l, way, flow, takes),
                 [this, from, peer, connection = l.connection, packet] {
                   arrive(from, peer, connection, packet);
                 });
  }
  return {};
}

/// After those of the same flow that were sent before.
Moment SimulatedNetwork::arrival(Link& link, std::size_t way, Flow flow, Moment takes) {
  Moment& last = link.last[way][flow];
  last = std::max(last, world_.now() + takes);
  return last - world_.now();
}

void SimulatedNetwork::arrive(std::size_t from, std::size_t to, std::uint64_t connection,
                              Packet packet) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  if (l.connection != connection) return;
  if (l.blocked[way]) return l.held[way].push_back(std::move(packet));
  const Moment asleep = up(to) ? ends_[to]->state.asleep_for() : Moment(0);
  if (asleep > Moment(0)) {
    const Moment takes = arrival(l, way, packet.flow, asleep + world_.delay(0, 5'000));
    return world_.after(takes, [this, from, to, connection, packet = std::move(packet)]() mutable {
      arrive(from, to, connection, std::move(packet));
    });
  }
  see(to, from, connection);
  if (!up(to) || l.seen[1 - way] != connection) return;
  const auto& listener = *ends_[to]->listener;
  if (packet.file) {
    return listener.received_file(packet.from, std::move(packet.message), *std::move(packet.file));
  }
  listener.received(packet.from, std::move(packet.message));
}

void SimulatedNetwork::connect(std::size_t a, std::size_t b) {
  Link& l = link(a, b);
  l.connection = ++connections_;
  l.members[0] = ends_[std::min(a, b)]->self;
  l.members[1] = ends_[std::max(a, b)]->self;
  for (const std::size_t way : {0u, 1u}) {
    l.sent[way] = 0;
    l.last[way].clear();
  }
  for (const std::size_t end : {a, b}) {
    const std::size_t peer = end == a ? b : a;
    world_.after(world_.delay(10, 3'000), [this, end, peer, connection = l.connection] {
      if (link(end, peer).connection == connection) see(end, peer, connection);
    });
  }
}

void SimulatedNetwork::see(std::size_t node, std::size_t peer, std::uint64_t connection) {
  Link& l = link(node, peer);
  std::uint64_t& seen = l.seen[node < peer ? 0 : 1];
  if (!up(node) || seen == connection || l.connection != connection) return;
  seen = connection;
  ends_[node]->listener->connected(l.members[node < peer ? 1 : 0]);
}

void SimulatedNetwork::disconnect(std::size_t a, std::size_t b) {
  Link& l = link(a, b);
  if (l.connection == 0) return;
  const std::uint64_t broken = std::exchange(l.connection, 0);
  for (const std::size_t way : {0u, 1u}) l.held[way].clear();
  for (const std::size_t end : {a, b}) {
    const std::size_t peer = end == a ? b : a;
    const Member gone = l.members[end < peer ? 1 : 0];
    world_.after(world_.delay(10, 3'000), [this, end, peer, broken, gone] {
      std::uint64_t& seen = link(end, peer).seen[end < peer ? 0 : 1];
      if (!up(end) || seen != broken) return;
      seen = 0;
      ends_[end]->listener->disconnected(gone);
    });
  }
}

void SimulatedNetwork::block(std::size_t from, std::size_t to) {
  link(from, to).blocked[from < to ? 0 : 1] = true;
}

void SimulatedNetwork::unblock(std::size_t from, std::size_t to) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  l.blocked[way] = false;
  for (auto& packet : std::exchange(l.held[way], {})) {
    const Moment takes = arrival(l, way, packet.flow, world_.delay(10, 50));
    world_.after(takes,
                 [this, from, to, connection = l.connection, packet = std::move(packet)]() mutable {
                   arrive(from, to, connection, std::move(packet));
                 });
  }
}

/// Nodes that are up connect again.
void SimulatedNetwork::keep_connected() {
  for (std::size_t a = 0; a < ends_.size(); ++a) {
    for (std::size_t b = a + 1; b < ends_.size(); ++b) {
      const Link& l = link(a, b);
      if (l.connection != 0 || l.blocked[0] || l.blocked[1]) continue;
      if (up(a) && up(b) && knows(a, b) && knows(b, a)) connect(a, b);
    }
  }
  world_.after(world_.delay(5'000, 50'000), [this] { keep_connected(); });
}

}  // namespace keelson::simulation
