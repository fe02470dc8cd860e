#include "http/cluster_metrics.h"

#include <utility>

#include "engine/cluster/cluster_store.h"

namespace keelson::http {

namespace {

using cluster::ClusterStore;
using cluster::ReplicaStatus;
using Labels = std::vector<std::pair<std::string, std::string>>;

template <class Each>
void for_each_replica(ClusterStore& cluster, Each each) {
  for (Topic* const topic : cluster.topics()) {
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      const auto replica = cluster.replica(topic->id(), PartitionId(p));
      if (!replica) continue;
      each(Labels{{"topic", topic->name()}, {"partition", std::to_string(p)}}, replica->status());
    }
  }
}

double lag(BatchNo behind, BatchNo end) {
  return behind < end ? static_cast<double>(end.value - behind.value) : 0.0;
}

}  // namespace

void add_cluster_metrics(Metrics& metrics, ClusterStore& cluster) {
  const auto add = [&](std::string name, std::string help, double (*value)(const ReplicaStatus&)) {
    metrics.add(Metrics::Kind::gauge, std::move(name), std::move(help), [&cluster, value] {
      std::vector<Metrics::Sample> samples;
      for_each_replica(cluster, [&](Labels labels, const ReplicaStatus& status) {
        samples.push_back({std::move(labels), value(status)});
      });
      return samples;
    });
  };
  add("keelson_replica_leader", "1 where this node leads the partition",
      [](const ReplicaStatus& status) {
        return status.role == replication::Replica::Role::leading ? 1.0 : 0.0;
      });
  add("keelson_replica_epoch", "The highest epoch that the replica obeys",
      [](const ReplicaStatus& status) { return static_cast<double>(status.epoch.value); });
  add("keelson_replica_uncommitted_batches",
      "Batches in the log here that are not known to be on a majority",
      [](const ReplicaStatus& status) { return lag(status.committed, status.appended); });
  add("keelson_replica_halted", "1 where an operator is needed; GET /v1/cluster says why",
      [](const ReplicaStatus& status) { return status.halted ? 1.0 : 0.0; });
  add("keelson_replica_pledged",
      "1 where the replica obeys nobody before an epoch that there is not: rebuild-records was cut "
      "short, and is to be run again",
      [](const ReplicaStatus& status) { return status.pledged ? 1.0 : 0.0; });
  metrics.add(Metrics::Kind::gauge, "keelson_replica_lag_batches",
              "Batches that are not known to be durable at another node, by those that lead here",
              [&cluster] {
                std::vector<Metrics::Sample> samples;
                for_each_replica(cluster, [&](const Labels& labels, const ReplicaStatus& status) {
                  for (const auto& [member, durable] : status.durable) {
                    Labels of = labels;
                    of.emplace_back("follower", std::to_string(member.node.value));
                    samples.push_back({std::move(of), lag(durable, status.appended)});
                  }
                });
                return samples;
              });
}

}  // namespace keelson::http
