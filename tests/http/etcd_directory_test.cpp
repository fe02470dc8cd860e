// Directories of several nodes that know each other by a real etcd.
#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/cluster/cluster_directory.h"
#include "http/etcd/etcd_coordinator.h"
#include "tests/engine/cluster/members.h"
#include "tests/support/etcd.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::http;
using namespace keelson::replication;
using namespace std::chrono_literals;
using keelson::test::member;

namespace {

constexpr auto kPatience = 30s;
const ClusterKeys kKeys("main");

/// Wakes who waits for something to be known.
class Bell final : public DirectoryListener {
 public:
  void on_node(const NodeRecord&) override { ring(); }
  void on_node_left(const NodeRecord&) override { ring(); }
  void on_folder(const FolderRecord&) override { ring(); }
  void on_data_replaced(const ReplacedData&) override { ring(); }
  void on_topic(const std::string&, const TopicPlacement&, Revision) override { ring(); }
  void on_partition(const PartitionKey&, const PartitionRecord&, Revision) override { ring(); }
  void on_bad_record(const std::string& key, const Error& error) override {
    FAIL_CHECK(key << ": " << error.message());
  }
  bool wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return rung_.wait_for(lock, kPatience, holds);
  }

 private:
  void ring() {
    const std::lock_guard lock(mutex_);
    rung_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable rung_;
};

struct Node {
  Node(const std::string& etcd, std::uint32_t id)
      : coordinator(EtcdCoordinator::open({etcd}).value()),
        directory(std::make_unique<ClusterDirectory>(
            DirectoryPorts{*coordinator, scheduler, random}, kKeys, bell,
            DirectoryOptions{.time_to_live = 5s, .patience = kPatience})) {
    REQUIRE(directory->announce({member(id),
                                 {},
                                 "127.0.0.1:" + std::to_string(7000 + id),
                                 "127.0.0.1:" + std::to_string(8000 + id),
                                 "0.1.0"}));
  }
  std::future<Result<KnownTopic>> create(const std::string& name) {
    TopicRequest request{name, {}, 3, kPatience};
    request.options.partitions = 8;
    std::promise<Result<KnownTopic>> promise;
    auto answer = promise.get_future();
    directory->create_topic(request, [promise = std::move(promise)](auto made) mutable {
      promise.set_value(std::move(made));
    });
    return answer;
  }
  bool sees_nodes(std::size_t count) {
    return bell.wait([&] { return directory->view().nodes().size() == count; });
  }

  ThreadScheduler scheduler{2};
  SystemRandom random;
  Bell bell;
  std::unique_ptr<EtcdCoordinator> coordinator;
  std::unique_ptr<ClusterDirectory> directory;
};

}  // namespace

TEST_CASE("etcd directory: nodes find each other, make a topic and see who has left") {
  test::Etcd etcd;
  std::map<std::uint32_t, std::unique_ptr<Node>> nodes;
  for (const std::uint32_t id : {1, 2, 3}) nodes[id] = std::make_unique<Node>(etcd.url(), id);
  // All at once, before they know each other.
  std::vector<std::future<Result<KnownTopic>>> answers;
  for (auto& [id, node] : nodes) answers.push_back(node->create("bank"));
  std::optional<TopicPlacement> placement;
  for (auto& answer : answers) {
    REQUIRE(answer.wait_for(kPatience) == std::future_status::ready);
    const auto topic = answer.get();
    REQUIRE_MESSAGE(topic.has_value(), (topic ? "" : topic.error().message()));
    CHECK(topic->partitions.size() == 8);
    if (!placement) placement = topic->placement;
    CHECK(topic->placement == *placement);
  }
  for (auto& [id, node] : nodes) CHECK(node->sees_nodes(3));

  // One leaves, and etcd is away for a while; then a record changes.
  nodes.erase(3);
  CHECK(nodes[1]->sees_nodes(2));
  etcd.stop();
  etcd.start();
  const PartitionKey key{placement->topic, PartitionId(5)};
  const KnownPartition before = nodes[1]->directory->partition(key).value();
  const PartitionRecord led{Epoch(1), before.record.replicas[0], before.record.replicas, {}};
  // Until it is away no more.
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (bool swapped = false; !swapped;) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::promise<Result<Coordinator::Swapped>> promise;
    auto answer = promise.get_future();
    nodes[1]->coordinator->compare_and_set(
        kKeys.of(key), Record{encode_partition_record(before.record), before.revision},
        encode_partition_record(led), [&](auto result) { promise.set_value(result); });
    const auto result = answer.get();
    swapped = result && (result->swapped || result->current->revision > before.revision);
    if (!result) std::this_thread::sleep_for(20ms);
  }
  const auto sees_leader = [&] {
    const KnownPartition now = nodes[2]->directory->partition(key).value();
    return now.record == led && now.revision > before.revision;
  };
  CHECK(nodes[2]->bell.wait(sees_leader));
  CHECK(nodes[2]->sees_nodes(2));

  // Who comes later learns all of it.
  Node late(etcd.url(), 4);
  CHECK(late.sees_nodes(3));
  CHECK(late.bell.wait([&] {
    const auto topic = late.directory->topic("bank");
    return topic && topic->placement == *placement && topic->partitions.size() == 8 &&
           topic->partitions.at(PartitionId(5)).record == led;
  }));
}
