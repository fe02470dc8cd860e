// What operators of a cluster see, as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/result.h"
#include "engine/replication/member.h"
#include "http/request.h"
#include "http/response.h"

namespace keelson::cluster {
class ClusterStore;
}

namespace keelson::http {

[[nodiscard]] nlohmann::ordered_json member_json(const replication::Member& member);

/// Nodes, topics and partitions, as this node knows them, and its replicas.
/// @error bad_request  the request asks for something else besides.
[[nodiscard]] Result<Response> show_cluster(cluster::ClusterStore& cluster, const std::string& name,
                                            const Request& request);
/// All that is needed to make the coordinator's records anew. @error bad_request
[[nodiscard]] Result<Response> show_cluster_records(cluster::ClusterStore& cluster,
                                                    const Request& request);

}  // namespace keelson::http
