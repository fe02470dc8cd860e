// `keelson cluster`: shows a cluster that runs, and changes it.
#pragma once

#include <string>
#include <vector>

namespace keelson::tools {

/// `status`, `move`, `lead`, `drain` and `force-leader`, against any node by `--server`; and
/// `rebuild-records`, against an etcd.
/// @return 0; 1 when it could not be done; 2 for a wrong command line.
[[nodiscard]] int run_cluster(const std::vector<std::string>& arguments);

}  // namespace keelson::tools
