#include "engine/cluster/cluster_directory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/base/thread_scheduler.h"
#include "tests/engine/cluster/faulty_coordinator.h"
#include "tests/engine/cluster/members.h"
#include "tests/engine/cluster/stepped_scheduler.h"
#include "tests/support/seeds.h"
#include "tests/support/simulated_environment.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::replication;
using namespace std::chrono_literals;
using keelson::test::FaultyCoordinator;
using keelson::test::for_each_seed;
using keelson::test::member;
using Fate = FaultyCoordinator::Fate;

namespace {

const ClusterKeys kKeys("main");

NodeRecord node_record(std::uint32_t node, int data = 0) {
  const std::string id = std::to_string(node);
  return {member(node, data), {}, "10.0.0." + id + ":7070", "node-" + id + ":8080", "0.1.0"};
}

/// What a directory has told, as lines.
class Told : public DirectoryListener {
 public:
  void on_node(const NodeRecord& node) override {
    lines.push_back("node " + std::to_string(node.member.node.value) + " " + node.http_address);
  }
  void on_node_left(const NodeRecord& node) override {
    lines.push_back("left " + std::to_string(node.member.node.value));
  }
  void on_data_replaced(const ReplacedData& replaced) override {
    CHECK(replaced.before.node == replaced.now.node);
    lines.push_back("replaced " + std::to_string(replaced.now.node.value));
  }
  void on_folder(const FolderRecord& folder) override {
    lines.push_back("folder of " + std::to_string(folder.member.node.value) + " start " +
                    std::to_string(folder.incarnation.number));
  }
  void on_topic(const std::string& name, const TopicPlacement& placement, Revision) override {
    lines.push_back("topic " + name + " " +
                    std::to_string(placement.options.retention.age.count()));
  }
  void on_partition(const PartitionKey& key, const PartitionRecord& record,
                    Revision revision) override {
    CHECK(revision > revisions[key]);
    revisions[key] = revision;
    lines.push_back("partition " + std::to_string(key.partition.value) + " epoch " +
                    std::to_string(record.epoch.value));
  }
  void on_bad_record(const std::string& key, const Error& error) override {
    lines.push_back("bad " + key.substr(kKeys.prefix().size()) + " " + error.message());
  }

  std::vector<std::string> take() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
  std::map<PartitionKey, Revision> revisions;
};
using Lines = std::vector<std::string>;

/// One node's directory of a cluster that others may share.
class Node {
 public:
  Node(Coordinator& coordinator, std::uint64_t seed, DirectoryOptions options = {})
      : random(seed),
        directory(std::make_unique<ClusterDirectory>(DirectoryPorts{coordinator, scheduler, random},
                                                     kKeys, told, options)) {}

  std::optional<Result<KnownTopic>>& create(TopicRequest request) {
    answer.reset();
    directory->create_topic(std::move(request), [this](Result<KnownTopic> topic) {
      CHECK_FALSE(answer);
      answer = std::move(topic);
    });
    scheduler.run();
    return answer;
  }
  [[nodiscard]] Errc failed() const {
    REQUIRE(answer);
    REQUIRE_FALSE(answer->has_value());
    return answer->error().code;
  }

  test::SteppedScheduler scheduler;
  test::SeededRandom random;
  Told told;
  std::optional<Result<KnownTopic>> answer;
  std::unique_ptr<ClusterDirectory> directory;
};

/// A cluster whose nodes 1…`count` are alive.
struct Cluster {
  explicit Cluster(std::uint32_t count = 3, DirectoryOptions options = {})
      : node(coordinator, 1, options) {
    for (std::uint32_t id = 1; id <= count; ++id) appear(id);
    node.scheduler.run();
    node.told.take();
  }
  void appear(std::uint32_t id, int data = 0) {
    presences[id].reset();
    presences[id] = coordinator.appear(kKeys.of(NodeKey{NodeId(id)}),
                                       encode_node_record(node_record(id, data)), 3s);
  }
  std::optional<Record> read(const std::string& key) {
    const auto fate = std::exchange(coordinator.fate, [](const auto&) { return Fate::good; });
    std::optional<Record> found;
    coordinator.get(key, [&](auto record) { found = record.value(); });
    coordinator.fate = fate;
    return found;
  }
  /// Each partition's record is there, as the topic's says.
  void check_complete(const TopicPlacement& placement) {
    for (std::uint32_t p = 0; p < placement.partitions.size(); ++p) {
      const auto record = read(kKeys.of(PartitionKey{placement.topic, PartitionId(p)}));
      REQUIRE(record);
      CHECK(decode_partition_record(record->value) ==
            PartitionRecord{Epoch(0), std::nullopt, placement.partitions[p], {}});
    }
  }

