#include "engine/cluster/cluster_store.h"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/replication/local_coordinator.h"
#include "engine/store/replica_store.h"
#include "tests/engine/cluster/members.h"
#include "tests/support/simulated_environment.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;

namespace {

using Outdated = std::vector<std::pair<Member, replication::Incarnation>>;

/// What the store is told of messages.
using Heard = std::function<void(const Member& from, std::string message)>;

/// Reaches nobody. Takes addresses that have a port.
class NoTransport final : public replication::Transport {
 public:
  using Peers = std::map<replication::NodeId, std::string>;
  NoTransport(Peers& peers, Outdated& outdated, Heard& heard)
      : peers_(peers), outdated_(outdated), heard_(heard) {}

  void set_listener(Listener listener) override { heard_ = std::move(listener.received); }
  Result<void> set_peers(Peers addresses) override {
    for (const auto& [node, address] : addresses) {
      if (address.find(':') == std::string::npos) return fail(Errc::bad_request, address);
    }
    peers_ = std::move(addresses);
    return {};
  }
  void outdate(const Member& member, const replication::Incarnation& latest) override {
    outdated_.emplace_back(member, latest);
  }
  Result<void> send(const Member&, std::string, replication::Flow) override {
    return fail(Errc::closed, "");
  }
  Result<void> send_file(const Member&, std::string, replication::FileRegion,
                         replication::Flow) override {
    return fail(Errc::closed, "");
  }
  std::size_t waiting(const Member&) const override { return 0; }

 private:
  Peers& peers_;
  Outdated& outdated_;
  Heard& heard_;
};

StoreOptions in_data() {
  StoreOptions options;
  options.folder = "data";
  return options;
}

/// Makes the strands of another, of which one worker runs nothing before it is let go.
class HeldWorker final : public Scheduler {
 public:
  HeldWorker(Scheduler& inner, std::string name) : inner_(inner), name_(std::move(name)) {}

  std::shared_ptr<Strand> make_strand(std::string name) override {
    return inner_.make_strand(std::move(name));
  }
  std::shared_ptr<Strand> make_worker(std::string name) override {
    const bool held = name == name_;
    auto worker = inner_.make_worker(std::move(name));
    if (!held) return worker;
    held_ = std::make_shared<Held>(std::move(worker));
    return held_;
  }
  void let_go() {
    for (Task& task : std::exchange(held_->waiting, {})) held_->inner->post(std::move(task));
    held_->free = true;
  }

 private:
  struct Held final : Strand {
    explicit Held(std::shared_ptr<Strand> worker) : inner(std::move(worker)) {}
    void dispatch(Task task) override { post(std::move(task)); }
    void post(Task task) override {
      if (free) return inner->post(std::move(task));
      waiting.push_back(std::move(task));
    }
    void post_after(std::chrono::nanoseconds delay, Task task) override {
      inner->post_after(delay, std::move(task));
    }
    const std::shared_ptr<Strand> inner;
    std::vector<Task> waiting;
    bool free = false;
  };

  Scheduler& inner_;
  const std::string name_;
  std::shared_ptr<Held> held_;
};

class Fixture {
 public:
  Fixture() {
    TopicOptions small;
    small.segment_bytes = 64u << 10;
    topic = small;
  }

  Result<std::unique_ptr<Store>> open_alone() { return Store::open(environment.get(), in_data()); }
  Result<std::unique_ptr<ClusterStore>> open_in_cluster() {
    ClusterStoreOptions options;
    options.name = {replication::NodeId(1), "test"};
    options.http_address = "node-1:80";
    options.version = "1";
    options.claim_quiet = {};  // no time passes
    options.report = [this](const std::string& what) { reports.push_back(what); };
    const Environment given = environment.get();
    return ClusterStore::open(
        {given.files, given.clock, given.random,
         scheduler != nullptr ? *scheduler : given.scheduler, given.end_process},
        in_data(), options, another != nullptr ? *another : coordinator,
        [this](const Member&, const auto&) -> Result<ClusterStore::Transporting> {
          return ClusterStore::Transporting{std::make_unique<NoTransport>(peers, outdated, heard),
                                            "node-1:70"};
        });
  }

  /// In the cluster, which has this node alone. Does not wait for a leader.
  void make_topic(ClusterStore& store, const std::string& name) {
    bool made = false;
    store.directory().create_topic({name, topic, 1}, [&](const auto& result) {
      REQUIRE(result);
      made = true;
    });
    REQUIRE(made);
  }

  SimulatedEnvironment environment{1};
  Scheduler* scheduler = nullptr;  ///< in the place of the environment's
  replication::LocalCoordinator coordinator;
  replication::Coordinator* another = nullptr;  ///< in its place
  NoTransport::Peers peers;
  Outdated outdated;
  Heard heard;
  std::vector<std::string> reports;
  TopicOptions topic;
};

}  // namespace

