// Where partitions are in a cluster.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"

namespace keelson {

class Partition;

struct Whereabouts {
  /// This node may be asked: it has a replica that can be trusted.
  bool here = true;
  /// Where clients reach the other nodes that have one, the one who leads first where it is known.
  std::vector<std::string> others;
};

/// Whether all of `partitions` can be asked of this node.
/// @error not_leader           context has the address of another one, where they can.
/// @error not_enough_replicas  there is none that is known.
/// @error bad_request          no node has all of them.
[[nodiscard]] Result<void> check_here(const std::vector<const Partition*>& partitions);

}  // namespace keelson
