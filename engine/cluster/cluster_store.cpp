#include "engine/cluster/cluster_store.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/cluster/cluster_folder.h"
#include "engine/cluster/envelope.h"
#include "engine/cluster/last_records.h"
#include "engine/store/topic_record.h"

namespace keelson::cluster {

namespace {

/// Where segments are larger, they are made in slices.
constexpr std::uint64_t kRoomToLead = 16u << 20;
/// Before a topic that could not be opened is tried again.
constexpr std::chrono::seconds kAdoptRetry{1};

/// Before a node that ends asks again who is to lead, and how often the same before the next: for
/// longer than it takes to be elected.
constexpr std::chrono::milliseconds kAskAgain{50};
constexpr std::size_t kAsksOfOne = 6;

constexpr std::size_t kPromiseWorkers = 8;

std::vector<std::shared_ptr<Strand>> make_promise_workers(Scheduler& scheduler) {
  std::vector<std::shared_ptr<Strand>> workers;
  for (std::size_t i = 0; i < kPromiseWorkers; ++i) {
    workers.push_back(scheduler.make_worker("promises " + std::to_string(i)));
  }
  return workers;
}

/// Whether another try to open a topic may succeed: there is room again, say.
bool may_pass(const Error& error) {
  return error.code == Errc::disk_full || error.code == Errc::io_error;
}

}  // namespace

Result<std::unique_ptr<ClusterStore>> ClusterStore::open(Environment environment,
                                                         StoreOptions options,
                                                         ClusterStoreOptions cluster,
                                                         replication::Coordinator& coordinator,
                                                         const MakeTransport& make_transport) {
  const std::string folder = options.folder;
  KEELSON_TRY_ASSIGN(auto replicas, ReplicaStore::open(environment, std::move(options)));
  KEELSON_TRY_ASSIGN(const bool known, has_node_identity(environment.files, folder));
  if (!known && !replicas->topics().empty()) {
    return fail(Errc::bad_request,
                folder +
                    " has topics of a node that was alone: a node of a cluster begins with an "
                    "empty folder");
  }
  KEELSON_TRY_ASSIGN(
      const NodeIdentity identity,
      open_node_identity(environment.files, environment.random, folder, cluster.name));
  std::unique_ptr<ClusterStore> store(
      new ClusterStore(environment, std::move(cluster), std::move(replicas), identity.member()));
  KEELSON_TRY_ASSIGN(FolderClaimed claimed, store->claim(coordinator));
  store->incarnation_ = claimed.incarnation;
  KEELSON_TRY_ASSIGN(auto transporting, make_transport(store->self_, claimed.incarnation));
  store->transport_ = std::move(transporting.transport);
  KEELSON_TRY(store->join(coordinator, transporting.address, std::move(claimed).replaces));
  return store;
}

ClusterStore::ClusterStore(Environment environment, ClusterStoreOptions options,
                           std::unique_ptr<ReplicaStore> store, Member self)
    : environment_(environment),
      options_(std::move(options)),
      keys_(options_.name.cluster),
      store_(std::move(store)),
      self_(self),
      worker_(environment.scheduler.make_worker("cluster")),
      promises_(make_promise_workers(environment.scheduler)),
      requests_(std::make_shared<LeaderRequests>(
          environment,
          LeaderRequests::Ports{
              [this](const PartitionKey& partition) { return leader_elsewhere(partition); },
              [this](const PartitionKey& partition, const Member& to, const std::string& message) {
                return transport_->send(to, in_envelope(partition, message), kRequestsFlow);
              }})) {}

ClusterStore::~ClusterStore() { close(); }

Result<FolderClaimed> ClusterStore::claim(replication::Coordinator& coordinator) {
  ClaimOptions options;
  options.folder = store_->options().folder;
  options.place = environment_.files.place_of(options.folder + "/" + std::string(kFolderLock));
  options.member = self_;
  options.patience = options_.claim_patience;
  options.quiet = options_.claim_quiet;
  options.pause = [this](std::chrono::nanoseconds time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time);
  };
  options.give_up = options_.give_up;
  options.report = options_.report;
  return claim_folder(environment_, coordinator, keys_, options);
}

