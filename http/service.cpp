#include "http/service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <memory>
#include <thread>

#include "engine/cluster/cluster_keys.h"
#include "engine/cluster/cluster_store.h"
#include "engine/transport/tcp_transport.h"
#include "http/aggregate_routes.h"
#include "http/api_documents.h"
#include "http/cluster_metrics.h"
#include "http/cluster_routes.h"
#include "http/cluster_steps.h"
#include "http/command_routes.h"
#include "http/etcd/etcd_coordinator.h"
#include "http/event_routes.h"
#include "http/line_limit.h"
#include "http/openapi.h"
#include "http/operations_routes.h"
#include "http/projection_routes.h"
#include "http/reaction_routes.h"
#include "http/stream_routes.h"
#include "http/topic_routes.h"
#include "http/websocket_session.h"

namespace keelson::http {

namespace {

/// Between two looks at whether enough nodes are there.
constexpr std::chrono::milliseconds kClusterPoll{200};

/// Says what becomes of connections with other nodes: a line when that changes, and not each time
/// that a node which is away is tried again. On the transport's thread.
class ConnectionLog {
 public:
  void operator()(std::optional<replication::NodeId> peer, const Error& why) {
    std::string& last = peer ? last_[*peer] : stranger_;
    if (std::exchange(last, why.context) == why.context) return;
    const auto more = limit_->admit();
    if (!more) return;
    // A node that runs twice is for an operator.
    spdlog::log(
        why.code == Errc::locked ? spdlog::level::err : spdlog::level::info, "connection {}: {}{}",
        peer ? "with node " + std::to_string(peer->value) : "of a stranger", why.context, *more);
  }

 private:
  std::map<replication::NodeId, std::string> last_;
  std::string stranger_;
  std::shared_ptr<LineLimit> limit_ = std::make_shared<LineLimit>(kLinesASecond);
};

transport::TcpTransportOptions transport_options(const ClusterOptions& cluster,
                                                 const replication::Member& self,
                                                 const replication::Incarnation& incarnation) {
  transport::TcpTransportOptions options;
  options.address = cluster.peer_address;
  options.port = cluster.peer_port;
  options.cluster = cluster.name;
  options.secret = cluster.secret;
  options.self = self;
  options.incarnation = incarnation;
  if (!cluster.peer_tls_cert.empty()) {
    options.tls = {cluster.peer_tls_cert, cluster.peer_tls_key, cluster.peer_tls_ca};
  }
  options.report = ConnectionLog();
  return options;
}

/// Blocking work: SQL and reading many events. More threads than cores, as some wait for the disk.
unsigned work_threads() { return std::max(4u, 2 * std::thread::hardware_concurrency()); }
constexpr std::size_t kWorkQueueMax = 4096;

std::vector<std::pair<std::string, std::string>> labels_of(const std::string& topic,
                                                           PartitionId partition) {
  return {{"topic", topic}, {"partition", std::to_string(partition.value)}};
}

std::vector<Metrics::Sample> ends_of(Store& store) {
  std::vector<Metrics::Sample> samples;
  for (Topic* topic : store.topics()) {
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      const Partition& partition = topic->partition(PartitionId(p));
      samples.push_back(
          {labels_of(topic->name(), PartitionId(p)), static_cast<double>(partition.end().value)});
    }
  }
  return samples;
}

/// 1 for what is damaged; a topic whose record is has no partitions to name.
std::vector<Metrics::Sample> damage_of(Store& store) {
  std::vector<Metrics::Sample> samples;
  for (const Damage& damage : store.damage()) {
    if (!damage.partition) samples.push_back({{{"topic", damage.topic}, {"partition", "all"}}, 1});
  }
  for (Topic* topic : store.topics()) {
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      const bool damaged = !topic->partition(PartitionId(p)).health();
      samples.push_back({labels_of(topic->name(), PartitionId(p)), damaged ? 1.0 : 0.0});
    }
  }
  return samples;
}

