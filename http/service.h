// A running node: the store, what runs on it, and the server in front.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "aggregates/aggregate_host.h"
#include "aggregates/reaction.h"
#include "aggregates/registry.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/io/posix_file_system.h"
#include "engine/store/store.h"
#include "http/auth.h"
#include "http/etcd/etcd_coordinator.h"
#include "http/metrics.h"
#include "http/router.h"
#include "http/serve_options.h"
#include "http/server.h"
#include "http/services.h"
#include "http/timers.h"
#include "http/work_pool.h"
#include "projections/projection.h"
#include "projections/projection_host.h"

namespace keelson::cluster {
class ClusterStore;
}

namespace keelson::http {

/// What an application is made of.
struct Domain {
  std::string topic;
  std::shared_ptr<aggregates::AggregateRegistry> aggregates;
  std::shared_ptr<aggregates::ReactionRegistry> reactions;
  std::shared_ptr<projections::ProjectionRegistry> projections;

  /// Without anything registered there is nothing to run, and no topic of its own.
  [[nodiscard]] bool empty() const;
};

/// Owns everything of a node, in the order in which it depends on each other. A crash at any point
/// leaves what the parts promise: the log is the truth, read models and snapshots are rebuilt.
///
/// The end, from the outside in; each step waits for the threads of what it ends:
///  1. Reactions pause. The server stops: what is in flight is answered, or cut when that takes too
///     long. It is destroyed, and with its contexts every session, whose waits are interrupted.
///  2. The work pool stops when it has run what is queued; then the timers. Both objects stay: a
///     commit that was in flight when its client was cut completes in step 4, and its answer,
///     though it leads nowhere (`HomeThread`), still goes through the pool.
///  3. Projections and aggregates are destroyed. What belongs to commands in flight may outlive
///     their host and uses the topic only.
///  4. The store closes: everything staged becomes durable and completes, its workers end. Nothing
///     can call back any more. It is destroyed, then timers and pool.
class Service {
 public:
  /// Opens the store, recovers it, starts everything and listens.
  /// @error whatever the parts give; the context is made for the operator.
  [[nodiscard]] static Result<std::unique_ptr<Service>> start(ServeOptions options,
                                                              const Domain& domain);
  /// Stops if that has not been done.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  [[nodiscard]] std::string url() const { return server_->url(); }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  /// Graceful: see App. Returns when the store is closed.
  void stop();

 private:
  explicit Service(ServeOptions options) : options_(std::move(options)) {}
  Result<void> open_store();
  Result<void> open_cluster(StoreOptions options);
  Result<void> open_hosts(const Domain& domain);
  Result<Topic*> open_topic(const std::string& name);
  Result<Topic*> open_cluster_topic(const std::string& name, const TopicOptions& options);
  [[nodiscard]] Result<void> check_partitions(const std::string& name, std::size_t there) const;
  void add_routes();
  void add_metrics();
  Result<void> listen();
  [[nodiscard]] Environment environment() { return {files_, clock_, random_, scheduler_}; }

  ServeOptions options_;
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  ThreadScheduler scheduler_{2};
  Metrics metrics_;
  std::unique_ptr<EtcdCoordinator> coordinator_;  ///< in a cluster
  std::unique_ptr<Store> store_;
  cluster::ClusterStore* cluster_ = nullptr;  ///< `store_`, in a cluster
  std::unique_ptr<aggregates::AggregateHost> aggregates_;
  std::unique_ptr<projections::ProjectionHost> projections_;
  Authenticator authenticator_;
  std::unique_ptr<ThreadTimers> timers_;
  std::unique_ptr<ThreadWorkPool> work_;
  std::unique_ptr<Services> services_;
  Router router_;
  std::unique_ptr<Server> server_;
  std::atomic<bool> ready_{false};
};

}  // namespace keelson::http