Result<void> ClusterStore::join(replication::Coordinator& coordinator, const std::string& address,
                                std::optional<replication::Record> replaces) {
  coordinator_ = &coordinator;
  for (Topic* const topic : store_->topics()) KEELSON_TRY(add_replicas(*topic));
  transport_->set_listener({[this](const Member& from, std::string message) {
                              on_received(from, std::move(message), {});
                            },
                            [this](const Member& from, std::string message, std::string batches) {
                              on_received(from, std::move(message), std::move(batches));
                            },
                            [this](const Member& peer) { on_connection(peer, true); },
                            [this](const Member& peer) { on_connection(peer, false); }});
  {
    // It may find topics before it is here to be asked about them.
    const std::lock_guard lock(directory_mutex_);
    directory_ = std::make_unique<ClusterDirectory>(
        DirectoryPorts{coordinator, environment_.scheduler, environment_.random}, keys_,
        static_cast<DirectoryListener&>(*this));
  }
  NodeRecord self;
  self.member = self_;
  self.incarnation = incarnation_;
  self.peer_address = address;
  self.http_address = options_.http_address;
  self.version = options_.version;
  return directory_->announce(self, std::move(replaces));
}

// --- topics ---

/// On the worker.
void ClusterStore::adopt(const std::string& name, const TopicPlacement& placement) {
  const auto topic = store_->adopt_topic(name, {placement.topic, placement.options});
  Result<void> added = topic ? add_replicas(**topic) : Result<void>(std::unexpected(topic.error()));
  if (added) {
    if (const auto kept = keep_placement(name, placement); !kept) {
      options_.report("topic " + name + ": its record cannot be kept: " + kept.error().message());
    }
  }
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    const auto before = not_adopted_.find(name);
    const bool failed_before = before != not_adopted_.end();
    news = added ? failed_before : !failed_before || before->second.code != added.error().code;
    not_adopted_.erase(name);
    if (!added) not_adopted_.emplace(name, added.error());
    changed_.notify_all();
  }
  if (news) {
    options_.report(
        "topic " + name +
        (added ? " is open here now" : " cannot be opened here: " + added.error().message()));
  }
  if (!added && may_pass(added.error())) adopt_later(name);
}

/// The coordinator tells of a topic once. On the worker.
void ClusterStore::adopt_later(const std::string& name) {
  if (!adopting_later_.insert(name).second) return;
  worker_->post_after(kAdoptRetry, [this, name, weak = std::weak_ptr(open_)] {
    if (weak.expired()) return;
    adopting_later_.erase(name);
    std::optional<KnownTopic> known;  // as it is by now
    {
      const std::lock_guard lock(directory_mutex_);
      if (directory_ != nullptr) known = directory_->topic(name);
    }
    if (known) adopt(name, known->placement);
  });
}

std::string ClusterStore::topic_folder(std::string_view topic) const {
  const std::string folder = store_->partition_folder(topic, PartitionId(0));
  return folder.substr(0, folder.rfind('/'));
}

/// So that it can be made anew when the coordinator has lost it.
Result<void> ClusterStore::keep_placement(const std::string& name,
                                          const TopicPlacement& placement) {
  const std::string folder = topic_folder(name);
  const auto kept = load_last_placement(environment_.files, folder);
  if (kept && *kept == placement) return {};
  return store_last_placement(environment_.files, folder, placement);
}