/// One sample a partition.
std::vector<Metrics::Sample> cuts_of(Store& store) {
  std::map<std::pair<std::string, PartitionId>, std::uint64_t> cut;
  for (const RecoveryReport& report : store.recovered()) {
    cut[{report.topic, report.partition}] = report.torn_bytes;
  }
  std::vector<Metrics::Sample> samples;
  for (Topic* topic : store.topics()) {
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      const auto found = cut.find({topic->name(), PartitionId(p)});
      const double bytes = found == cut.end() ? 0 : static_cast<double>(found->second);
      samples.push_back({labels_of(topic->name(), PartitionId(p)), bytes});
    }
  }
  return samples;
}

/// Nobody is answered when it fails, so there are lines in the log, one for each change.
void log_change(const MaintenanceChange& change) {
  const std::string_view work = change.work == Maintenance::segments    ? "sealing segments"
                                : change.work == Maintenance::retention ? "removing old segments"
                                                                        : "compressing segments";
  if (change.failing) {
    spdlog::error("topic {} partition {}: {} fails and is tried again: {}", change.topic,
                  change.partition.value, work, change.failing->message());
  } else {
    spdlog::info("topic {} partition {}: {} works again", change.topic, change.partition.value,
                 work);
  }
}

/// One sample a partition and kind of work.
std::vector<Metrics::Sample> samples_of(Store& store, double (*value)(const MaintenanceStatus&)) {
  std::vector<Metrics::Sample> samples;
  for (Topic* topic : store.topics()) {
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      for (const Maintenance work : kAllMaintenance) {
        auto labels = labels_of(topic->name(), PartitionId(p));
        labels.emplace_back("work", to_string(work));
        samples.push_back(
            {std::move(labels), value(topic->partition(PartitionId(p)).maintenance(work))});
      }
    }
  }
  return samples;
}

using ProjectionPartition = projections::ProjectionStatus::PartitionStatus;

/// One sample a projection and partition.
std::vector<Metrics::Sample> samples_of(const projections::ProjectionHost& host,
                                        double (*value)(const ProjectionPartition&)) {
  std::vector<Metrics::Sample> samples;
  for (const projections::ProjectionInfo& projection : host.projections()) {
    const auto status = host.status(projection.name);
    if (!status) continue;
    for (const auto& partition : status->partitions) {
      auto labels = labels_of(projection.topic, partition.partition);
      labels.emplace_back("projection", projection.name);
      samples.push_back({std::move(labels), value(partition)});
    }
  }
  return samples;
}

/// One sample a reaction and partition.
std::vector<Metrics::Sample> samples_of(const aggregates::AggregateHost& host,
                                        double (*value)(const aggregates::ReactionStatus&)) {
  std::vector<Metrics::Sample> samples;
  for (const aggregates::ReactionStatus& reaction : host.reactions()) {
    auto labels = labels_of(host.topic().name(), reaction.partition);
    labels.emplace_back("reaction", reaction.name);
    samples.push_back({std::move(labels), value(reaction)});
  }
  return samples;
}

}  // namespace

bool Domain::empty() const {
  return aggregates->types().empty() && projections->projections().empty();
}

Result<std::unique_ptr<Service>> Service::start(ServeOptions options, const Domain& domain) {
  std::unique_ptr<Service> service(new Service(std::move(options)));
  KEELSON_TRY(service->open_store());
  KEELSON_TRY(service->open_hosts(domain));
  service->add_metrics();
  service->add_routes();
  KEELSON_TRY(service->listen());
  return service;
}

