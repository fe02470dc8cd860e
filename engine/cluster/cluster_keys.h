// Where the records of a cluster stand in the coordinator; docs/replication.md, "What the cluster
// agrees on".
//
//   /keelson/CLUSTER/nodes/ID            a node that is alive
//   /keelson/CLUSTER/folders/DATA        a data folder, and who has used it last
//   /keelson/CLUSTER/topics/NAME         a topic, and where its partitions began
//   /keelson/CLUSTER/partitions/TOPIC/P  who leads a partition, with which members
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/replication/member.h"

namespace keelson::cluster {

/// `[a-z0-9][a-z0-9_.-]*` of at most 64 bytes, so that it can be a part of a key.
[[nodiscard]] Result<void> check_cluster_name(std::string_view name);

struct NodeKey {
  replication::NodeId node;
  bool operator==(const NodeKey&) const = default;
};
struct FolderKey {
  Uuid data;
  bool operator==(const FolderKey&) const = default;
};
struct TopicKey {
  std::string name;
  bool operator==(const TopicKey&) const = default;
};
/// By the topic's identity: should its name be used again one day, what is late and meant the old
/// topic does not find the new one.
struct PartitionKey {
  Uuid topic;
  PartitionId partition;
  auto operator<=>(const PartitionKey&) const = default;
};
using ClusterKey = std::variant<NodeKey, FolderKey, TopicKey, PartitionKey>;

/// The keys of one cluster.
class ClusterKeys {
 public:
  /// @param cluster  good by `check_cluster_name`.
  explicit ClusterKeys(std::string_view cluster);

  /// What all keys of this cluster begin with, and no other's.
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] std::string of(const NodeKey& key) const;
  [[nodiscard]] std::string of(const FolderKey& key) const;
  [[nodiscard]] std::string of(const TopicKey& key) const;
  [[nodiscard]] std::string of(const PartitionKey& key) const;

  /// What `key` names; nothing when it is not one that `of` writes.
  [[nodiscard]] std::optional<ClusterKey> parse(std::string_view key) const;

 private:
  std::string prefix_;
};

}  // namespace keelson::cluster
