// What operators of a cluster see and do.
#pragma once

#include <string>

#include "http/router.h"

namespace keelson::cluster {
class ClusterStore;
}

namespace keelson::http {

/// Adds `/v1/cluster` and what is below it, on a node of a cluster only. `cluster` must outlive
/// `router`.
void add_cluster_routes(Router& router, cluster::ClusterStore& cluster, std::string name);

}  // namespace keelson::http
