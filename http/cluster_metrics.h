// What Prometheus sees of the replicas on a node of a cluster.
#pragma once

#include "http/metrics.h"

namespace keelson::cluster {
class ClusterStore;
}

namespace keelson::http {

/// Adds `keelson_replica_…`, by topic and partition. `cluster` must outlive `metrics`.
void add_cluster_metrics(Metrics& metrics, cluster::ClusterStore& cluster);

}  // namespace keelson::http