  FaultyCoordinator coordinator;
  std::map<std::uint32_t, std::unique_ptr<Coordinator::Presence>> presences;
  Node node;
};

TopicRequest bank(std::uint32_t partitions = 4) {
  TopicRequest request{"bank", {}, 3, {}};
  request.options.partitions = partitions;
  return request;
}

}  // namespace

TEST_CASE("cluster directory: nodes are told as they come and change and leave") {
  Cluster cluster(0);
  Node& node = cluster.node;
  CHECK(node.directory->announce(node_record(1)));
  cluster.appear(2);
  node.scheduler.run();
  CHECK(node.told.take() == Lines{"node 1 node-1:8080", "node 2 node-2:8080"});
  CHECK(node.directory->node(NodeId(1)) == node_record(1));
  CHECK(node.directory->node(NodeId(3)) == std::nullopt);
  cluster.presences.clear();
  node.scheduler.run();
  CHECK(node.told.take() == Lines{"left 2"});
  CHECK(node.directory->node(NodeId(2)) == std::nullopt);
  node.directory.reset();
  CHECK(cluster.read(kKeys.of(NodeKey{NodeId(1)})) == std::nullopt);
}

TEST_CASE("cluster directory: a node that comes with another data folder is told of") {
  Cluster cluster(2);
  Node& node = cluster.node;
  cluster.appear(2);  // again, the same
  node.scheduler.run();
  CHECK(node.told.take() == Lines{"left 2", "node 2 node-2:8080"});
  cluster.appear(2, 7);
  node.scheduler.run();
  CHECK(node.told.take() == Lines{"left 2", "replaced 2", "node 2 node-2:8080"});
  // Two at a time under one number: each that shows up replaces the other.
  const auto twin = cluster.coordinator.appear(kKeys.of(NodeKey{NodeId(2)}),
                                               encode_node_record(node_record(2, 8)), 3s);
  node.scheduler.run();
  CHECK(node.told.take() == Lines{"replaced 2", "node 2 node-2:8080"});
}

TEST_CASE("cluster directory: who has another data folder than a partition's member is known") {
  Cluster cluster(3);
  REQUIRE(cluster.node.create(bank(1))->has_value());
  CHECK(cluster.node.directory->view().replaced_data().empty());
  cluster.appear(2, 7);
  Node late(cluster.coordinator, 2);
  late.scheduler.run();
  CHECK(late.directory->view().replaced_data() ==
        std::vector<ReplacedData>{{member(2), member(2, 7)}});
}

TEST_CASE("cluster directory: a topic is made with a record of its own for each partition") {
  Cluster cluster;
  Node other(cluster.coordinator, 2);
  const auto& made = cluster.node.create(bank());
  REQUIRE(made);
  REQUIRE(*made);
  const KnownTopic& topic = **made;
  CHECK(topic.name == "bank");
  CHECK(topic.placement.partitions.size() == 4);
  CHECK(topic.partitions.size() == 4);
  cluster.check_complete(topic.placement);
  CHECK(cluster.node.told.take() == Lines{"topic bank 0", "partition 0 epoch 0",
                                          "partition 1 epoch 0", "partition 2 epoch 0",
                                          "partition 3 epoch 0"});
  other.scheduler.run();
  CHECK(other.directory->topic("bank") == topic);
  CHECK(other.directory->partition({topic.placement.topic, PartitionId(3)}) ==
        topic.partitions.at(PartitionId(3)));
}

