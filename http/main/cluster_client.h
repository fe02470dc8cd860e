// Asks the nodes of a cluster, and tells them what to do.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/replication/member.h"

namespace keelson::tools {

/// One request, one connection. Not thread-safe; blocks.
class ClusterClient {
 public:
  struct Options {
    std::string token;           ///< sent as `Authorization: Bearer`; empty: none
    bool tls = false;            ///< all nodes serve it, or none
    std::string authority_file;  ///< whose certificates are believed, PEM; empty: the system's
  };
  /// @error bad_request  the certificates cannot be read.
  [[nodiscard]] static Result<ClusterClient> open(Options options);

  /// @error io_error     nobody answers there.
  /// @error bad_request  refused for good; context is the problem's detail.
  /// @error overloaded   refused, and worth repeating.
  [[nodiscard]] Result<nlohmann::json> get(const std::string& address, const std::string& path);
  /// Goes where it is sent.
  [[nodiscard]] Result<nlohmann::json> post(std::string address, std::string path,
                                            const nlohmann::json& body);

 private:
  ClusterClient() = default;

  std::string token_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
};

using Node = std::uint32_t;

/// What one partition is by all nodes that have answered.
struct PartitionState {
  std::string topic;
  std::string topic_id;
  std::uint32_t partition = 0;
  std::uint64_t epoch = 0;
  std::optional<Node> leader;  ///< by the record
  bool led = false;            ///< and it says so itself
  replication::MemberList replicas;
  replication::MemberList old_replicas;
  std::map<Node, nlohmann::json> at;  ///< what each node says of its own replica
  nlohmann::json followers;           ///< by the leader
  nlohmann::json move;                ///< by the leader; null: there is none

  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string name() const;
};

struct NodeState {
  replication::Member member;
  bool alive = false;
  bool connected = true;  ///< with the node that was asked
  std::string http_address;
  std::string peer_address;
  std::string version;
  std::string silent;  ///< why it did not answer; empty: it did, or was not asked
};

struct ClusterState {
  std::string name;
  Node asked = 0;
  std::map<Node, NodeState> nodes;
  std::vector<PartitionState> partitions;

  [[nodiscard]] const PartitionState* find(const std::string& topic, std::uint32_t partition) const;
  /// Of who leads by the record; of the node that was asked if that is not known.
  [[nodiscard]] std::string leader_address(const PartitionState& partition) const;
  /// With the data folder that it has; nothing if it is not alive and no replica.
  [[nodiscard]] std::optional<replication::Member> member(const PartitionState& partition,
                                                          Node node) const;
};

/// Asks the node at `address`, and then all others that are alive.
[[nodiscard]] Result<ClusterState> look(ClusterClient& client, const std::string& address);

}  // namespace keelson::tools
