#include "http/cluster_descriptions.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/cluster/cluster_store.h"

namespace keelson::http {

using cluster::ClusterStore;
using cluster::ClusterView;
using cluster::MoveStatus;
using cluster::NodeRecord;
using cluster::PartitionReplica;
using cluster::ReplicaStatus;
using replication::Member;
using replication::MemberList;
using replication::NodeId;
using replication::PartitionRecord;
using Json = nlohmann::ordered_json;

Json member_json(const Member& member) {
  return {{"node", member.node.value}, {"data", to_hex(member.data)}};
}

namespace {

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string_view name_of(replication::Replica::Role role) {
  using Role = replication::Replica::Role;
  switch (role) {
    case Role::following: return "following";
    case Role::taking_over: return "taking_over";
    case Role::starting: return "starting";
    case Role::leading: return "leading";
  }
  return "";
}

Json json_of(const MemberList& list) {
  Json all = Json::array();
  for (const Member& member : list) all.push_back(member_json(member));
  return all;
}

Json json_of(const NodeRecord& node, bool alive) {
  return {{"node", node.member.node.value},
          {"data", to_hex(node.member.data)},
          {"alive", alive},
          {"http_address", node.http_address},
          {"peer_address", node.peer_address},
          {"version", node.version}};
}

/// Nodes that are alive, those that were seen, and those that only records of partitions name.
Json nodes_of(ClusterStore& cluster, const ClusterView& view) {
  std::map<NodeId, Json> nodes;
  for (const auto& [id, node] : view.nodes()) nodes[id] = json_of(node, true);
  for (const NodeRecord& node : cluster.last_seen()) {
    nodes.try_emplace(node.member.node, json_of(node, false));
  }
  for (const auto& [name, topic] : view.topics()) {
    for (const auto& [id, partition] : topic.partitions) {
      for (const Member& member : partition.record.members()) {
        Json node = member_json(member);
        node["alive"] = false;
        nodes.try_emplace(member.node, std::move(node));
      }
    }
  }
  const MemberList connected = cluster.connected();
  Json all = Json::array();
  for (auto& [id, node] : nodes) {
    if (id != cluster.self().node) {
      node["connected"] =
          std::ranges::any_of(connected, [&](const Member& peer) { return peer.node == id; });
    }
    all.push_back(std::move(node));
  }
  return all;
}

Json json_of(const MoveStatus& move) {
  Json json = {{"replicas", json_of(move.target)},
               {"state", move.failed  ? "failed"
                         : move.begun ? "changing"
                                      : "feeding"}};
  if (move.failed) json["error"] = move.failed->message();
  return json;
}

void add_replica(Json& json, const ReplicaStatus& status) {
  Json replica = {{"role", name_of(status.role)},          {"epoch", status.epoch.value},
                  {"last_epoch", status.last_epoch.value}, {"appended", status.appended.value},
                  {"committed", status.committed.value},   {"readable", status.readable}};
  if (status.halted) replica["halted"] = status.halted->message();
  if (status.pledged) replica["pledged"] = status.pledged->value;
  if (status.no_room) replica["no_room"] = true;
  json["replica"] = std::move(replica);
  if (status.role != replication::Replica::Role::leading) return;
  Json followers = Json::array();
  for (const auto& [member, durable] : status.durable) {
    Json follower = member_json(member);
    follower["durable"] = durable.value;
    follower["lag"] = durable < status.appended ? status.appended.value - durable.value : 0;
    followers.push_back(std::move(follower));
  }
  json["followers"] = std::move(followers);
  if (status.move) json["move"] = json_of(*status.move);
}

Json json_of(PartitionId id, const PartitionRecord& watched, const PartitionReplica* replica) {
  const std::optional<ReplicaStatus> status =
      replica != nullptr ? std::optional(replica->status()) : std::nullopt;
  // The replica may know better, and it is its epoch that counts for what is done here.
  const bool newer = status && status->record && status->record->epoch >= watched.epoch;
  const PartitionRecord& record = newer ? *status->record : watched;
  Json json = {{"partition", id.value}, {"epoch", record.epoch.value}};
  json["leader"] = record.leader ? member_json(*record.leader) : Json();
  json["replicas"] = json_of(record.replicas);
  json["old_replicas"] = json_of(record.old_replicas);
  if (status) add_replica(json, *status);
  return json;
}

Json json_of(const cluster::PartitionTestimony& said, PartitionId id) {
  Json json = {{"partition", id.value},
               {"promise", said.promise.epoch.value},
               {"led", said.promise.led.value},
               {"last_epoch", said.end.epoch.value},
               {"end", said.end.end.value}};
  json["leader"] = said.promise.leader ? member_json(*said.promise.leader) : Json();
  json["record"] =
      said.last ? Json(replication::encode_partition_record(said.last->record)) : Json();
  json["revision"] = said.last ? said.last->revision.value : 0;
  if (said.damage) json["damage"] = said.damage->message();
  if (said.without_record) json["without_record"] = true;
  return json;
}

}  // namespace

Result<Response> show_cluster(ClusterStore& cluster, const std::string& name,
                              const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const ClusterView view = cluster.directory().view();
  Json topics = Json::array();
  for (const auto& [topic_name, topic] : view.topics()) {
    Json partitions = Json::array();
    for (const auto& [id, partition] : topic.partitions) {
      const auto replica = cluster.replica(topic.placement.topic, id);
      partitions.push_back(json_of(id, partition.record, replica.get()));
    }
    topics.push_back({{"name", topic_name},
                      {"id", to_hex(topic.placement.topic)},
                      {"partitions", std::move(partitions)}});
  }
  const Json json = {{"name", name},
                     {"node", cluster.self().node.value},
                     {"nodes", nodes_of(cluster, view)},
                     {"topics", std::move(topics)}};
  return Response::json(200, dump(json)).header("Cache-Control", "no-cache");
}

Result<Response> show_cluster_records(ClusterStore& cluster, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const cluster::NodeTestimony said = cluster.testify();
  Json topics = Json::array();
  for (const cluster::TopicTestimony& topic : said.topics) {
    Json partitions = Json::array();
    for (std::uint32_t p = 0; p < topic.partitions.size(); ++p) {
      partitions.push_back(json_of(topic.partitions[p], PartitionId(p)));
    }
    topics.push_back(
        {{"name", topic.name},
         {"id", to_hex(topic.id)},
         {"placement",
          topic.placement ? Json(cluster::encode_topic_placement(*topic.placement)) : Json()},
         {"partitions", std::move(partitions)}});
  }
  Json nodes = Json::array();
  for (const NodeRecord& node : cluster.last_seen()) nodes.push_back(node.http_address);
  const Json json = {{"cluster", said.cluster},
                     {"node", said.member.node.value},
                     {"data", to_hex(said.member.data)},
                     {"nodes", std::move(nodes)},
                     {"topics", std::move(topics)}};
  return Response::json(200, dump(json)).header("Cache-Control", "no-cache");
}

}  // namespace keelson::http