TEST_CASE("cluster directory: a topic that is there is found or is another one") {
  Cluster cluster;
  const KnownTopic made = cluster.node.create(bank())->value();
  Node other(cluster.coordinator, 2);
  CHECK(other.create(bank())->value() == made);
  TopicRequest request = bank(5);
  other.create(request);
  CHECK(other.failed() == Errc::already_exists);
  CHECK(other.answer->error().context == "topic bank exists with different options: partitions");
  request = bank();
  request.replication_factor = 1;
  other.create(request);
  CHECK(other.failed() == Errc::already_exists);
  request = bank();
  request.options.durability = Durability::os;
  other.create(request);
  CHECK(other.failed() == Errc::already_exists);
  request = bank();
  request.options.sealed_codec = log::Codec::zstd;
  other.create(request);
  CHECK(other.failed() == Errc::already_exists);
  CHECK(cluster.node.directory->topic("bank") == made);
}

TEST_CASE("cluster directory: retention may be changed") {
  Cluster cluster;
  const KnownTopic made = cluster.node.create(bank())->value();
  cluster.node.told.take();
  TopicRequest request = bank();
  request.options.retention.age = 60s;
  Node other(cluster.coordinator, 2);
  KnownTopic changed = other.create(request)->value();
  CHECK(changed.revision > made.revision);
  CHECK(changed.placement.options.retention.age == 60s);
  changed.placement.options.retention.age = 0s;
  CHECK(changed.placement == made.placement);
  cluster.node.scheduler.run();
  CHECK(cluster.node.told.take() == Lines{"topic bank 60"});
}

TEST_CASE("cluster directory: what cannot be made is refused and nothing is written") {
  Cluster cluster(2);
  cluster.node.create(bank());
  CHECK(cluster.node.failed() == Errc::not_enough_replicas);
  TopicRequest request = bank();
  request.replication_factor = 2;
  cluster.node.create(request);
  CHECK(cluster.node.failed() == Errc::bad_request);
  request = bank(0);
  cluster.node.create(request);
  CHECK(cluster.node.failed() == Errc::bad_request);
  request = bank();
  request.name = "a/b";
  cluster.node.create(request);
  CHECK(cluster.node.failed() == Errc::bad_request);
  CHECK(cluster.coordinator.swaps.empty());
}

TEST_CASE("cluster directory: nodes that are yet to appear are waited for when asked") {
  Cluster cluster(2);
  TopicRequest request = bank();
  request.nodes_wait = 5s;
  CHECK_FALSE(cluster.node.create(request));
  cluster.node.scheduler.advance(2s);
  CHECK_FALSE(cluster.node.answer);
  cluster.appear(3);
  cluster.node.scheduler.advance(1s);
  REQUIRE(cluster.node.answer);
  CHECK(*cluster.node.answer);
  request.name = "other";
  cluster.presences.clear();
  CHECK_FALSE(cluster.node.create(request));
  cluster.node.scheduler.advance(6s);
  CHECK(cluster.node.failed() == Errc::not_enough_replicas);
}

TEST_CASE("cluster directory: of two that make one topic at a time one wins and both have it") {
  for_each_seed(50, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Cluster cluster(5);
    Node other(cluster.coordinator, 2 + seed);
    other.scheduler.run();
    // Some requests are lost on the way, so that each of them is first at times.
    cluster.coordinator.fate = [&](const std::string&) {
      return random() % 2 == 0 ? Fate::good : Fate::request_lost;
    };
    cluster.node.create(bank());
    other.create(bank());
    for (int i = 0; i < 90; ++i) {
      cluster.node.scheduler.advance(100ms);
      other.scheduler.advance(100ms);
    }
    REQUIRE(cluster.node.answer);
    REQUIRE(other.answer);
    REQUIRE(cluster.node.answer->value().placement == other.answer->value().placement);
    cluster.check_complete(other.answer->value().placement);
  });
}

// Whatever becomes of requests and answers, a topic is made once, and an error says no more than is
// true: after any but `timeout` and `outcome_unknown` it is not there.
TEST_CASE("cluster directory: lost and late answers make no second topic") {
  for_each_seed(test::long_run() ? 5000 : 300, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Cluster cluster(4);
    const std::uint64_t good = random() % 4;
    cluster.coordinator.fate = [&](const std::string&) {
      if (random() % 4 <= good) return Fate::good;
      constexpr Fate kFates[] = {Fate::away, Fate::answer_lost, Fate::request_lost,
                                 Fate::request_late, Fate::request_late};
      return kFates[random() % std::size(kFates)];
    };
    const TopicRequest request = bank(1 + random() % 40);
    cluster.node.create(request);
    for (int i = 0; i < 110; ++i) {
      cluster.node.scheduler.advance(100ms);
      if (random() % 8 == 0) cluster.coordinator.deliver();
    }
    REQUIRE(cluster.node.answer);  // within the ten seconds
    const auto first = *cluster.node.answer;
    if (!first) {
      const Errc code = first.error().code;
      REQUIRE((code == Errc::timeout || code == Errc::outcome_unknown));
    }
    cluster.coordinator.fate = [](const std::string&) { return Fate::good; };
    cluster.coordinator.deliver();
    const KnownTopic again = cluster.node.create(request)->value();
    if (first) REQUIRE(first->placement == again.placement);
    cluster.coordinator.deliver();
    cluster.node.scheduler.advance(10s);
    REQUIRE(cluster.node.directory->topic("bank") == again);
    cluster.check_complete(again.placement);
  });
}

