#include "engine/cluster/cluster_keys.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/replication/record_text.h"
#include "engine/store/names.h"

namespace keelson::cluster {

namespace {

constexpr std::size_t kClusterNameBytesMax = 64;
constexpr std::string_view kNodes = "nodes/";
constexpr std::string_view kFolders = "folders/";
constexpr std::string_view kTopics = "topics/";
constexpr std::string_view kPartitions = "partitions/";

std::optional<ClusterKey> partition_from(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto topic = uuid_from_hex(text.substr(0, slash));
  const auto partition = replication::number_from<PartitionId::rep>(text.substr(slash + 1));
  if (!topic || !partition) return std::nullopt;
  return PartitionKey{*topic, PartitionId(*partition)};
}

}  // namespace

Result<void> check_cluster_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool good = !name.empty() && name.size() <= kClusterNameBytesMax && letter(name.front()) &&
                    std::ranges::all_of(name, [&](char c) {
                      return letter(c) || c == '_' || c == '.' || c == '-';
                    });
  if (good) return {};
  return fail(Errc::bad_request, "the name of a cluster is [a-z0-9][a-z0-9_.-]* of 1…" +
                                     std::to_string(kClusterNameBytesMax) + " bytes");
}

ClusterKeys::ClusterKeys(std::string_view cluster)
    : prefix_("/keelson/" + std::string(cluster) + "/") {
  KEELSON_ASSERT(check_cluster_name(cluster).has_value());
}

std::string ClusterKeys::of(const NodeKey& key) const {
  return prefix_ + std::string(kNodes) + std::to_string(key.node.value);
}

std::string ClusterKeys::of(const FolderKey& key) const {
  return prefix_ + std::string(kFolders) + to_hex(key.data);
}

std::string ClusterKeys::of(const TopicKey& key) const {
  return prefix_ + std::string(kTopics) + key.name;
}

std::string ClusterKeys::of(const PartitionKey& key) const {
  return prefix_ + std::string(kPartitions) + to_hex(key.topic) + "/" +
         std::to_string(key.partition.value);
}

std::optional<ClusterKey> ClusterKeys::parse(std::string_view key) const {
  if (!key.starts_with(prefix_)) return std::nullopt;
  key.remove_prefix(prefix_.size());
  if (key.starts_with(kNodes)) {
    const auto node = replication::number_from<replication::NodeId::rep>(key.substr(kNodes.size()));
    if (!node) return std::nullopt;
    return NodeKey{replication::NodeId(*node)};
  }
  if (key.starts_with(kFolders)) {
    const auto data = uuid_from_hex(key.substr(kFolders.size()));
    if (!data) return std::nullopt;
    return FolderKey{*data};
  }
  if (key.starts_with(kTopics)) {
    key.remove_prefix(kTopics.size());
    if (!check_topic_name(key, {})) return std::nullopt;
    return TopicKey{std::string(key)};
  }
  if (key.starts_with(kPartitions)) return partition_from(key.substr(kPartitions.size()));
  return std::nullopt;
}

}  // namespace keelson::cluster
