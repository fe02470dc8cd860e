#include "engine/cluster/placement.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "engine/base/check.h"
#include "engine/cluster/cluster_records.h"

namespace keelson::cluster {

using replication::Member;
using replication::MemberList;
using replication::NodeId;

namespace {

/// Indexes of nodes; the first is the preferred leader.
using Seats = std::vector<std::size_t>;

/// Chooses replicas of one partition after the other.
class Spread {
 public:
  explicit Spread(std::vector<NodeLoad> nodes)
      : nodes_(std::move(nodes)), shared_(nodes_.size(), Seats(nodes_.size())) {
    std::ranges::sort(nodes_, {}, &NodeLoad::member);
  }

  void seat_partition(std::size_t factor) {
    Seats seats;
    while (seats.size() < factor) {
      const std::size_t next = best(seats);
      for (const std::size_t other : seats) ++shared_[next][other], ++shared_[other][next];
      seats.push_back(next);
      ++nodes_[next].replicas;
    }
    std::ranges::swap(seats.front(), *std::ranges::min_element(seats, {}, [&](std::size_t node) {
                        return std::pair(nodes_[node].leaders, nodes_[node].member);
                      }));
    ++nodes_[seats.front()].leaders;
    partitions_.push_back(std::move(seats));
  }

  /// One after the other is not the best for all: partitions pass the lead on until no node could
  /// give it, over others perhaps, to one that leads less by two or more.
  void even_out_leaders() {
    bool better = true;
    while (better) {
      better = false;
      for (std::size_t node = 0; node < nodes_.size() && !better; ++node) better = relieve(node);
    }
  }

  [[nodiscard]] std::vector<MemberList> lists() const {
    std::vector<MemberList> lists;
    for (const Seats& seats : partitions_) {
      MemberList& list = lists.emplace_back();
      for (const std::size_t node : seats) list.push_back(nodes_[node].member);
    }
    return lists;
  }

 private:
  /// The node to join `seats`.
  [[nodiscard]] std::size_t best(const Seats& seats) const {
    const auto rank = [&](std::size_t node) {
      std::size_t shared = 0;
      for (const std::size_t other : seats) shared += shared_[node][other];
      // The first one is likely to lead.
      const std::size_t leaders = seats.empty() ? nodes_[node].leaders : 0;
      return std::tuple(nodes_[node].replicas, leaders, shared, nodes_[node].member);
    };
    std::optional<std::size_t> found;
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
      if (std::ranges::find(seats, node) != seats.end()) continue;
      if (!found || rank(node) < rank(*found)) found = node;
    }
    KEELSON_ASSERT(found.has_value());
    return *found;
  }

  /// Looks, breadth first, for a way from `node` to one that leads less by two or more, each step a
  /// partition that the one leads and the other has a replica of; and moves the leads along it.
  bool relieve(std::size_t node) {
    struct Step {
      std::size_t from;
      std::size_t partition;
    };
    std::vector<std::optional<Step>> reached(nodes_.size());
    reached[node] = Step{node, 0};
    std::deque<std::size_t> next{node};
    while (!next.empty()) {
      const std::size_t leader = next.front();
      next.pop_front();
      for (std::size_t p = 0; p < partitions_.size(); ++p) {
        if (partitions_[p].front() != leader) continue;
        for (const std::size_t other : partitions_[p]) {
          if (reached[other]) continue;
          reached[other] = Step{leader, p};
          next.push_back(other);
          if (nodes_[other].leaders + 2 > nodes_[node].leaders) continue;
          for (std::size_t at = other; at != node; at = reached[at]->from) {
            Seats& seats = partitions_[reached[at]->partition];
            std::ranges::swap(seats.front(), *std::ranges::find(seats, at));
          }
          --nodes_[node].leaders, ++nodes_[other].leaders;
          return true;
        }
      }
    }
    return false;
  }

  std::vector<NodeLoad> nodes_;
  std::vector<Seats> shared_;  ///< how many partitions two nodes have both
  std::vector<Seats> partitions_;
};

bool on_node(const MemberList& list, NodeId node) {
  return std::ranges::find(list, node, &Member::node) != list.end();
}

}  // namespace

void add_load(std::vector<NodeLoad>& nodes, const MemberList& list) {
  for (NodeLoad& node : nodes) {
    if (!contains(list, node.member)) continue;
    ++node.replicas;
    if (preferred_leader(list) == node.member) ++node.leaders;
  }
}

Result<std::vector<MemberList>> place(Wanted wanted, std::vector<NodeLoad> nodes) {
  KEELSON_TRY(check_replication_factor(wanted.replication_factor));
  if (nodes.size() < wanted.replication_factor) {
    return fail(Errc::not_enough_replicas,
                "replication_factor " + std::to_string(wanted.replication_factor) +
                    " needs as many nodes, and " + std::to_string(nodes.size()) + " are alive");
  }
  Spread spread(std::move(nodes));
  for (std::size_t p = 0; p < wanted.partitions; ++p) {
    spread.seat_partition(wanted.replication_factor);
  }
  spread.even_out_leaders();
  return spread.lists();
}

Result<std::vector<Move>> moves_to_drain(NodeId drained, const std::vector<PlacedPartition>& placed,
                                         const MemberList& live) {
  std::vector<NodeLoad> nodes;
  for (const Member& member : live) {
    if (member.node != drained) nodes.push_back({member});
  }
  for (const PlacedPartition& partition : placed) add_load(nodes, partition.record.replicas);
  std::vector<Move> moves;
  for (const PlacedPartition& partition : placed) {
    if (!on_node(partition.record.replicas, drained)) continue;
    MemberList list = partition.record.replicas;
    for (std::size_t seat = 0; seat < list.size(); ++seat) {
      if (list[seat].node != drained) continue;
      NodeLoad* best = nullptr;
      const auto rank = [&](const NodeLoad& node) {
        return std::tuple(node.replicas, seat == 0 ? node.leaders : 0, node.member);
      };
      for (NodeLoad& node : nodes) {
        if (on_node(list, node.member.node)) continue;
        if (best == nullptr || rank(node) < rank(*best)) best = &node;
      }
      if (best == nullptr) {
        return fail(Errc::not_enough_replicas,
                    "no live node could take the place of node " + std::to_string(drained.value) +
                        " in partition " + std::to_string(partition.partition.value) +
                        " of topic " + to_hex(partition.topic));
      }
      list[seat] = best->member;
      ++best->replicas;
      if (seat == 0) ++best->leaders;
    }
    moves.push_back({partition.topic, partition.partition, std::move(list)});
  }
  return moves;
}

}  // namespace keelson::cluster