// When nodes start together, one may be told of the topic before it is answered that there is none.
TEST_CASE("cluster directory: a topic that is told of while it is looked for is not gone") {
  Cluster cluster;
  Node other(cluster.coordinator, 2);
  other.scheduler.run();
  cluster.coordinator.fate = [](const std::string&) { return Fate::answer_late; };
  cluster.node.create(bank());
  cluster.coordinator.fate = [](const std::string&) { return Fate::good; };
  const KnownTopic made = other.create(bank())->value();
  cluster.node.scheduler.run();
  REQUIRE(cluster.node.directory->topic("bank"));
  cluster.coordinator.deliver();
  cluster.node.scheduler.advance(1s);
  REQUIRE(cluster.node.answer);
  CHECK(cluster.node.answer->value() == made);
}

TEST_CASE("cluster directory: a coordinator that does not answer is waited for so long") {
  Cluster cluster;
  cluster.coordinator.fate = [](const std::string&) { return Fate::never_answers; };
  cluster.node.create(bank());
  cluster.node.scheduler.advance(9s);
  CHECK_FALSE(cluster.node.answer);
  cluster.node.scheduler.advance(1s);
  CHECK(cluster.node.failed() == Errc::timeout);
  bool first = true;
  cluster.coordinator.fate = [&](const std::string&) {
    return std::exchange(first, false) ? Fate::good : Fate::request_lost;
  };
  cluster.node.create(bank());
  cluster.node.scheduler.advance(10s);
  CHECK(cluster.node.failed() == Errc::outcome_unknown);
}

TEST_CASE("cluster directory: a topic that its maker left half made is completed by another") {
  Cluster cluster;
  // Its requests for the partitions 0, 2 and 3 never leave it.
  cluster.coordinator.fate = [](const std::string& key) {
    const bool lost = key.find("/partitions/") != std::string::npos && !key.ends_with("/1");
    return lost ? Fate::request_lost : Fate::good;
  };
  CHECK_FALSE(cluster.node.create(bank()));
  const auto placement = cluster.node.directory->topic("bank")->placement;
  cluster.node.directory.reset();
  CHECK(cluster.node.failed() == Errc::closed);
  cluster.coordinator.fate = [](const std::string&) { return Fate::good; };
  CHECK(cluster.read(kKeys.of(PartitionKey{placement.topic, PartitionId(0)})) == std::nullopt);
  cluster.coordinator.swaps.clear();
  Node other(cluster.coordinator, 2);
  other.scheduler.advance(1s);
  CHECK(cluster.coordinator.swaps.empty());  // its maker may be at it
  other.scheduler.advance(1s);
  cluster.check_complete(placement);
  CHECK(cluster.coordinator.swaps.size() == 3);
  CHECK(other.directory->topic("bank")->partitions.size() == 4);
  other.scheduler.advance(60s);
  CHECK(cluster.coordinator.swaps.size() == 3);
}

TEST_CASE("cluster directory: completing a topic leaves records alone that have gone on") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  const std::string key = kKeys.of(PartitionKey{placement.topic, PartitionId(0)});
  const PartitionRecord led{Epoch(1), member(1), {member(1), member(2), member(4)}, {}};
  cluster.coordinator.compare_and_set(key, *cluster.read(key), encode_partition_record(led),
                                      [](const auto&) {});
  // One that has not heard of the record.
  Node other(cluster.coordinator, 2);
  CHECK(other.create(bank(1))->has_value());
  other.scheduler.advance(10s);
  CHECK(decode_partition_record(cluster.read(key)->value) == led);
}