Result<void> Service::open_store() {
  // First what can be wrong on the command line: opening a large store to say so would be rude.
  if (!options_.tokens_file.empty()) {
    KEELSON_TRY_ASSIGN(authenticator_, Authenticator::from_file(options_.tokens_file));
  }
  StoreOptions options;
  options.folder = options_.folder + "/log";
  options.limits = options_.limits;
  options.pending_bytes_max = options_.memory.pending_bytes_max;
  options.open_segments_max = options_.memory.open_segments_max;
  options.decompressed_bytes_max = options_.memory.decompressed_bytes_max;
  options.on_maintenance_change = log_change;
  options.retention_waits = true;
  if (options_.cluster.given()) {
    KEELSON_TRY(open_cluster(std::move(options)));
  } else {
    KEELSON_TRY_ASSIGN(store_, Store::open(environment(), std::move(options)));
  }
  for (const RecoveryReport& report : store_->recovered()) {
    spdlog::warn(
        "topic {} partition {}: batch {} at the log's end was not written whole, or has rotted "
        "since, which cannot be told apart; cut {} bytes from {} at byte {}, {}",
        report.topic, report.partition.value, report.batch.value, report.torn_bytes, report.file,
        report.position,
        report.copy.empty() ? "not kept, as " + report.no_copy : "kept in " + report.copy);
  }
  for (const std::string& name : store_->strays()) {
    spdlog::warn("{}/topics/{} is no folder of a topic, and is left alone",
                 store_->options().folder, name);
  }
  for (const Damage& damage : store_->damage()) {
    spdlog::error(
        "topic {} {} is stopped, and left as it is: {}", damage.topic,
        damage.partition ? "partition " + std::to_string(damage.partition->value) : "as a whole",
        damage.error.message());
  }
  return {};
}

Result<void> Service::open_cluster(StoreOptions options) {
  const ClusterOptions& is = options_.cluster;
  EtcdOptions etcd = is.etcd;
  etcd.report = [](const std::string& what) { spdlog::warn("{}", what); };
  KEELSON_TRY_ASSIGN(coordinator_, EtcdCoordinator::open(std::move(etcd)));
  // A node starts without etcd, but not with one that will not have it.
  const auto let_in = coordinator_->check(
      cluster::ClusterKeys(is.name).of(cluster::NodeKey{replication::NodeId(is.node)}));
  if (!let_in && let_in.error().code != Errc::io_error) return let_in;
  cluster::ClusterStoreOptions cluster;
  cluster.name = {replication::NodeId(is.node), is.name};
  cluster.http_address = is.advertise_http;
  cluster.version = kVersion;
  cluster.replicas = is.replicas;
  cluster.give_up = options_.stop_requested;
  cluster.retention_waits_for = std::chrono::seconds(is.retention_waits);
  cluster.retention_waits_bytes = is.retention_waits_bytes;
  cluster.report = [](const std::string& what) { spdlog::warn("{}", what); };
  const auto make_transport = [this](const replication::Member& self,
                                     const replication::Incarnation& incarnation)
      -> Result<cluster::ClusterStore::Transporting> {
    KEELSON_TRY_ASSIGN(auto transport, transport::TcpTransport::open(
                                           transport_options(options_.cluster, self, incarnation),
                                           clock_, random_));
    return cluster::ClusterStore::Transporting{std::move(transport), options_.cluster.advertise};
  };
  KEELSON_TRY_ASSIGN(
      auto store, cluster::ClusterStore::open(environment(), std::move(options), std::move(cluster),
                                              *coordinator_, make_transport));
  cluster_ = store.get();
  store_ = std::move(store);
  return {};
}

/// Other nodes may have to be there first, and one of them may make it.
Result<Topic*> Service::open_cluster_topic(const std::string& name, const TopicOptions& options) {
  std::string waiting_for;
  while (true) {
    if (Topic* const existing = store_->find_topic(name)) return existing;
    if (options_.stop_requested()) return fail(Errc::closed, "stopped while starting");
    auto made = store_->create_topic(name, options);
    const Errc code = made ? Errc::internal : made.error().code;
    if (code == Errc::already_exists) {
      // It is there, with other options than a new one would have, and may not be open here yet.
      const auto known = cluster_->directory().topic(name);
      if (known) KEELSON_TRY(check_partitions(name, known->placement.partitions.size()));
      KEELSON_TRY(cluster_->adopted(name));
    }
    const bool may_pass = code == Errc::not_enough_replicas || code == Errc::timeout ||
                          code == Errc::io_error || code == Errc::outcome_unknown ||
                          code == Errc::already_exists;  // not open here yet
    if (!may_pass) return made;
    if (std::exchange(waiting_for, made.error().message()) != made.error().message()) {
      spdlog::info("waiting for the cluster: {}", made.error().message());
    }
    std::this_thread::sleep_for(kClusterPoll);
  }
}

