// Shows people what a cluster is.
#pragma once

#include <string>
#include <vector>

#include "http/main/cluster_client.h"

namespace keelson::tools {

/// What of a partition is not as it should be, a line each; empty: all is well.
[[nodiscard]] std::vector<std::string> problems_of(const ClusterState& state,
                                                   const PartitionState& partition);

/// Nodes, partitions, and what is wrong; in colour on a terminal.
void print_tables(const ClusterState& state);

/// What each node that answers has of the partition.
void print_survivors(const ClusterState& state, const PartitionState& partition);

/// One JSON object.
void print_json(const ClusterState& state);

/// `1,2,3`
[[nodiscard]] std::string text_of(const replication::MemberList& list);

}  // namespace keelson::tools
