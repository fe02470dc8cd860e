#include "engine/cluster/cluster_view.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace keelson::cluster {

using replication::Coordinator;
using replication::Member;
using replication::MemberList;
using replication::Record;

namespace {

ClusterView::Notice bad_record(std::string key, Error error) {
  return [key = std::move(key), error = std::move(error)](DirectoryListener& listener) {
    listener.on_bad_record(key, error);
  };
}

/// Whether all but what may change is as it was.
bool same_topic(const TopicPlacement& before, TopicPlacement now) {
  now.options.retention = before.options.retention;
  now.generation = before.generation;
  return now == before;
}

}  // namespace

std::vector<ClusterView::Notice> ClusterView::adopt(const Coordinator::Change& change) {
  Notices notices;
  const auto key = keys_.parse(change.key);
  if (!key) return notices;  // of a later version of Keelson, say
  if (change.record) {
    Age& seen = seen_[change.key];
    const Age age = age_of(*key, change);
    if (age == seen) gone_.erase(change.key);  // as it was: the right coordinator is there again
    if (age <= seen) return notices;
    seen = age;
    gone_.erase(change.key);
    std::visit([&](const auto& which) { adopt(which, *change.record, notices); }, *key);
  } else if (const auto* node = std::get_if<NodeKey>(&*key)) {
    if (const auto left = nodes_.extract(node->node); !left.empty()) {
      notices.push_back(
          [record = left.mapped()](auto& listener) { listener.on_node_left(record); });
    }
  } else {
    const auto* const partition = std::get_if<PartitionKey>(&*key);
    if (partition != nullptr && orphans_.erase(*partition) != 0) {
      seen_.erase(change.key);  // of a topic that was none: no loss
    } else if (!std::holds_alternative<FolderKey>(*key)) {
      gone_.insert(change.key);
    }
    notices.push_back(bad_record(change.key, {Errc::not_found, "the record is gone", {}}));
  }
  return notices;
}

/// Topics and partitions of an earlier life stay until they are made anew. What nodes say of
/// themselves they say again, to a coordinator that has lost it: that counts at once.
ClusterView::Age ClusterView::age_of(const ClusterKey& key, const Coordinator::Change& change) {
  const Record& record = *change.record;
  if (std::holds_alternative<TopicKey>(key)) {
    const auto placement = decode_topic_placement(record.value);
    return {placement ? placement->generation : 0, record.revision};
  }
  if (std::holds_alternative<PartitionKey>(key)) {
    const auto partition = replication::decode_partition_record(record.value);
    return {partition ? partition->generation : 0, record.revision};
  }
  return {change.life, record.revision};
}

void ClusterView::adopt(const NodeKey& key, const Record& record, Notices& notices) {
  const std::string name = keys_.of(key);
  auto node = decode_node_record(record.value);
  if (!node) return notices.push_back(bad_record(name, node.error()));
  if (node->member.node != key.node) {
    return notices.push_back(
        bad_record(name, {Errc::corruption, "record of another node than its key says", {}}));
  }
  // Of before a coordinator was put back: what it says, the address too, is over.
  replication::Incarnation& latest = latest_[node->member];
  if (node->incarnation < latest) return;
  latest = node->incarnation;
  const auto last = last_members_.find(key.node);
  if (last != last_members_.end() && last->second != node->member) {
    notices.push_back([replaced = ReplacedData{last->second, node->member}](auto& listener) {
      listener.on_data_replaced(replaced);
    });
  }
  last_members_[key.node] = node->member;
  const auto known = nodes_.find(key.node);
  if (known != nodes_.end() && known->second == *node) return;
  nodes_[key.node] = *node;
  notices.push_back([node = *std::move(node)](auto& listener) { listener.on_node(node); });
}

void ClusterView::adopt(const FolderKey& key, const Record& record, Notices& notices) {
  const auto folder = decode_folder_record(record.value);
  if (!folder) return notices.push_back(bad_record(keys_.of(key), folder.error()));
  if (folder->member.data != key.data) {
    return notices.push_back(
        bad_record(keys_.of(key), {Errc::corruption, "record of another folder than its key", {}}));
  }
  replication::Incarnation& latest = latest_[folder->member];
  latest = std::max(latest, folder->incarnation);
  notices.push_back(
      [folder = *folder](DirectoryListener& listener) { listener.on_folder(folder); });
}

