#include "engine/cluster/cluster_records.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/cluster/cluster_keys.h"
#include "tests/engine/cluster/members.h"

using namespace keelson;
using namespace keelson::cluster;
using keelson::replication::Incarnation;
using keelson::replication::NodeId;
using keelson::test::member;

namespace {

const Incarnation kStart{17, *uuid_from_hex("101112131415161718191a1b1c1d1e1f")};
const NodeRecord kNode{member(3, 255), kStart, "10.0.0.3:7070", "node-3.example:8080", "0.1.0"};
const Uuid kTopic = *uuid_from_hex("000102030405060708090a0b0c0d0e0f");

TopicPlacement placement() {
  TopicPlacement made;
  made.topic = kTopic;
  made.options.partitions = 2;
  made.options.retention.age = std::chrono::seconds(3600);
  made.replication_factor = 3;
  made.partitions = {{member(1), member(2), member(3)}, {member(3), member(4, 255), member(1)}};
  return made;
}

std::string with(std::string text, const std::string& what, const std::string& instead) {
  const auto at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), instead);
}

}  // namespace

TEST_CASE("node record: is read back as it was written") {
  const std::string text = encode_node_record(kNode);
  CHECK(text ==
        "keelson presence 2\n"
        "member 3:000000000000000000000000000000ff\n"
        "incarnation 17:101112131415161718191a1b1c1d1e1f\n"
        "peer_address 10.0.0.3:7070\n"
        "http_address node-3.example:8080\n"
        "version 0.1.0\n");
  CHECK(decode_node_record(text) == kNode);
}

TEST_CASE("node record: what is not written like this is refused and says why") {
  const std::string text = encode_node_record(kNode);
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK_FALSE(decode_node_record(text.substr(0, length)));
  }
  const auto code = [](const std::string& changed) {
    const auto decoded = decode_node_record(changed);
    REQUIRE_FALSE(decoded);
    return decoded.error().message();
  };
  CHECK(code(with(text, "presence 2", "presence 1")) ==
        "unsupported_format: record of another version of Keelson: keelson presence 1");
  CHECK(code(with(text, "member 3:", "member 03:")) == "corruption: record of a node: member");
  CHECK(code(with(text, "17:", "017:")) == "corruption: record of a node: incarnation");
  CHECK(code(with(text, "10.0.0.3:7070", "10.0.0.3 7070")) ==
        "corruption: record of a node: peer_address");
  CHECK(code(with(text, "node-3.example:8080", "")) ==
        "corruption: record of a node: http_address");
  CHECK(code(with(text, "0.1.0", std::string(256, '1'))) ==
        "corruption: record of a node: version");
  CHECK(code(text + "\n") == "corruption: record of a node: more lines");
}

TEST_CASE("folder record: is read back as it was written, and nothing else is") {
  const FolderRecord folder{member(3, 255), kStart};
  const std::string text = encode_folder_record(folder);
  CHECK(text ==
        "keelson folder 1\n"
        "member 3:000000000000000000000000000000ff\n"
        "incarnation 17:101112131415161718191a1b1c1d1e1f\n");
  CHECK(decode_folder_record(text) == folder);
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK_FALSE(decode_folder_record(text.substr(0, length)));
  }
  CHECK(decode_folder_record(with(text, "folder 1", "folder 2")).error().code ==
        Errc::unsupported_format);
  CHECK(decode_folder_record(with(text, "17:", "17")).error().code == Errc::corruption);
  CHECK(decode_folder_record(text + "x 1\n").error().code == Errc::corruption);
}