Result<PromiseStore> ClusterStore::open_promises(const Topic& topic, LogPartition& partition,
                                                 replication::Promise& promise) {
  const std::string folder = store_->partition_folder(topic.name(), partition.id());
  PromiseStore promises(environment_.files, folder, partition_identity(topic.id(), partition.id()));
  KEELSON_TRY_ASSIGN(promise, promises.load());
  if (const auto good = check_promise(promise, partition.appended().last_epoch); !good) {
    return fail(good.error().code, folder + ": " + good.error().context);
  }
  return promises;
}

std::shared_ptr<Strand> ClusterStore::promise_worker(const PartitionKey& partition) const {
  const auto topic = std::to_integer<std::size_t>(partition.topic.bytes.front());
  return promises_[(topic + partition.partition.value) % promises_.size()];
}

Result<void> ClusterStore::add_replicas(Topic& topic) {
  for (auto& partition : store_->replicas(topic.name())) {
    const PartitionKey key{topic.id(), partition->id()};
    if (replica(key.topic, key.partition)) continue;
    const std::string where =
        "topic " + topic.name() + " partition " + std::to_string(key.partition.value) + ": ";
    replication::Promise promise;
    auto promises = open_promises(topic, *partition, promise);
    if (!promises && is_damage(promises.error().code)) {
      // As a damaged log does, it stops itself and nothing else.
      options_.report("topic " + topic.name() + " partition " +
                      std::to_string(key.partition.value) +
                      " takes no part: " + promises.error().message());
      partition->halt(promises.error());
      continue;
    }
    if (!promises) return std::unexpected(promises.error());
    PartitionReplica::Options options;
    options.self = self_;
    options.record_key = keys_.of(key);
    options.protocol = options_.protocol;
    options.retention_waits_for = options_.retention_waits_for;
    options.retention_waits_bytes = options_.retention_waits_bytes;
    options.room_to_lead = std::min(topic.options().segment_bytes, kRoomToLead);
    options.folder = store_->partition_folder(topic.name(), key.partition);
    options.partition = partition_identity(key.topic, key.partition);
    if (auto last = load_last_record(environment_.files, options.folder, options.partition)) {
      options.last = *std::move(last);
    } else {
      // The coordinator has it; the next one is kept.
      options_.report(where + last.error().message());
    }
    auto made = std::make_shared<PartitionReplica>(
        environment_, std::move(partition), *std::move(promises), promise, promise_worker(key),
        options,
        PartitionReplica::Ports{
            *coordinator_,
            [this, key](const Member& to, const std::string& message) { send(key, to, message); },
            [this, key](const Member& to, const std::string& message, io::FileRegion region) {
              [[maybe_unused]] const auto sent = transport_->send_file(
                  to, in_envelope(key, message), std::move(region), flow_of(key));
            },
            [this](const Member& to) {
              return transport_->waiting(to) >= options_.congested_bytes;
            },
            [this](const Member& member) { return http_address_of(member); },
            [this, where](const std::string& what) { options_.report(where + what); }});
    made->start();
    {
      const std::lock_guard lock(mutex_);
      replicas_.emplace(key, made);
      for (const Member& peer : connected_) made->on_connected(peer);
    }
    const std::lock_guard lock(directory_mutex_);
    if (directory_ == nullptr) continue;  // it will tell, or the store closes
    if (const auto known = directory_->partition(key)) {
      made->on_record(known->record, known->revision);
    }
  }
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    tell_whereabouts(topic, PartitionId(p));
  }
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
  return {};
}

/// Tells a partition where else it is, for clients. On the worker.
void ClusterStore::tell_whereabouts(const Topic& topic, PartitionId partition) {
  std::vector<std::string> alive;
  std::vector<std::string> silent;  // only the coordinator may be
  bool replica = true;
  {
    const std::lock_guard lock(mutex_);
    const auto known = records_.find({topic.id(), partition});
    if (known == records_.end()) return;
    const replication::PartitionRecord& record = known->second;
    replica = record.has(self_);
    replication::MemberList members = record.members();
    std::ranges::stable_partition(members,
                                  [&](const Member& member) { return member == record.leader; });
    for (const Member& member : members) {
      const auto node = nodes_.find(member.node);
      if (member == self_ || node == nodes_.end() || node->second.member != member) continue;
      (silent_.contains(member.node) ? silent : alive).push_back(node->second.http_address);
    }
  }
  alive.insert(alive.end(), silent.begin(), silent.end());
  store_->set_whereabouts(topic.name(), partition, replica, std::move(alive));
}