TEST_CASE("cluster store: a folder of a node that is alone is refused, and stays one") {
  Fixture alone;
  {
    auto store = alone.open_alone();
    REQUIRE(store);
    REQUIRE((*store)->create_topic("t", alone.topic));
  }
  CHECK(alone.open_in_cluster().error().code == Errc::bad_request);
  CHECK(has_node_identity(alone.environment.disk, "data") == false);
  CHECK(alone.open_alone());
}

TEST_CASE("cluster store: a partition whose promise is lost takes no part, and is seen") {
  Fixture fixture;
  REQUIRE(fixture.open_in_cluster());
  {
    auto store = ReplicaStore::open(fixture.environment.get(), in_data());
    REQUIRE(store);
    TopicOptions two = fixture.topic;
    two.partitions = 2;
    REQUIRE((*store)->create_topic("t", two));
    (*store)->replicas("t").front()->start_epoch(Epoch(3));
  }
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  Topic* const topic = (*store)->find_topic("t");
  REQUIRE(topic != nullptr);
  CHECK(topic->partition(PartitionId(0)).health().error().code == Errc::corruption);
  CHECK(topic->partition(PartitionId(0)).readable().error().code == Errc::corruption);
  REQUIRE((*store)->damage().size() == 1);
  CHECK((*store)->damage().front().error.context.find("its promise is lost") != std::string::npos);
  CHECK((*store)->replica(topic->id(), PartitionId(0)) == nullptr);
  CHECK(topic->partition(PartitionId(1)).health());
  CHECK((*store)->replica(topic->id(), PartitionId(1)) != nullptr);
  REQUIRE_FALSE(fixture.reports.empty());
  CHECK(fixture.reports.back().find("topic t partition 0 takes no part") != std::string::npos);
}

TEST_CASE("cluster store: a topic for which there is no room is opened when there is some") {
  Fixture fixture;
  fixture.environment.scheduler.keep_timers();
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  bool refused = false;
  for (std::uint64_t room = 0; room < fixture.topic.segment_bytes * 2; room += 8192) {
    const std::string name = "t" + std::to_string(room);
    CAPTURE(name);
    fixture.reports.clear();
    fixture.environment.disk.set_room(room);
    fixture.make_topic(**store, name);
    if ((*store)->adopted(name)) continue;
    refused = true;
    CHECK((*store)->adopted(name).error().code == Errc::disk_full);
    fixture.environment.scheduler.elapse();  // it is as full as before
    fixture.environment.scheduler.elapse();
    CHECK((*store)->adopted(name).error().code == Errc::disk_full);
    CHECK(fixture.reports.size() == 1);
    fixture.environment.disk.set_room(UINT64_MAX);
    fixture.environment.scheduler.elapse();
    CHECK((*store)->adopted(name));
    CHECK(fixture.reports.size() == 2);
    Topic* const topic = (*store)->find_topic(name);
    REQUIRE(topic != nullptr);
    CHECK((*store)->replica(topic->id(), PartitionId(0)) != nullptr);
  }
  CHECK(refused);
}

TEST_CASE("cluster store: a promise that waits for its disk holds up none of another worker") {
  Fixture fixture;
  fixture.environment.scheduler.keep_timers();
  HeldWorker scheduler(fixture.environment.scheduler, "promises 0");
  fixture.scheduler = &scheduler;
  fixture.topic.partitions = 8;
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  fixture.make_topic(**store, "t");
  Topic* const topic = (*store)->find_topic("t");
  REQUIRE(topic != nullptr);
  const auto led = [&] {
    std::size_t count = 0;
    for (std::uint32_t p = 0; p < 8; ++p) {
      const auto status = (*store)->replica(topic->id(), PartitionId(p))->status();
      count += status.role == replication::Replica::Role::leading ? 1 : 0;
    }
    return count;
  };
  for (int i = 0; i < 100 && led() < 8; ++i) fixture.environment.scheduler.elapse();
  CHECK(led() == 7);
  scheduler.let_go();
  for (int i = 0; i < 100 && led() < 8; ++i) fixture.environment.scheduler.elapse();
  CHECK(led() == 8);
}

TEST_CASE("cluster store: where the coordinator lacks a topic that is here none is made") {
  Fixture fixture;
  {
    auto store = fixture.open_in_cluster();
    REQUIRE(store);
    fixture.make_topic(**store, "t");
  }
  replication::LocalCoordinator empty;
  fixture.another = &empty;
  {
    auto store = fixture.open_in_cluster();
    REQUIRE(store);
    for (const char* const name : {"t", "other"}) {
      const auto made = (*store)->create_topic(name, fixture.topic);
      REQUIRE_FALSE(made);
      CHECK(made.error().code == Errc::not_enough_replicas);
      CHECK(made.error().context.find("the topic 't' is here") != std::string::npos);
      CHECK_FALSE((*store)->directory().topic(name));
    }
    // Another one of that name is not it.
    fixture.make_topic(**store, "t");
    CHECK_FALSE((*store)->create_topic("other", fixture.topic));
  }
}