TEST_CASE("topic placement: is read back as it was written") {
  const std::string text = encode_topic_placement(placement());
  CHECK(text ==
        "keelson placement 1\n"
        "replication_factor 3\n"
        "replicas 1:00000000000000000000000000000000 2:00000000000000000000000000000000 "
        "3:00000000000000000000000000000000\n"
        "replicas 3:00000000000000000000000000000000 4:000000000000000000000000000000ff "
        "1:00000000000000000000000000000000\n"
        "keelson topic 1\n"
        "id 000102030405060708090a0b0c0d0e0f\n"
        "partitions 2\n"
        "durability fsync\n"
        "segment_bytes 67108864\n"
        "retention_seconds 3600\n"
        "checksum 907adf8c22f60454\n");
  CHECK(decode_topic_placement(text) == placement());
  TopicPlacement anew = placement();
  anew.generation = 1;
  std::string with = text;
  with.insert(with.find("keelson topic"), "generation 1\n");
  CHECK(encode_topic_placement(anew) == with);
  CHECK(decode_topic_placement(with) == anew);
}

TEST_CASE("topic placement: what is not written like this is refused and says why") {
  const std::string text = encode_topic_placement(placement());
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK_FALSE(decode_topic_placement(text.substr(0, length)));
  }
  const auto code = [](const std::string& changed) {
    const auto decoded = decode_topic_placement(changed);
    REQUIRE_FALSE(decoded);
    return decoded.error().message();
  };
  CHECK(code(with(text, "placement 1", "placement 2")) ==
        "unsupported_format: record of another version of Keelson: keelson placement 2");
  CHECK(code(with(text, "factor 3", "factor 03")) ==
        "corruption: record of a topic: replication_factor");
  CHECK(code(with(text, "factor 3", "factor 4")) ==
        "corruption: record of a topic: replication_factor must be odd, 1…7, not 4");
  CHECK(code(with(text, "factor 3", "factor 5")) ==
        "corruption: record of a topic: replication_factor 5, and a partition with 3 replicas");
  CHECK(code(with(text, " 2:", " 1:")) == "corruption: record of a topic: replicas of partition 0");
  CHECK(code(with(text, "partitions 2", "partitions 3")) ==
        "corruption: topic record: the checksum does not match");
  CHECK(code(with(text, "replicas 3:", "places 3:")) == "corruption: topic record: not one");
  const auto line = text.find("replicas 3:");
  std::string less = text;
  less.erase(line, less.find('\n', line) + 1 - line);
  CHECK(code(less) == "corruption: record of a topic: 2 partitions, and places for 1");
  CHECK(code(text + "\n") == "corruption: topic record: the checksum does not match");
}

TEST_CASE("cluster keys: are read back, and others are not taken for them") {
  const ClusterKeys keys("main");
  CHECK(keys.of(NodeKey{NodeId(3)}) == "/keelson/main/nodes/3");
  CHECK(keys.of(TopicKey{"bank.v1"}) == "/keelson/main/topics/bank.v1");
  CHECK(keys.of(PartitionKey{kTopic, PartitionId(7)}) ==
        "/keelson/main/partitions/000102030405060708090a0b0c0d0e0f/7");
  for (const ClusterKey& key : {ClusterKey(NodeKey{NodeId(3)}), ClusterKey(TopicKey{"bank.v1"}),
                                ClusterKey(PartitionKey{kTopic, PartitionId(7)})}) {
    const std::string text = std::visit([&](const auto& k) { return keys.of(k); }, key);
    CHECK(text.starts_with(keys.prefix()));
    CHECK(keys.parse(text) == key);
    CHECK(ClusterKeys("mai").parse(text) == std::nullopt);
    CHECK_FALSE(text.starts_with(ClusterKeys("mai").prefix()));
  }
  for (const char* const other :
       {"", "nodes/03", "nodes/-3", "nodes/", "topics/", "topics/A", "topics/a/b",
        "partitions/000102030405060708090a0b0c0d0e0f", "partitions/0/7", "other/3",
        "partitions/000102030405060708090a0b0c0d0e0f/",
        "partitions/000102030405060708090a0b0c0d0e0f/x"}) {
    CHECK(keys.parse(keys.prefix() + other) == std::nullopt);
  }
  CHECK(check_cluster_name("a.b_c-9"));
  CHECK_FALSE(check_cluster_name(""));
  CHECK_FALSE(check_cluster_name("a/b"));
  CHECK_FALSE(check_cluster_name("A"));
  CHECK_FALSE(check_cluster_name(std::string(65, 'a')));
}
