#include "engine/cluster/cluster_folder.h"

#include <utility>

#include "engine/cluster/last_records.h"
#include "engine/cluster/promise_store.h"
#include "engine/log/log_inspector.h"
#include "engine/store/store.h"
#include "engine/store/topic_folder.h"

namespace keelson::cluster {

using replication::LogEnd;
using replication::Promise;

namespace {

/// More than a segment can have.
constexpr std::size_t kBatchesMax = std::size_t{1} << 24;

Result<LogEnd> end_of_log(io::FileSystem& files, const std::string& folder, const Uuid& identity) {
  const log::LogInspector inspector(files, folder, identity);
  KEELSON_TRY_ASSIGN(const auto segments, inspector.segments());
  if (segments.empty()) return LogEnd{};
  const log::LogPoint& start = segments.back().start;
  KEELSON_TRY_ASSIGN(const auto batches, inspector.batches(start.next_batch, kBatchesMax));
  if (batches.empty()) return LogEnd{start.last_epoch, start.next_batch};
  return LogEnd{batches.back().header.epoch, batches.back().header.batch_no + 1};
}

}  // namespace

Result<void> check_promise(const Promise& promise, Epoch last_epoch) {
  if (promise.epoch >= last_epoch) return {};
  return fail(Errc::corruption,
              "its promise is lost: the log has epoch " + std::to_string(last_epoch.value));
}

Result<ClusterFolder> ClusterFolder::open(io::FileSystem& files, std::string folder) {
  KEELSON_TRY_ASSIGN(const bool there, has_node_identity(files, folder));
  if (!there) return fail(Errc::not_found, folder + " is not of a node of a cluster");
  KEELSON_TRY_ASSIGN(auto lock, files.lock(folder, kFolderLock));
  KEELSON_TRY_ASSIGN(auto identity, load_node_identity(files, folder));
  return ClusterFolder(files, std::move(folder), std::move(identity), std::move(lock));
}

std::string ClusterFolder::topic_folder(const std::string& topic) const {
  return folder_ + "/topics/" + topic;
}

PartitionTestimony ClusterFolder::testimony(const std::string& topic, const Uuid& id,
                                            PartitionId partition) {
  const std::string folder = topic_folder(topic) + "/" + std::to_string(partition.value);
  const Uuid identity = partition_identity(id, partition);
  PartitionTestimony said;
  auto last = load_last_record(*files_, folder, identity);
  if (last) {
    said.last = *std::move(last);
  } else {
    said.damage = last.error();
  }
  if (const auto end = end_of_log(*files_, folder, identity)) {
    said.end = *end;
  } else {
    said.damage = end.error();
  }
  const auto promise = PromiseStore(*files_, folder, identity).load();
  if (promise) {
    said.promise = *promise;
    if (const auto good = check_promise(*promise, said.end.epoch); !good) {
      said.damage = good.error();
    }
  } else {
    said.damage = promise.error();
  }
  return said;
}

Result<NodeTestimony> ClusterFolder::testify() {
  NodeTestimony node{identity_.cluster, identity_.member(), {}};
  KEELSON_TRY_ASSIGN(const bool any, files_->exists(folder_ + "/topics"));
  if (!any) return node;
  KEELSON_TRY_ASSIGN(const auto names, files_->list(folder_ + "/topics"));
  for (const std::string& name : names) {
    KEELSON_TRY_ASSIGN(const auto record, TopicFolder(*files_, topic_folder(name)).read());
    if (!record) continue;
    TopicTestimony topic{name, record->id, {}, {}};
    KEELSON_TRY_ASSIGN(topic.placement, load_last_placement(*files_, topic_folder(name)));
    for (std::uint32_t p = 0; p < record->options.partitions; ++p) {
      topic.partitions.push_back(testimony(name, record->id, PartitionId(p)));
    }
    node.topics.push_back(std::move(topic));
  }
  return node;
}

Result<Promise> ClusterFolder::pledge(const std::string& topic, const Uuid& id,
                                      PartitionId partition, Epoch epoch) {
  PromiseStore store(*files_, topic_folder(topic) + "/" + std::to_string(partition.value),
                     partition_identity(id, partition));
  KEELSON_TRY_ASSIGN(const Promise before, store.load());
  if (before.epoch >= epoch) {
    return fail(Errc::already_exists,
                "epoch " + std::to_string(before.epoch.value) + " is promised already");
  }
  Promise after = before;
  after.epoch = epoch;
  KEELSON_TRY(store.store(after));
  return before;
}

}  // namespace keelson::cluster