TEST_CASE("cluster store: a store that has closed opens no topic") {
  Fixture fixture;
  fixture.environment.scheduler.keep_timers();
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  fixture.environment.disk.set_room(0);
  fixture.make_topic(**store, "t");
  REQUIRE((*store)->adopted("t").error().code == Errc::disk_full);
  fixture.environment.disk.set_room(UINT64_MAX);
  (*store)->close();
  fixture.environment.scheduler.elapse();
  CHECK((*store)->find_topic("t") == nullptr);
}

TEST_CASE("cluster store: one node with a bad address does not keep the others away") {
  Fixture fixture;
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  const ClusterKeys keys("test");
  const auto appear = [&](std::uint32_t node, const std::string& address) {
    return fixture.coordinator.appear(
        keys.of(NodeKey{replication::NodeId(node)}),
        encode_node_record({member(node), {}, address, "node-" + std::to_string(node), "1"}),
        std::chrono::seconds(3));
  };
  const auto second = appear(2, "node-2");  // without a port
  const auto third = appear(3, "node-3:70");
  CHECK(fixture.peers.contains(replication::NodeId(3)));
  CHECK_FALSE(fixture.peers.contains(replication::NodeId(2)));
  CHECK(fixture.reports.size() == 1);
}

TEST_CASE("cluster store: when its folder is claimed elsewhere the process ends, and not before") {
  Fixture fixture;
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  const ClusterKeys keys("test");
  const auto claim = [&](const Member& who, std::uint64_t start) {
    const std::string key = keys.of(FolderKey{who.data});
    std::optional<replication::Record> at;
    fixture.coordinator.get(key, [&](auto record) { at = record.value(); });
    fixture.coordinator.compare_and_set(
        key, at, encode_folder_record({who, {start, {}}}),
        [](const auto& result) { REQUIRE(result.value().swapped); });
  };
  // Another member: its older starts are refused here.
  claim(member(2), 7);
  CHECK(fixture.outdated == Outdated{{member(2), {7, {}}}});
  // An earlier start, as of a coordinator that was put back.
  claim((*store)->self(), 0);
  CHECK(fixture.environment.ended == 0);
  CHECK(fixture.reports.empty());
  claim((*store)->self(), 2);
  CHECK(fixture.environment.ended == 1);
  REQUIRE(fixture.reports.size() == 1);
  CHECK(fixture.reports.front() ==
        "another process has started as node 1 with this data folder or a copy of it: it is start "
        "2, this is start 1, which must take part no more");
}

TEST_CASE("cluster store: a folder that was used elsewhere since is not opened") {
  Fixture fixture;
  { REQUIRE(fixture.open_in_cluster()); }
  const auto kept = io::read_file(fixture.environment.disk, "data/keelson.starts", 4096);
  REQUIRE(kept);
  { REQUIRE(fixture.open_in_cluster()); }
  REQUIRE(io::replace_file(fixture.environment.disk, "data/keelson.starts", *kept));
  CHECK(fixture.open_in_cluster().error().code == Errc::locked);
}

TEST_CASE("cluster store: batches that wait to be written are bounded over all partitions") {
  Fixture fixture;
  { REQUIRE(fixture.open_in_cluster()); }
  {
    auto store = ReplicaStore::open(fixture.environment.get(), in_data());
    REQUIRE(store);
    TopicOptions two = fixture.topic;
    two.partitions = 2;
    REQUIRE((*store)->create_topic("t", two));
  }
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  const Topic* const topic = (*store)->find_topic("t");
  REQUIRE(topic != nullptr);
  // Messages that nobody understands: each that is looked at is reported.
  const auto send = [&](std::uint32_t partition, std::size_t bytes) {
    std::string message(20 + bytes, '\xee');
    std::memcpy(message.data(), topic->id().bytes.data(), 16);
    std::memcpy(message.data() + 16, &partition, sizeof partition);
    fixture.heard(member(2), std::move(message));
  };
  constexpr std::size_t kMiB = 1u << 20;
  for (int round = 0; round < 3; ++round) {
    fixture.reports.clear();
    fixture.environment.scheduler.hold();
    for (std::uint32_t i = 0; i < 100; ++i) send(i % 2, kMiB);
    send(0, 1000);  // what is small gets through
    fixture.environment.scheduler.release();
    CHECK(fixture.reports.size() == 64 + 1);
  }
  // One by itself is never too large.
  fixture.reports.clear();
  send(0, 100 * kMiB);
  CHECK(fixture.reports.size() == 1);
}
