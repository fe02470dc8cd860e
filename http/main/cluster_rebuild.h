// The records of a cluster made anew, from what nodes and their folders know; docs/replication.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/record_rebuild.h"
#include "engine/io/posix_file_system.h"
#include "http/etcd/etcd_coordinator.h"
#include "http/main/cluster_witness.h"
#include "http/main/node_access.h"
#include "http/main/rebuild_command.h"

namespace keelson::tools {

/// One rebuild, step by step. What is unclear to it is a doubt, which an operator may overrule.
/// Blocks; for one thread.
class ClusterRebuild {
 public:
  explicit ClusterRebuild(RebuildCommand command)
      : command_(std::move(command)), keys_(command_.cluster) {}

  /// @error bad_request  wrong options, or etcd does not let this process in. @error io_error
  [[nodiscard]] Result<void> open();
  /// Hears all nodes and folders that are known. @error bad_request, corruption, io_error
  [[nodiscard]] Result<void> ask();
  /// Looks what etcd has, and says what it lacks. @error already_exists  it has records, and is not
  /// to be repaired. @error not_found, corruption, io_error
  [[nodiscard]] Result<void> plan();
  /// The plan, for people.
  void show() const;
  [[nodiscard]] bool doubtful() const;
  /// Fences, then writes, one partition after the other. A run that is cut short may leave
  /// replicas of one partition fenced, until the next one.
  /// @error version_conflict  somebody else writes these records. @error not_enough_replicas,
  /// io_error
  [[nodiscard]] Result<void> write();
  /// How many records are to be written.
  [[nodiscard]] std::size_t wanted() const;

 private:
  struct Topic {
    Uuid id;
    std::optional<cluster::TopicPlacement> placement;
    bool there = false;  ///< in etcd
    std::map<PartitionId, std::map<replication::Member, cluster::PartitionTestimony>> partitions;
  };

  /// What is to be written.
  struct WantedRecord {
    std::string topic;
    Uuid id;
    PartitionId partition;
    std::optional<cluster::LastRecord> there;
    cluster::RebuiltRecord rebuilt;
    [[nodiscard]] std::string name() const { return topic + " " + std::to_string(partition.value); }
  };

  [[nodiscard]] Result<std::set<std::string>> ask_server(const std::string& address);
  [[nodiscard]] Result<void> add(std::unique_ptr<Witness> witness);
  [[nodiscard]] Result<void> add(const replication::Member& member,
                                 const cluster::TopicTestimony& said);
  [[nodiscard]] Result<std::optional<replication::Record>> get(const std::string& key);
  [[nodiscard]] Result<void> put(const std::string& key,
                                 const std::optional<replication::Record>& expected,
                                 const std::string& value);
  [[nodiscard]] Result<void> look_in_etcd();
  [[nodiscard]] Result<void> look_for_nodes();
  [[nodiscard]] Result<void> fence(const WantedRecord& wanted);

  const RebuildCommand command_;
  const cluster::ClusterKeys keys_;
  io::PosixFileSystem files_;
  std::optional<Nodes> nodes_;
  std::unique_ptr<http::EtcdCoordinator> etcd_;
  std::map<replication::Member, std::unique_ptr<Witness>> witnesses_;
  std::map<std::string, Topic> topics_;
  std::map<std::string, std::optional<cluster::LastRecord>> there_;  ///< by the key of a partition
  std::vector<WantedRecord> wanted_;
  std::uint64_t generation_ = 0;
  bool any_there_ = false;
  std::vector<std::string> doubts_;  ///< of all of it
};

}  // namespace keelson::tools
