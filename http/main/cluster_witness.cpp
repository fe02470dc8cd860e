#include "http/main/cluster_witness.h"

#include <optional>

#include "engine/cluster/cluster_records.h"
#include "engine/replication/partition_record.h"

namespace keelson::tools {

namespace {

using cluster::LastRecord;
using cluster::NodeTestimony;
using cluster::PartitionTestimony;
using cluster::TopicTestimony;
using nlohmann::json;
using replication::Member;
using replication::Promise;
using replication::Revision;

std::optional<Member> member_from(const json& value) {
  if (!value.is_object()) return std::nullopt;
  const auto data = uuid_from_hex(value.at("data").get<std::string>());
  if (!data) return std::nullopt;
  return Member{replication::NodeId(value.at("node").get<Node>()), *data};
}

Promise promise_from(const json& value) {
  Promise promise(Epoch(value.at("promise").get<std::uint64_t>()));
  promise.led = Epoch(value.at("led").get<std::uint64_t>());
  promise.leader = member_from(value.at("leader"));
  return promise;
}

Result<PartitionTestimony> partition_from(const json& value) {
  PartitionTestimony said;
  if (value.contains("damage")) {
    said.damage = Error{Errc::corruption, value.at("damage").get<std::string>(), {}};
  }
  said.without_record = value.value("without_record", false);
  said.promise = promise_from(value);
  said.end = {Epoch(value.at("last_epoch").get<std::uint64_t>()),
              BatchNo(value.at("end").get<std::uint64_t>())};
  if (value.at("record").is_null()) return said;
  KEELSON_TRY_ASSIGN(auto record,
                     replication::decode_partition_record(value.at("record").get<std::string>()));
  said.last = LastRecord{std::move(record), Revision(value.at("revision").get<std::uint64_t>())};
  return said;
}

Result<TopicTestimony> topic_from(const json& value) {
  TopicTestimony topic;
  topic.name = value.at("name").get<std::string>();
  const auto id = uuid_from_hex(value.at("id").get<std::string>());
  if (!id) return fail(Errc::bad_request, "the id of topic " + topic.name + " is none");
  topic.id = *id;
  if (!value.at("placement").is_null()) {
    KEELSON_TRY_ASSIGN(topic.placement,
                       cluster::decode_topic_placement(value.at("placement").get<std::string>()));
  }
  for (const json& each : value.at("partitions")) {
    KEELSON_TRY_ASSIGN(auto partition, partition_from(each));
    topic.partitions.push_back(std::move(partition));
  }
  return topic;
}

Result<NodeTestimony> testimony_from(const json& value) {
  NodeTestimony node;
  node.cluster = value.at("cluster").get<std::string>();
  const auto member = member_from(value);
  if (!member) return fail(Errc::bad_request, "who it is cannot be read");
  node.member = *member;
  for (const json& each : value.at("topics")) {
    KEELSON_TRY_ASSIGN(auto topic, topic_from(each));
    node.topics.push_back(std::move(topic));
  }
  return node;
}

class Server final : public Witness {
 public:
  Server(NodeTestimony testimony, ClusterClient& client, std::string address)
      : Witness(std::move(testimony)), client_(client), address_(std::move(address)) {}
  bool runs() const override { return true; }
  Result<Promise> pledge(const std::string& topic, const Uuid&, PartitionId partition,
                         Epoch epoch) override {
    KEELSON_TRY_ASSIGN(const json answer,
                       client_.post(address_,
                                    "/v1/cluster/topics/" + topic + "/partitions/" +
                                        std::to_string(partition.value) + "/pledge",
                                    {{"epoch", epoch.value}}));
    return promise_from(answer);
  }

 private:
  ClusterClient& client_;
  const std::string address_;
};

class Folder final : public Witness {
 public:
  Folder(NodeTestimony testimony, cluster::ClusterFolder folder)
      : Witness(std::move(testimony)), folder_(std::move(folder)) {}
  bool runs() const override { return false; }
  Result<Promise> pledge(const std::string& topic, const Uuid& id, PartitionId partition,
                         Epoch epoch) override {
    return folder_.pledge(topic, id, partition, epoch);
  }

 private:
  cluster::ClusterFolder folder_;
};

}  // namespace

Result<std::unique_ptr<Witness>> witness_at(const std::string& address, const json& answer,
                                            ClusterClient& client) {
  try {
    auto said = testimony_from(answer);
    if (!said) return fail(said.error().code, address + ": " + said.error().context);
    return std::make_unique<Server>(*std::move(said), client, address);
  } catch (const json::exception& wrong) {
    return fail(Errc::bad_request, address + " is not a node of a cluster: " + wrong.what());
  }
}

Result<std::unique_ptr<Witness>> witness_in(cluster::ClusterFolder folder) {
  KEELSON_TRY_ASSIGN(auto said, folder.testify());
  return std::make_unique<Folder>(std::move(said), std::move(folder));
}

}  // namespace keelson::tools