TEST_CASE("cluster directory: records of partitions are adopted at increasing revisions only") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  const std::string key = kKeys.of(PartitionKey{placement.topic, PartitionId(0)});
  const Record first = *cluster.read(key);
  const PartitionRecord led{Epoch(1), member(1), placement.partitions[0], {}};
  cluster.coordinator.compare_and_set(key, first, encode_partition_record(led), [](const auto&) {});
  cluster.node.scheduler.run();
  cluster.node.told.take();
  for (int i = 0; i < 2; ++i) {
    cluster.coordinator.tell({key, first});
    cluster.coordinator.tell({key, cluster.read(key)});
    cluster.coordinator.tell({kKeys.of(NodeKey{NodeId(9)}), std::nullopt});
  }
  cluster.node.scheduler.run();
  CHECK(cluster.node.told.take().empty());
  CHECK(cluster.node.directory->partition({placement.topic, PartitionId(0)})->record == led);
}

TEST_CASE("cluster directory: an old record does not bring a node back that has left") {
  Cluster cluster;
  const std::string key = kKeys.of(NodeKey{NodeId(2)});
  const Record old = *cluster.read(key);
  cluster.presences.erase(2);
  cluster.coordinator.tell({key, old});
  cluster.node.scheduler.run();
  CHECK(cluster.node.told.take() == Lines{"left 2"});
  CHECK(cluster.node.directory->node(NodeId(2)) == std::nullopt);
}

TEST_CASE(
    "cluster directory: nodes and folders are seen again in a coordinator that has gone back, and "
    "partitions are not") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  const std::string key = kKeys.of(PartitionKey{placement.topic, PartitionId(0)});
  const std::string node = kKeys.of(NodeKey{NodeId(2)});
  const std::string folder = kKeys.of(FolderKey{member(2).data});
  const auto start = [](std::uint64_t number) {
    return encode_folder_record({member(2), {number, {}}});
  };
  NodeRecord of_that_start = node_record(2);
  of_that_start.incarnation.number = 4;
  const std::string there = encode_node_record(of_that_start);
  ClusterView view(kKeys);
  const auto adopt = [&](const std::string& what, const std::string& value, std::uint64_t revision,
                         std::uint64_t life) {
    return view.adopt({what, Record{value, Revision(revision)}, life}).size();
  };
  const PartitionRecord led{Epoch(3), member(1), placement.partitions[0], {}};
  REQUIRE(adopt(kKeys.of(TopicKey{"bank"}), encode_topic_placement(placement), 90, 0) == 1);
  REQUIRE(adopt(key, encode_partition_record(led), 95, 0) == 1);
  REQUIRE(adopt(node, there, 7, 0) == 1);
  REQUIRE(adopt(folder, start(4), 6, 0) == 1);
  REQUIRE(view.adopt({node, std::nullopt, 1}).size() == 1);
  REQUIRE(view.adopt({key, std::nullopt, 1}).size() == 1);
  CHECK(view.any_lost());
  // Even at the revision that it had.
  CHECK(adopt(node, there, 7, 1) == 1);
  CHECK(view.nodes().contains(NodeId(2)));
  CHECK(adopt(folder, start(5), 3, 1) == 1);
  PartitionRecord other = led;
  other.epoch = Epoch(4);
  CHECK(adopt(key, encode_partition_record(other), 5, 1) == 0);
  CHECK(view.partition({placement.topic, PartitionId(0)})->record == led);
  // Nothing of the earlier life again.
  REQUIRE(view.adopt({node, std::nullopt, 1}).size() == 1);
  CHECK(adopt(node, there, 800, 0) == 0);
  other.generation = 1;
  CHECK(adopt(key, encode_partition_record(other), 5, 1) == 1);
  CHECK_FALSE(view.any_lost());
}

TEST_CASE("cluster directory: no topic is made while the coordinator lacks records") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  const std::string key = kKeys.of(PartitionKey{placement.topic, PartitionId(0)});
  cluster.coordinator.tell({key, std::nullopt});
  cluster.node.scheduler.run();
  TopicRequest other = bank(1);
  other.name = "other";
  cluster.node.create(other);
  CHECK(cluster.node.failed() == Errc::not_enough_replicas);
  CHECK_FALSE(cluster.read(kKeys.of(TopicKey{"other"})));
}