Result<Topic*> Service::open_topic(const std::string& name) {
  Topic* existing = store_->find_topic(name);
  if (existing == nullptr) {  // or its record is damaged: then this fails, and says so
    TopicOptions options;
    options.partitions = std::max(1u, options_.partitions);
    options.durability = options_.durability;
    if (cluster_ == nullptr) return store_->create_topic(name, options);
    KEELSON_TRY_ASSIGN(existing, open_cluster_topic(name, options));
  }
  KEELSON_TRY(check_partitions(name, existing->partition_count()));
  return existing;
}

Result<void> Service::check_partitions(const std::string& name, std::size_t there) const {
  if (options_.partitions == 0 || options_.partitions == there) return {};
  return fail(Errc::already_exists, "the topic '" + name + "' has " + std::to_string(there) +
                                        " partition(s), and their number is fixed; start without "
                                        "--partitions");
}

Result<void> Service::open_hosts(const Domain& domain) {
  Topic* topic = nullptr;
  if (!domain.empty()) {
    KEELSON_TRY_ASSIGN(topic, open_topic(domain.topic));
  }
  if (!domain.aggregates->types().empty()) {
    aggregates::HostOptions options;
    options.cache_bytes_max = options_.memory.state_cache_bytes_max;
    options.snapshot_folder = options_.folder + "/snapshots";
    if (cluster_ != nullptr) options.steps = make_step_carrier(cluster_->requests(), topic->id());
    KEELSON_TRY_ASSIGN(aggregates_,
                       aggregates::AggregateHost::open(environment(), *topic, domain.aggregates,
                                                       domain.reactions, options));
  }
  if (!domain.projections->projections().empty()) {
    projections::HostOptions options;
    options.folder = options_.folder + "/read-models";
    KEELSON_TRY_ASSIGN(projections_, projections::ProjectionHost::open(
                                         environment(), *topic, domain.projections, options));
  }
  // Reactions and read models have said by now what they need.
  store_->start_retention();
  return {};
}