void ClusterStore::tell_all_whereabouts() {
  worker_->post([this] {
    for (const Topic* const topic : store_->topics()) {
      for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
        tell_whereabouts(*topic, PartitionId(p));
      }
    }
  });
}

Result<void> ClusterStore::adopted(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto failed = not_adopted_.find(name);
  if (failed != not_adopted_.end()) return std::unexpected(failed->second);
  return {};
}

Result<Topic*> ClusterStore::create_topic(const std::string& name, const TopicOptions& options) {
  // It must not be made a second time; nor is anything to be written where records are missing.
  for (Topic* const mine : store_->topics()) {
    const auto known = directory_->topic(mine->name());
    if (known && known->placement.topic == mine->id()) continue;
    return fail(Errc::not_enough_replicas,
                "the topic '" + std::string(mine->name()) +
                    "' is here, and the coordinator does not have it: it has not been reached "
                    "yet, or has lost its records");
  }
  const auto until = environment_.clock.monotonic() + options_.create_timeout;
  std::promise<Result<void>> made;
  TopicOptions with_replicas = options;
  if (options.replication_factor == 0) with_replicas.replication_factor = options_.replicas;
  directory_->create_topic(
      {name, with_replicas, with_replicas.replication_factor}, [&made](const auto& result) {
        made.set_value(result ? Result<void>() : std::unexpected(result.error()));
      });
  KEELSON_TRY(made.get_future().get());  // it ends by itself
  std::unique_lock lock(mutex_);
  while (true) {
    if (closed_) return fail(Errc::closed, "the store is shutting down");
    if (const auto failed = not_adopted_.find(name); failed != not_adopted_.end()) {
      return std::unexpected(failed->second);
    }
    lock.unlock();
    Topic* const topic = store_->find_topic(name);
    const bool ready = topic != nullptr && led(*topic);
    lock.lock();
    if (ready) return topic;
    if (environment_.clock.monotonic() >= until) {
      return fail(Errc::timeout, "the topic '" + name +
                                     "' is made, but not all of its partitions have a leader yet");
    }
    changed_.wait_for(lock, std::chrono::milliseconds(20));
  }
}

/// Whether each partition of `topic` has a leader that this node has heard.
bool ClusterStore::led(const Topic& topic) {
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    const auto found = replica(topic.id(), PartitionId(p));
    if (!found) return false;
    const ReplicaStatus status = found->status();
    const bool leads = status.role == replication::Replica::Role::leading;
    const bool member = status.record && status.record->has(self_);
    if (!leads && !(member ? status.readable : status.record && status.record->leader)) {
      return false;
    }
  }
  return true;
}

std::vector<Damage> ClusterStore::damage() {
  std::vector<Damage> damage = store_->damage();
  for (Topic* const topic : store_->topics()) {
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      const auto found = replica(topic->id(), PartitionId(p));
      if (!found) continue;
      const auto halted = found->status().halted;
      if (halted && found->partition()->health()) {  // or it has been told of
        damage.push_back({topic->name(), PartitionId(p), *halted});
      }
    }
  }
  return damage;
}

std::vector<NodeRecord> ClusterStore::last_seen() {
  const std::lock_guard lock(mutex_);
  std::vector<NodeRecord> all;
  for (const auto& [id, node] : nodes_) all.push_back(node);
  return all;
}

replication::MemberList ClusterStore::connected() {
  const std::lock_guard lock(mutex_);
  return connected_;
}

