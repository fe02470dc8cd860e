// How tools reach the nodes of a cluster, by the flags that all of them have.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "http/main/cluster_client.h"

namespace CLI {
class App;
}

namespace keelson::tools {

struct NodeAccess {
  std::vector<std::string> servers;  ///< URLs
  std::string authority_file;
  std::string token_file;
};

struct Nodes {
  std::vector<std::string> addresses;  ///< of `NodeAccess::servers`, in their order
  ClusterClient client;
};

/// Adds `--ca` and `--token`; `--server` says each tool itself.
void describe(CLI::App& command, NodeAccess& access);

/// Asks nobody yet.
/// @error bad_request  wrong flags, or a file that cannot be read.
[[nodiscard]] Result<Nodes> open_nodes(const NodeAccess& access);

}  // namespace keelson::tools