TEST_CASE("cluster directory: topics are made again when the coordinator has what it had lost") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  const std::string topic = kKeys.of(TopicKey{"bank"});
  const std::string key = kKeys.of(PartitionKey{placement.topic, PartitionId(0)});
  TopicRequest other = bank(1);
  other.name = "other";
  for (const std::string& one : {topic, key}) {
    const auto record = cluster.read(one);
    cluster.coordinator.tell({one, std::nullopt});
    cluster.node.create(other);
    REQUIRE(cluster.node.failed() == Errc::not_enough_replicas);
    // An earlier one is still a loss.
    cluster.coordinator.tell({one, Record{record->value, Revision(1)}, 1});
    cluster.node.create(other);
    REQUIRE(cluster.node.failed() == Errc::not_enough_replicas);
    cluster.coordinator.tell({one, record, 2});
    cluster.node.scheduler.run();
    CHECK_FALSE(cluster.node.directory->view().any_lost());
  }
  CHECK(cluster.node.create(other)->has_value());
}

TEST_CASE("cluster directory: a topic that may be made yet is not said to be none when others go") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  TopicRequest other = bank(1);
  other.name = "other";
  int calls = 0;  // the first reads that there is none
  cluster.coordinator.fate = [&](const std::string& key) {
    return key.ends_with("topics/other") && ++calls == 2 ? Fate::request_lost : Fate::good;
  };
  CHECK_FALSE(cluster.node.create(other));
  REQUIRE(calls == 2);
  cluster.coordinator.tell({kKeys.of(PartitionKey{placement.topic, PartitionId(0)}), std::nullopt});
  cluster.node.scheduler.advance(1s);
  CHECK(cluster.node.failed() == Errc::outcome_unknown);
}

// A topic that was made a second time while the records were lost, and taken away.
TEST_CASE("cluster directory: partitions of a topic that there is not are no loss") {
  Cluster cluster;
  const std::string key = kKeys.of(PartitionKey{member(9).data, PartitionId(0)});
  const Record record{encode_partition_record({Epoch(0), {}, {member(1)}, {}}), Revision(1000)};
  cluster.coordinator.tell({key, record});
  cluster.coordinator.tell({key, std::nullopt});
  cluster.node.scheduler.run();
  CHECK_FALSE(cluster.node.directory->view().any_lost());
  CHECK(cluster.node.create(bank(1))->has_value());
}

TEST_CASE("cluster directory: records that were made anew are adopted at any revision") {
  Cluster cluster;
  const auto placement = cluster.node.create(bank(1))->value().placement;
  const std::string name = kKeys.of(TopicKey{"bank"});
  const std::string key = kKeys.of(PartitionKey{placement.topic, PartitionId(0)});
  ClusterView view(kKeys);
  const auto adopt = [&](const std::string& what, const std::string& value,
                         std::uint64_t revision) {
    return view.adopt({what, Record{value, Revision(revision)}}).size();
  };
  const PartitionRecord led{Epoch(3), member(1), placement.partitions[0], {}};
  REQUIRE(adopt(name, encode_topic_placement(placement), 90) == 1);
  REQUIRE(adopt(key, encode_partition_record(led), 95) == 1);
  // A coordinator that has forgotten, and one that was put back.
  PartitionRecord other = led;
  other.epoch = Epoch(4);
  CHECK(adopt(key, encode_partition_record(other), 5) == 0);
  // Made anew.
  other.epoch = Epoch(1000);
  other.leader.reset();
  other.generation = 1;
  CHECK(adopt(key, encode_partition_record(other), 6) == 1);
  CHECK(view.partition({placement.topic, PartitionId(0)})->record == other);
  TopicPlacement same = placement;
  same.generation = 1;
  same.options.retention.age = std::chrono::seconds(60);
  CHECK(adopt(name, encode_topic_placement(same), 7) == 1);
  CHECK(view.topic("bank")->placement == same);
  // And nothing of before again.
  CHECK(adopt(key, encode_partition_record(led), 96) == 0);
  CHECK(adopt(name, encode_topic_placement(placement), 97) == 0);
}

