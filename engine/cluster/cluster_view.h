// What a node knows of its cluster, from records that come in any order.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/cluster_records.h"
#include "engine/cluster/placement.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/member.h"
#include "engine/replication/partition_record.h"

namespace keelson::cluster {

struct KnownPartition {
  replication::PartitionRecord record;
  replication::Revision revision;
  bool operator==(const KnownPartition&) const = default;
};

struct KnownTopic {
  std::string name;
  TopicPlacement placement;
  replication::Revision revision;
  /// Those whose records were seen; not all of them while the topic is being made.
  std::map<PartitionId, KnownPartition> partitions;
  bool operator==(const KnownTopic&) const = default;
};

/// A node that has come with another data folder: its disk was wiped or put back from elsewhere, or
/// two nodes run under one number.
struct ReplacedData {
  replication::Member before;
  replication::Member now;
  bool operator==(const ReplacedData&) const = default;
};

/// Told of changes, one at a time; see `ClusterDirectory`. Must not block.
class DirectoryListener {
 public:
  virtual ~DirectoryListener() = default;

  /// It has appeared, or says something else of itself than before.
  virtual void on_node(const NodeRecord& node) = 0;
  virtual void on_node_left(const NodeRecord& node) = 0;
  /// A data folder has been claimed: whoever used it before must take part no more.
  virtual void on_folder(const FolderRecord& folder) = 0;
  /// Seen since this directory was started; what was before that say `replaced_data`. Told before
  /// `on_node`. Nothing is moved for it.
  virtual void on_data_replaced(const ReplacedData& replaced) = 0;
  /// It has appeared, or its retention has changed.
  virtual void on_topic(const std::string& name, const TopicPlacement& placement,
                        replication::Revision revision) = 0;
  /// After `on_topic` of its topic, at increasing revisions only, of one generation.
  virtual void on_partition(const PartitionKey& partition,
                            const replication::PartitionRecord& record,
                            replication::Revision revision) = 0;
  /// A record that cannot be read, has changed as it may not, or is gone and may not be. What was
  /// known before goes on being known.
  virtual void on_bad_record(const std::string& key, const Error& error) = 0;
};

/// Adopts records at increasing revisions only, for each key, also after it was gone. When the
/// coordinator has gone back, records of topics and partitions that were made anew come after all
/// of an earlier generation; those of nodes and folders, which nobody is elected by, after all of
/// its earlier life, but for those of a member's earlier incarnations. A pure state; not
/// thread-safe.
class ClusterView {
 public:
  explicit ClusterView(ClusterKeys keys) : keys_(std::move(keys)) {}

  /// What the listener is to be told of it.
  using Notice = std::function<void(DirectoryListener&)>;
  [[nodiscard]] std::vector<Notice> adopt(const replication::Coordinator::Change& change);

  [[nodiscard]] const ClusterKeys& keys() const { return keys_; }
  /// Those that are alive.
  [[nodiscard]] const std::map<replication::NodeId, NodeRecord>& nodes() const { return nodes_; }
  [[nodiscard]] const std::map<std::string, KnownTopic>& topics() const { return topics_; }
  [[nodiscard]] const KnownTopic* topic(const std::string& name) const;
  [[nodiscard]] const KnownPartition* partition(const PartitionKey& partition) const;
  /// Nodes that are alive, with what lies on them.
  [[nodiscard]] std::vector<NodeLoad> loads() const;
  /// Whether the coordinator has lost records that are never taken away, and has them neither as
  /// they were nor anew.
  [[nodiscard]] bool any_lost() const { return !gone_.empty(); }
  /// Members of partitions whose nodes are alive with other data folders.
  [[nodiscard]] std::vector<ReplacedData> replaced_data() const;

 private:
  using Notices = std::vector<Notice>;
  void adopt(const NodeKey& key, const replication::Record& record, Notices& notices);
  void adopt(const FolderKey& key, const replication::Record& record, Notices& notices);
  void adopt(const TopicKey& key, const replication::Record& record, Notices& notices);
  void adopt(const PartitionKey& key, const replication::Record& record, Notices& notices);
  void put(KnownTopic& topic, const PartitionKey& key, const KnownPartition& partition,
           Notices& notices);

  /// Revisions of one count follow each other.
  struct Age {
    std::uint64_t count = 0;  ///< the generation of a record that has one; else the life
    replication::Revision revision;
    auto operator<=>(const Age&) const = default;
  };
  [[nodiscard]] static Age age_of(const ClusterKey& key,
                                  const replication::Coordinator::Change& change);

  ClusterKeys keys_;
  std::map<std::string, Age> seen_;  ///< by key, the last one
  std::set<std::string> gone_;       ///< of topics and partitions: keys that are not there any more
  std::map<replication::NodeId, NodeRecord> nodes_;
  std::map<replication::NodeId, replication::Member> last_members_;  ///< also of those that left
  /// Of all members that were seen, by either of their records.
  std::map<replication::Member, replication::Incarnation> latest_;
  std::map<std::string, KnownTopic> topics_;
  std::map<Uuid, std::string> names_;
  std::map<PartitionKey, KnownPartition> orphans_;  ///< whose topic was not seen yet
};

}  // namespace keelson::cluster
