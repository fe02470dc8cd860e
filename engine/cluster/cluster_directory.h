// What this node knows of its cluster, and how it takes part in it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/scheduler.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/cluster_records.h"
#include "engine/cluster/cluster_view.h"
#include "engine/cluster/topic_creation.h"
#include "engine/replication/coordinator.h"

namespace keelson::cluster {

struct DirectoryOptions {
  /// A node is taken for dead so long after its last sign of life.
  std::chrono::seconds time_to_live{3};
  /// What `create_topic` answers within.
  std::chrono::nanoseconds patience = std::chrono::seconds(10);
  /// Before what had no or an unknown answer is tried again.
  std::chrono::nanoseconds retry = std::chrono::milliseconds(200);
  /// A topic that has been seen for so long and lacks records of partitions is completed: who made
  /// it has died.
  std::chrono::nanoseconds completion = std::chrono::seconds(2);
};

struct DirectoryPorts {
  replication::Coordinator& coordinator;
  Scheduler& scheduler;
  Random& random;
};

/// Nodes, topics and partitions of one cluster, as the coordinator's watch tells them: late, never
/// going back. Who acts on a record compares its revision, so that late knowledge does no harm.
///
/// Thread-safe. The listener and answers are called on a strand of its own, one at a time; they may
/// call the directory. Once it is destroyed neither is called any more; `create_topic`s that wait
/// are answered with `closed` first.
///
/// Reports and moves nothing: who is to be a replica is decided elsewhere.
class ClusterDirectory {
 public:
  /// Watches from now on. `ports` and `listener` must outlive it.
  ClusterDirectory(DirectoryPorts ports, ClusterKeys keys, DirectoryListener& listener,
                   DirectoryOptions options = {});
  ~ClusterDirectory();
  ClusterDirectory(const ClusterDirectory&) = delete;
  ClusterDirectory& operator=(const ClusterDirectory&) = delete;

  /// Makes this node seen by all, until the directory is destroyed. Once.
  /// @param replaces  see `Coordinator::appear`.
  /// @error bad_request  `node` cannot be written: see `check_node_record`.
  [[nodiscard]] Result<void> announce(const NodeRecord& node,
                                      std::optional<replication::Record> replaces = std::nullopt);

  using Created = TopicCreation::Done;
  /// Makes a topic on nodes that are alive, or gives the one that is there with the same options
  /// and factor, after a change of its retention if that is another.
  /// @error bad_request          the name, the options or the factor are out of range.
  /// @error already_exists       it is there with others; nothing is changed.
  /// @error not_enough_replicas  fewer nodes than the factor are alive, or the coordinator has lost
  ///                             records; nothing is written.
  /// @error timeout              not done within `patience`. The topic may be there: then its
  ///                             partitions will be too.
  /// @error outcome_unknown      the same, and the topic may be made or changed later.
  /// @error corruption           its record cannot be read, or is gone.
  /// @error overloaded           too many are being made; nothing is written.
  void create_topic(TopicRequest request, Created done);

  /// What `announce` has begun: this node is seen until it is dropped, without the directory too.
  [[nodiscard]] std::unique_ptr<replication::Coordinator::Presence> take_presence() {
    return std::move(presence_);
  }

  // --- what it knows ---
  /// All of it, copied.
  [[nodiscard]] ClusterView view() const;
  /// Nothing when it is not alive.
  [[nodiscard]] std::optional<NodeRecord> node(replication::NodeId id) const;
  [[nodiscard]] std::optional<KnownTopic> topic(const std::string& name) const;
  [[nodiscard]] std::optional<KnownPartition> partition(const PartitionKey& partition) const;

 private:
  class Core;

  const std::shared_ptr<Core> core_;
  std::unique_ptr<replication::Coordinator::Watch> watch_;
  std::unique_ptr<replication::Coordinator::Presence> presence_;
};

}  // namespace keelson::cluster