TEST_CASE("cluster directory: partitions are told after their topic in whatever order they come") {
  Cluster cluster;
  const auto topic = cluster.node.create(bank(2))->value();
  const std::string name = kKeys.of(TopicKey{"bank"});
  std::vector<Coordinator::Change> changes{{name, cluster.read(name)}};
  for (std::uint32_t p = 0; p < 2; ++p) {
    const std::string key = kKeys.of(PartitionKey{topic.placement.topic, PartitionId(p)});
    changes.push_back({key, cluster.read(key)});
  }
  std::ranges::sort(changes, {}, &Coordinator::Change::key);
  do {
    ClusterView view(kKeys);
    Told told;
    for (const auto& change : changes) {
      for (const auto& notice : view.adopt(change)) notice(told);
    }
    REQUIRE(told.lines.size() == 3);
    CHECK(told.lines[0] == "topic bank 0");
    CHECK(view.topics().at("bank") == topic);
  } while (std::ranges::next_permutation(changes, {}, &Coordinator::Change::key).found);
}

TEST_CASE("cluster directory: what cannot be read is told and what was known stays") {
  Cluster cluster;
  const auto topic = cluster.node.create(bank(1))->value();
  cluster.node.told.take();
  const auto tell = [&](const std::string& key, const std::string& value) {
    cluster.coordinator.tell({kKeys.prefix() + key, Record{value, Revision(1000)}});
    cluster.node.scheduler.run();
    const Lines lines = cluster.node.told.take();
    REQUIRE(lines.size() == 1);
    return lines[0];
  };
  const std::string partition = "partitions/" + to_hex(topic.placement.topic) + "/";
  CHECK(tell("nodes/2", "x") == "bad nodes/2 corruption: keelson presence record: not one");
  CHECK(tell("nodes/4", encode_node_record(node_record(5))) ==
        "bad nodes/4 corruption: record of another node than its key says");
  CHECK(tell(partition + "0", "x") ==
        "bad " + partition + "0 corruption: record of a partition: title");
  CHECK(tell(partition + "1", encode_partition_record({Epoch(0), {}, {member(1)}, {}})) ==
        "bad " + partition + "1 corruption: topic bank has no such partition");
  TopicPlacement other = topic.placement;
  other.options.segment_bytes *= 2;
  CHECK(tell("topics/bank", encode_topic_placement(other)) ==
        "bad topics/bank corruption: another topic than before");
  cluster.coordinator.tell({kKeys.prefix() + "topics/bank", std::nullopt});
  cluster.node.scheduler.run();
  CHECK(cluster.node.told.take() == Lines{"bad topics/bank not_found: the record is gone"});
  CHECK(cluster.node.directory->topic("bank") == topic);
  CHECK(cluster.node.directory->node(NodeId(2)) == node_record(2));
  cluster.coordinator.tell({kKeys.prefix() + "later/2", Record{"x", Revision(1000)}});
  cluster.node.scheduler.run();
  CHECK(cluster.node.told.take().empty());
}

TEST_CASE("cluster directory: once it is destroyed nobody is told anything") {
  Cluster cluster;
  cluster.coordinator.fate = [](const std::string&) { return Fate::request_lost; };
  cluster.node.create(bank());
  cluster.appear(4);
  cluster.node.directory.reset();
  CHECK(cluster.node.failed() == Errc::closed);
  cluster.node.told.take();
  cluster.coordinator.fate = [](const std::string&) { return Fate::good; };
  cluster.node.scheduler.advance(60s);
  CHECK(cluster.node.told.take().empty());
  CHECK(cluster.coordinator.swaps.empty());
}

TEST_CASE("cluster directory: who claims a folder is told, and damage to its record") {
  Cluster cluster;
  const std::string key = kKeys.of(FolderKey{member(2).data});
  const auto put = [&](std::optional<Record> at, const std::string& value) {
    std::optional<Record> now;
    cluster.coordinator.compare_and_set(key, at, value,
                                        [&](auto result) { now = result.value().current; });
    cluster.node.scheduler.run();
    return now;
  };
  const auto first = put(std::nullopt, encode_folder_record({member(2), {1, {}}}));
  CHECK(cluster.node.told.take() == Lines{"folder of 2 start 1"});
  const auto second = put(first, encode_folder_record({member(2), {2, {}}}));
  CHECK(cluster.node.told.take() == Lines{"folder of 2 start 2"});
  put(second, encode_folder_record({member(3, 1), {3, {}}}));
  CHECK(cluster.node.told.take() ==
        Lines{"bad folders/00000000000000000000000000000000 corruption: record of another folder "
              "than its key"});
}

