// On which nodes partitions live.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/replication/member.h"
#include "engine/replication/partition_record.h"

namespace keelson::cluster {

/// A node that is alive, and what it carries already.
struct NodeLoad {
  replication::Member member;
  std::size_t replicas = 0;  ///< of partitions
  std::size_t leaders = 0;   ///< how many of them are preferred leaders

  bool operator==(const NodeLoad&) const = default;
};

/// Who should lead when all replicas are well: leaders that wandered are handed back to it.
[[nodiscard]] inline const replication::Member& preferred_leader(
    const replication::MemberList& list) {
  return list.front();
}

/// Adds what `list` puts on the nodes of `nodes`.
void add_load(std::vector<NodeLoad>& nodes, const replication::MemberList& list);

struct Wanted {
  std::size_t partitions = 1;
  std::size_t replication_factor = 1;
};

/// Places for new partitions: replicas go to those nodes that carry least, no two of a partition to
/// one node, and partitions share nodes as rarely as can be, so that what a node leaves behind when
/// it dies falls on all others. Preferred leaders are then chosen to be spread evenly too. In a
/// cluster without load, counts of replicas and of leaders differ by one at most. Deterministic.
/// @param nodes  each node once.
/// @error bad_request          the factor is not one.
/// @error not_enough_replicas  there are fewer nodes than the factor.
[[nodiscard]] Result<std::vector<replication::MemberList>> place(Wanted wanted,
                                                                 std::vector<NodeLoad> nodes);

/// A partition, with the record that says where it lives.
struct PlacedPartition {
  Uuid topic;
  PartitionId partition;
  replication::PartitionRecord record;
};

/// New members for a partition.
struct Move {
  Uuid topic;
  PartitionId partition;
  replication::MemberList replicas;

  bool operator==(const Move&) const = default;
};

/// Moves that leave nothing on the node `drained`, whatever its data folder: its place in a list,
/// preferred leader included, goes to a node that is not in the list and carries least by `placed`
/// and the moves before; the others keep theirs. A list without the node is not touched. Of a
/// change that is under way its new list counts. Deterministic.
/// @param placed  all partitions of the cluster.
/// @param live    each node once; the drained one may be among them.
/// @error not_enough_replicas  a partition finds no node: context says which. Then nothing moves.
[[nodiscard]] Result<std::vector<Move>> moves_to_drain(replication::NodeId drained,
                                                       const std::vector<PlacedPartition>& placed,
                                                       const replication::MemberList& live);

}  // namespace keelson::cluster
