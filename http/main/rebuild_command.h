// `keelson cluster rebuild-records`: makes the records of a cluster anew in an etcd that has lost
// them.
#pragma once

#include <string>
#include <vector>

#include "http/etcd/etcd_options.h"
#include "http/main/node_access.h"

namespace CLI {
class App;
}

namespace keelson::tools {

struct RebuildCommand {
  http::EtcdOptions etcd;
  std::string cluster;
  NodeAccess nodes;                  ///< that run
  std::vector<std::string> folders;  ///< of nodes that do not: `--data`
  bool repair = false;
  bool force = false;
  bool yes = false;
  bool insecure = false;
};

void describe(CLI::App& command, RebuildCommand& options);

/// @return 0; 1 when it could not be done, or nothing was; 2 for a wrong command line.
[[nodiscard]] int rebuild_records(RebuildCommand command);

}  // namespace keelson::tools
