// The data folder of a node in a cluster.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/store/log_partition.h"
#include "engine/store/store.h"
#include "engine/store/topic_record.h"

namespace keelson {

/// A store whose partitions are replicas: others decide which topics there are, and what of a
/// partition is committed. Every topic has all its partitions here; one that has no replica on this
/// node is an empty log that nobody feeds.
class ReplicaStore : public Store {
 public:
  /// As `Store::open`. Nothing is readable, and no command taken, before someone has been given the
  /// partitions: see `LogPartition::replicate`.
  [[nodiscard]] static Result<std::unique_ptr<ReplicaStore>> open(Environment environment,
                                                                  StoreOptions options);

  /// Opens, or makes, durably, a topic as the cluster knows it. Another retention is taken over.
  /// @error already_exists  there is another one of that name, or with other options.
  /// As `create_topic` otherwise.
  [[nodiscard]] virtual Result<Topic*> adopt_topic(const std::string& name,
                                                   const TopicRecord& record) = 0;
  /// The partitions of a topic that are not damaged.
  [[nodiscard]] virtual std::vector<std::shared_ptr<LogPartition>> replicas(
      std::string_view topic) = 0;
  /// Where else a partition is; see `NodePartition`. Nothing is done while the topic is not open.
  virtual void set_whereabouts(std::string_view topic, PartitionId partition, bool replica,
                               std::vector<std::string> others) = 0;
  /// Where the log of a partition is, and what else is kept with it.
  [[nodiscard]] virtual std::string partition_folder(std::string_view topic,
                                                     PartitionId partition) const = 0;
};

}  // namespace keelson