TEST_CASE("cluster directory: may be destroyed by what it tells") {
  struct Leaving final : Told {
    void on_data_replaced(const ReplacedData& replaced) override {
      Told::on_data_replaced(replaced);
      directory.reset();
    }
    std::unique_ptr<ClusterDirectory> directory;
  } leaving;
  Cluster cluster;
  test::SteppedScheduler scheduler;
  test::SeededRandom random(1);
  leaving.directory = std::make_unique<ClusterDirectory>(
      DirectoryPorts{cluster.coordinator, scheduler, random}, kKeys, leaving);
  scheduler.run();
  leaving.take();
  const auto twin = cluster.coordinator.appear(kKeys.of(NodeKey{NodeId(2)}),
                                               encode_node_record(node_record(2, 8)), 3s);
  cluster.appear(4);
  scheduler.run();
  CHECK(leaving.take() == Lines{"replaced 2"});
}

TEST_CASE("cluster directory: with threads of their own, directories come to know the same") {
  constexpr std::uint32_t kNodes = 5;
  LocalCoordinator coordinator;
  ThreadScheduler scheduler(2);
  SystemRandom random;
  struct Quiet final : DirectoryListener {
    void on_node(const NodeRecord&) override { check(); }
    void on_node_left(const NodeRecord&) override { check(); }
    void on_folder(const FolderRecord&) override { check(); }
    void on_data_replaced(const ReplacedData&) override { check(); }
    void on_topic(const std::string&, const TopicPlacement&, Revision) override { check(); }
    void on_partition(const PartitionKey&, const PartitionRecord&, Revision) override { check(); }
    void on_bad_record(const std::string&, const Error&) override { ++bad; }
    void check() { bad += gone; }
    std::atomic<bool> gone = false;
    std::atomic<int> bad = 0;
  };
  std::array<Quiet, kNodes> told;
  std::vector<std::unique_ptr<ClusterDirectory>> directories;
  for (std::uint32_t i = 0; i < kNodes; ++i) {
    directories.push_back(std::make_unique<ClusterDirectory>(
        DirectoryPorts{coordinator, scheduler, random}, kKeys, told[i]));
    REQUIRE(directories[i]->announce(node_record(i + 1)));
  }
  std::vector<std::future<Result<KnownTopic>>> answers;
  for (int topic = 0; topic < 8; ++topic) {
    for (auto& directory : directories) {
      TopicRequest request = bank(16);
      request.name = "t" + std::to_string(topic);
      request.nodes_wait = 10s;
      std::promise<Result<KnownTopic>> promise;
      answers.push_back(promise.get_future());
      directory->create_topic(request, [promise = std::move(promise)](auto made) mutable {
        promise.set_value(std::move(made));
      });
    }
  }
  std::map<std::string, TopicPlacement> made;
  for (auto& answer : answers) {
    const auto topic = answer.get();
    REQUIRE(topic);
    CHECK(topic->partitions.size() == 16);
    CHECK(made.try_emplace(topic->name, topic->placement).first->second == topic->placement);
  }
  for (std::uint32_t i = 0; i < kNodes; ++i) {
    directories[i].reset();
    told[i].gone = true;
  }
  for (const Quiet& each : told) CHECK(each.bad == 0);
}

TEST_CASE("cluster directory: more topics at a time than it can make are refused") {
  Cluster cluster;
  cluster.coordinator.fate = [](const std::string&) { return Fate::never_answers; };
  int refused = 0, late = 0;
  for (int i = 0; i < 70; ++i) {
    TopicRequest request = bank(1);
    request.name = "t" + std::to_string(i);
    cluster.node.directory->create_topic(request, [&](const Result<KnownTopic>& topic) {
      REQUIRE_FALSE(topic);
      topic.error().code == Errc::overloaded ? ++refused : ++late;
    });
  }
  cluster.node.scheduler.run();
  CHECK(refused == 6);
  CHECK(late == 0);
  cluster.node.scheduler.advance(10s);
  CHECK(late == 64);
  cluster.coordinator.fate = [](const std::string&) { return Fate::good; };
  CHECK(cluster.node.create(bank())->has_value());
}
