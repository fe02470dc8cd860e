#include "engine/cluster/cluster_store.h"

#include <doctest/doctest.h>

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

/// Reaches nobody. Takes addresses that have a port.
class NoTransport final : public replication::Transport {
 public:
  using Peers = std::map<replication::NodeId, std::string>;
  explicit NoTransport(Peers& peers) : peers_(peers) {}

  void set_listener(Listener) override {}
  Result<void> set_peers(Peers addresses) override {
    for (const auto& [node, address] : addresses) {
      if (address.find(':') == std::string::npos) return fail(Errc::bad_request, address);
    }
    peers_ = std::move(addresses);
    return {};
  }
  Result<void> send(const Member&, std::string) override { return fail(Errc::closed, ""); }
  Result<void> send_file(const Member&, std::string, replication::FileRegion) override {
    return fail(Errc::closed, "");
  }

 private:
  Peers& peers_;
};

StoreOptions in_data() {
  StoreOptions options;
  options.folder = "data";
  return options;
}

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
    options.report = [this](const std::string& what) { reports.push_back(what); };
    return ClusterStore::open(
        environment.get(), in_data(), options, coordinator,
        [this](const Member&) -> Result<ClusterStore::Transporting> {
          return ClusterStore::Transporting{std::make_unique<NoTransport>(peers), "node-1:70"};
        });
  }

  SimulatedEnvironment environment{1};
  replication::LocalCoordinator coordinator;
  NoTransport::Peers peers;
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

TEST_CASE("cluster store: one node with a bad address does not keep the others away") {
  Fixture fixture;
  auto store = fixture.open_in_cluster();
  REQUIRE(store);
  const ClusterKeys keys("test");
  const auto appear = [&](std::uint32_t node, const std::string& address) {
    return fixture.coordinator.appear(
        keys.of(NodeKey{replication::NodeId(node)}),
        encode_node_record({member(node), address, "node-" + std::to_string(node), "1"}),
        std::chrono::seconds(3));
  };
  const auto second = appear(2, "node-2");  // without a port
  const auto third = appear(3, "node-3:70");
  CHECK(fixture.peers.contains(replication::NodeId(3)));
  CHECK_FALSE(fixture.peers.contains(replication::NodeId(2)));
  CHECK(fixture.reports.size() == 1);
}
