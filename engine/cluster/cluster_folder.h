// The data folder of a node that is stopped, asked for what the coordinator has lost.
#pragma once

#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/cluster/node_identity.h"
#include "engine/cluster/record_rebuild.h"
#include "engine/io/file_system.h"

namespace keelson::cluster {

/// Holds the folder's lock: no node runs on it meanwhile.
class ClusterFolder {
 public:
  /// @param folder  of the store; `files` must outlive this.
  /// @error not_found   it is none of a node of a cluster.
  /// @error locked      a node runs on it.
  /// @error corruption  its identity is damaged.
  [[nodiscard]] static Result<ClusterFolder> open(io::FileSystem& files, std::string folder);

  /// What is damaged of a partition is said of it alone.
  /// @error corruption  of a topic's record.
  [[nodiscard]] Result<NodeTestimony> testify();

  /// Promises `epoch` to nobody. Durable on return. @return what was promised before.
  /// @error already_exists  something as high was promised before.
  [[nodiscard]] Result<replication::Promise> pledge(const std::string& topic, const Uuid& id,
                                                    PartitionId partition, Epoch epoch);

 private:
  ClusterFolder(io::FileSystem& files, std::string folder, NodeIdentity identity,
                std::unique_ptr<io::FolderLock> lock)
      : files_(&files),
        folder_(std::move(folder)),
        identity_(std::move(identity)),
        lock_(std::move(lock)) {}
  [[nodiscard]] std::string topic_folder(const std::string& topic) const;
  [[nodiscard]] PartitionTestimony testimony(const std::string& topic, const Uuid& id,
                                             PartitionId partition);

  io::FileSystem* files_;
  std::string folder_;
  NodeIdentity identity_;
  std::unique_ptr<io::FolderLock> lock_;
};

/// What there is to be said of a promise and a log that do not fit: the promise was lost.
[[nodiscard]] Result<void> check_promise(const replication::Promise& promise, Epoch last_epoch);

}  // namespace keelson::cluster