void Service::add_metrics() {
  Store& store = *store_;
  if (cluster_ != nullptr) add_cluster_metrics(metrics_, *cluster_);
  metrics_.add(Metrics::Kind::counter, "keelson_events_total", "Events committed, by partition",
               [&store] { return ends_of(store); });
  metrics_.add(Metrics::Kind::gauge, "keelson_damaged",
               "1 where stored data is damaged or gone; GET /v1/topics says what",
               [&store] { return damage_of(store); });
  metrics_.add(Metrics::Kind::gauge, "keelson_cut_at_start_bytes",
               "Bytes that the start cut from a log's end; GET /v1/topics says where they are",
               [&store] { return cuts_of(store); });
  metrics_.add(Metrics::Kind::gauge, "keelson_maintenance_failing",
               "1 where the last try of work in the background failed; the log says why", [&store] {
                 return samples_of(store, [](const MaintenanceStatus& status) {
                   return status.failing ? 1.0 : 0.0;
                 });
               });
  metrics_.add(Metrics::Kind::counter, "keelson_maintenance_failures_total",
               "Tries of work in the background that failed", [&store] {
                 return samples_of(store, [](const MaintenanceStatus& status) {
                   return static_cast<double>(status.failures);
                 });
               });
  if (const auto* host = projections_.get()) {
    metrics_.add(Metrics::Kind::gauge, "keelson_projection_lag_events",
                 "Committed events not applied yet", [host] {
                   return samples_of(*host, [](const ProjectionPartition& partition) {
                     return static_cast<double>(partition.lag_events);
                   });
                 });
    metrics_.add(Metrics::Kind::gauge, "keelson_projection_lag_seconds",
                 "Age of the oldest event not applied yet", [host] {
                   return samples_of(*host, [](const ProjectionPartition& partition) {
                     return partition.lag_seconds;
                   });
                 });
    metrics_.add(Metrics::Kind::gauge, "keelson_projection_halted",
                 "1 when it stands at an event that fails", [host] {
                   return samples_of(*host, [](const ProjectionPartition& partition) {
                     return partition.halted_at ? 1.0 : 0.0;
                   });
                 });
  }
  if (const auto* host = aggregates_.get()) {
    metrics_.add(Metrics::Kind::gauge, "keelson_reaction_lag_events",
                 "Committed events not looked at yet", [host] {
                   return samples_of(*host, [](const aggregates::ReactionStatus& status) {
                     return static_cast<double>(status.lag);
                   });
                 });
    metrics_.add(Metrics::Kind::gauge, "keelson_reaction_delayed",
                 "1 while something that may pass holds it up; GET /v1/reactions says what",
                 [host] {
                   return samples_of(*host, [](const aggregates::ReactionStatus& status) {
                     return !status.halted && !status.error.empty() ? 1.0 : 0.0;
                   });
                 });
    metrics_.add(Metrics::Kind::gauge, "keelson_reaction_halted",
                 "1 when it stands at an event that fails", [host] {
                   return samples_of(*host, [](const aggregates::ReactionStatus& status) {
                     return status.halted ? 1.0 : 0.0;
                   });
                 });
  }
}

void Service::add_routes() {
  timers_ = std::make_unique<ThreadTimers>();
  work_ = std::make_unique<ThreadWorkPool>(work_threads(), kWorkQueueMax);
  services_ = std::make_unique<Services>(Services{environment(), *store_, aggregates_.get(),
                                                  projections_.get(), *timers_, *work_, metrics_,
                                                  options_.cluster.advertise_http});
  std::function<std::size_t()> unreadable;
  if (cluster_ != nullptr) unreadable = [cluster = cluster_] { return cluster->unreadable(); };
  add_operations_routes(router_, ready_, *store_, metrics_, std::move(unreadable));
  if (cluster_ != nullptr) add_cluster_routes(router_, *cluster_, options_.cluster.name);
  add_topic_routes(router_, *services_);
  add_stream_routes(router_, *services_);
  add_event_routes(router_, *services_);
  add_aggregate_routes(router_, *services_);
  add_command_routes(router_, *services_);
  add_reaction_routes(router_, *services_);
  add_projection_routes(router_, *services_);
  add_subscription_route(router_, *services_);
  add_description_routes(router_, *services_);
}

Result<void> Service::listen() {
  KEELSON_TRY_ASSIGN(server_,
                     Server::start(options_.server, router_, authenticator_, *work_, metrics_));
  if (projections_) projections_->start();
  if (aggregates_) aggregates_->start_reactions();
  ready_ = true;
  return {};
}

Service::~Service() { stop(); }

void Service::stop() {
  ready_ = false;
  if (aggregates_) aggregates_->stop_reactions();
  if (server_ && !server_->stop()) {
    spdlog::warn("some connections were still open after the time to stop, and were cut");
  }
  // From the outside in: nobody may find gone what it still uses (see the class).
  server_.reset();
  if (work_) work_->stop();
  if (timers_) timers_->stop();
  if (projections_) projections_->stop();
  projections_.reset();
  aggregates_.reset();
  if (store_) store_->close();
  store_.reset();
  coordinator_.reset();
  timers_.reset();
  work_.reset();
}

}  // namespace keelson::http