void ClusterView::adopt(const TopicKey& key, const Record& record, Notices& notices) {
  auto placement = decode_topic_placement(record.value);
  if (!placement) return notices.push_back(bad_record(keys_.of(key), placement.error()));
  const auto known = topics_.find(key.name);
  const bool is_new = known == topics_.end();
  const auto named = names_.find(placement->topic);
  const bool named_twice = named != names_.end() && named->second != key.name;
  if (named_twice || (!is_new && !same_topic(known->second.placement, *placement))) {
    return notices.push_back(
        bad_record(keys_.of(key), {Errc::corruption, "another topic than before", {}}));
  }
  KnownTopic& topic = topics_[key.name];
  const bool changed = is_new || topic.placement != *placement;
  topic.name = key.name;
  topic.placement = *std::move(placement);
  topic.revision = record.revision;
  if (changed) {
    notices.push_back([name = key.name, placement = topic.placement,
                       revision = record.revision](DirectoryListener& listener) {
      listener.on_topic(name, placement, revision);
    });
  }
  if (!is_new) return;
  names_[topic.placement.topic] = key.name;
  const auto first = orphans_.lower_bound({topic.placement.topic, PartitionId(0)});
  auto end = first;
  for (; end != orphans_.end() && end->first.topic == topic.placement.topic; ++end) {
    put(topic, end->first, end->second, notices);
  }
  orphans_.erase(first, end);
}

void ClusterView::adopt(const PartitionKey& key, const Record& record, Notices& notices) {
  auto decoded = replication::decode_partition_record(record.value);
  if (!decoded) return notices.push_back(bad_record(keys_.of(key), decoded.error()));
  const KnownPartition partition{*std::move(decoded), record.revision};
  const auto name = names_.find(key.topic);
  if (name == names_.end()) {
    orphans_[key] = partition;
  } else {
    put(topics_.at(name->second), key, partition, notices);
  }
}

void ClusterView::put(KnownTopic& topic, const PartitionKey& key, const KnownPartition& partition,
                      Notices& notices) {
  if (key.partition.value >= topic.placement.partitions.size()) {
    return notices.push_back(bad_record(
        keys_.of(key), {Errc::corruption, "topic " + topic.name + " has no such partition", {}}));
  }
  topic.partitions[key.partition] = partition;
  notices.push_back([key, partition](DirectoryListener& listener) {
    listener.on_partition(key, partition.record, partition.revision);
  });
}

const KnownTopic* ClusterView::topic(const std::string& name) const {
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : &found->second;
}

const KnownPartition* ClusterView::partition(const PartitionKey& partition) const {
  const auto name = names_.find(partition.topic);
  if (name == names_.end()) return nullptr;
  const auto& partitions = topics_.at(name->second).partitions;
  const auto found = partitions.find(partition.partition);
  return found == partitions.end() ? nullptr : &found->second;
}

std::vector<NodeLoad> ClusterView::loads() const {
  std::vector<NodeLoad> loads;
  for (const auto& [id, node] : nodes_) loads.push_back({node.member});
  for (const auto& [name, topic] : topics_) {
    for (std::uint32_t p = 0; p < topic.placement.partitions.size(); ++p) {
      const auto known = topic.partitions.find(PartitionId(p));
      add_load(loads, known != topic.partitions.end() ? known->second.record.replicas
                                                      : topic.placement.partitions[p]);
    }
  }
  return loads;
}

std::vector<ReplacedData> ClusterView::replaced_data() const {
  std::map<Member, Member> replaced;
  for (const auto& [name, topic] : topics_) {
    for (const auto& [id, partition] : topic.partitions) {
      for (const Member& member : partition.record.members()) {
        const auto alive = nodes_.find(member.node);
        if (alive != nodes_.end() && alive->second.member != member) {
          replaced.emplace(member, alive->second.member);
        }
      }
    }
  }
  std::vector<ReplacedData> all;
  for (const auto& [before, now] : replaced) all.push_back({before, now});
  return all;
}

}  // namespace keelson::cluster