std::size_t ClusterStore::unreadable() {
  const auto all = replicas();
  return static_cast<std::size_t>(std::ranges::count_if(all, [&](const auto& replica) {
    const ReplicaStatus status = replica->status();
    return status.record && status.record->has(self_) && !status.readable;
  }));
}

PartitionTestimony ClusterStore::testimony(Topic& topic, PartitionId partition) {
  PartitionTestimony said;
  const auto found = replica(topic.id(), partition);
  if (!found) {
    const auto health = topic.partition(partition).health();
    said.damage = health ? Error{Errc::corruption, "it cannot be opened", {}} : health.error();
    return said;
  }
  const ReplicaStatus status = found->status();
  said.promise = status.promised;
  said.end = {status.last_epoch, status.appended};
  said.without_record = status.without_record;
  if (status.record) said.last = LastRecord{*status.record, status.revision};
  return said;
}

NodeTestimony ClusterStore::testify() {
  NodeTestimony node{options_.name.cluster, self_, {}};
  for (Topic* const topic : store_->topics()) {
    TopicTestimony said{topic->name(), topic->id(), {}, {}};
    if (const auto known = directory_->topic(topic->name())) {
      said.placement = known->placement;
    } else if (auto kept = load_last_placement(environment_.files, topic_folder(topic->name()))) {
      said.placement = *std::move(kept);
    }
    for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
      said.partitions.push_back(testimony(*topic, PartitionId(p)));
    }
    node.topics.push_back(std::move(said));
  }
  return node;
}

// --- the end ---

/// Asks a follower that has everything to lead, for each partition that this node leads, so that
/// nobody has to find out that it is gone.
void ClusterStore::give_away_leads() {
  using Role = replication::Replica::Role;
  const auto until = environment_.clock.monotonic() + options_.give_away_time;
  std::map<std::shared_ptr<PartitionReplica>, std::size_t> asked_before;
  bool asked = true;
  while (asked && environment_.clock.monotonic() < until) {
    asked = false;
    for (const auto& replica : replicas()) {
      const ReplicaStatus status = replica->status();
      if (status.role != Role::leading) continue;
      const MemberList there = connected();
      MemberList able;
      for (const auto& [member, durable] : status.durable) {
        if (durable < status.appended || !status.record->has(member)) continue;
        if (replication::contains(there, member)) able.push_back(member);
      }
      if (able.empty()) continue;
      // One that does not take it, since its disk is full say, leaves it to the next.
      const std::size_t turn = asked_before[replica]++ / kAsksOfOne;
      replica->hand_over(able[turn % able.size()], [](const Result<void>&) {});
      asked = true;
    }
    if (asked) {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kAskAgain);
    }
  }
}

void ClusterStore::close() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    changed_.notify_all();
  }
  if (directory_) give_away_leads();
  // From here on nothing new comes: no record, no message, no topic.
  std::unique_ptr<replication::Coordinator::Presence> presence;
  {
    const std::lock_guard lock(directory_mutex_);
    if (directory_) presence = directory_->take_presence();
    directory_.reset();
  }
  std::promise<void> idle;
  worker_->post([this, &idle] {
    open_.reset();
    idle.set_value();
  });
  idle.get_future().wait();
  const auto all = replicas();
  std::vector<std::promise<void>> stopped(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i]->stop([&done = stopped[i]] { done.set_value(); });
  }
  for (auto& done : stopped) done.get_future().wait();
  requests_->close();
  transport_.reset();
  store_->close();
  {
    const std::lock_guard lock(mutex_);
    replicas_.clear();
  }
  for (const auto& worker : promises_) {
    std::promise<void> stored;
    worker->post([&stored] { stored.set_value(); });
    stored.get_future().wait();
  }
  // Whoever does not see it any more may take this process for ended: it writes nothing now.
  presence.reset();
}

}  // namespace keelson::cluster
