// Who can say what the cluster's records were, for a rebuild of them.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/cluster/cluster_folder.h"
#include "http/main/cluster_client.h"

namespace keelson::tools {

/// A node that runs, or the folder of one that does not.
class Witness {
 public:
  explicit Witness(cluster::NodeTestimony testimony) : said(std::move(testimony)) {}
  virtual ~Witness() = default;
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  [[nodiscard]] virtual bool runs() const = 0;
  /// Durable on return. @return what was promised before.
  [[nodiscard]] virtual Result<replication::Promise> pledge(const std::string& topic,
                                                            const Uuid& id, PartitionId partition,
                                                            Epoch epoch) = 0;
  const cluster::NodeTestimony said;
};

/// @param answer  of the node at `address` to `/v1/cluster/records`.
/// @param client  must outlive it.
/// @error bad_request, corruption  not what a node of a cluster answers.
[[nodiscard]] Result<std::unique_ptr<Witness>> witness_at(const std::string& address,
                                                          const nlohmann::json& answer,
                                                          ClusterClient& client);
/// @error as `ClusterFolder::testify`.
[[nodiscard]] Result<std::unique_ptr<Witness>> witness_in(cluster::ClusterFolder folder);

}  // namespace keelson::tools
