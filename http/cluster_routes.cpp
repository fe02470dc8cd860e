#include "http/cluster_routes.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "engine/cluster/cluster_store.h"
#include "http/json_reader.h"

namespace keelson::http {

namespace {

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

/// What the body of a forced election has to repeat.
constexpr std::string_view kConfirmation = "data may be lost";

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// --- what is seen ---

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

Json json_of(const Member& member) {
  return {{"node", member.node.value}, {"data", to_hex(member.data)}};
}

Json json_of(const MemberList& list) {
  Json all = Json::array();
  for (const Member& member : list) all.push_back(json_of(member));
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
        Json node = json_of(member);
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
    Json follower = json_of(member);
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
  json["leader"] = record.leader ? json_of(*record.leader) : Json();
  json["replicas"] = json_of(record.replicas);
  json["old_replicas"] = json_of(record.old_replicas);
  if (status) add_replica(json, *status);
  return json;
}

Result<Response> show(ClusterStore& cluster, const std::string& name, const Request& request) {
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

Json json_of(const cluster::PartitionTestimony& said, PartitionId id) {
  Json json = {{"partition", id.value},
               {"promise", said.promise.epoch.value},
               {"led", said.promise.led.value},
               {"last_epoch", said.end.epoch.value},
               {"end", said.end.end.value}};
  json["leader"] = said.promise.leader ? json_of(*said.promise.leader) : Json();
  json["record"] =
      said.last ? Json(replication::encode_partition_record(said.last->record)) : Json();
  json["revision"] = said.last ? said.last->revision.value : 0;
  if (said.damage) json["damage"] = said.damage->message();
  return json;
}

/// All that is needed to make the coordinator's records anew.
Result<Response> show_records(ClusterStore& cluster, const Request& request) {
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

// --- what is done ---

struct Target {
  std::shared_ptr<PartitionReplica> replica;
  PartitionRecord record;
};

Result<Target> target_of(ClusterStore& cluster, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const std::string& name = request.path_parameter("topic");
  const auto topic = cluster.directory().topic(name);
  if (!topic) return fail(Errc::not_found, "there is no topic '" + name + "'");
  const std::string& text = request.path_parameter("partition");
  for (const auto& [id, partition] : topic->partitions) {
    if (std::to_string(id.value) != text) continue;
    auto replica = cluster.replica(topic->placement.topic, id);
    if (!replica) {
      return fail(Errc::halted,
                  "partition " + text + " of '" + name + "' cannot be opened on this node");
    }
    const auto known = replica->status().record;
    return Target{std::move(replica), known ? *known : partition.record};
  }
  return fail(Errc::not_found, "the topic '" + name + "' has no partition " + text);
}

/// The member that is meant by the number of a node: with the data folder it has now; one that is
/// not alive only if it is a member already.
Result<Member> member_of(ClusterStore& cluster, const PartitionRecord& record, std::uint64_t id) {
  const auto is = [&](const Member& member) { return member.node.value == id; };
  if (id <= UINT32_MAX) {
    const auto node = cluster.directory().node(NodeId(static_cast<std::uint32_t>(id)));
    if (node) return node->member;
  }
  const MemberList members = record.members();
  const auto found = std::ranges::find_if(members, is);
  if (found != members.end()) return *found;
  return fail(Errc::bad_request, "node " + std::to_string(id) + " is not alive");
}

Result<std::vector<std::uint64_t>> numbers_from(JsonReader& reader) {
  std::vector<std::uint64_t> numbers;
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) return numbers;
    KEELSON_TRY_ASSIGN(const std::uint64_t number, reader.number());
    numbers.push_back(number);
  }
}

/// Reads an object by `member`, which fails for names that it does not know.
template <class Read>
Result<void> read_object(std::string_view body, Read member) {
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(body, {}));
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    KEELSON_TRY(member(reader, *name));
  }
  return reader.finish();
}

std::unexpected<Error> unknown(std::string_view name) {
  return fail(Errc::bad_request, "there is no member '" + std::string(name) + "'");
}

/// Answers 202, or what is wrong.
std::function<void(Result<void>)> answering(Responder responder) {
  return [to = std::make_shared<Responder>(std::move(responder))](const Result<void>& result) {
    if (!result) return to->send(result.error());
    to->send(Response::json(202, R"({"status":"accepted"})"));
  };
}

/// What `start` gives is run with the callback that answers; an error is answered.
template <class Start>
void act(Responder responder, Start start) {
  auto begun = start();
  if (!begun) return responder.send(begun.error());
  (*begun)(answering(std::move(responder)));
}

using Begun = std::move_only_function<void(std::function<void(Result<void>)>)>;

Result<Begun> start_move(ClusterStore& cluster, const Request& request) {
  KEELSON_TRY_ASSIGN(Target target, target_of(cluster, request));
  std::optional<std::vector<std::uint64_t>> nodes;
  KEELSON_TRY(
      read_object(request.body, [&](JsonReader& reader, std::string_view name) -> Result<void> {
        if (name != "replicas") return unknown(name);
        KEELSON_TRY_ASSIGN(nodes, numbers_from(reader));
        return {};
      }));
  if (!nodes) return fail(Errc::bad_request, "'replicas' is missing");
  MemberList members;
  for (const std::uint64_t id : *nodes) {
    KEELSON_TRY_ASSIGN(const Member member, member_of(cluster, target.record, id));
    members.push_back(member);
  }
  KEELSON_TRY(replication::check_members(members));
  return Begun([replica = std::move(target.replica), members = std::move(members)](auto done) {
    replica->move(members, std::move(done));
  });
}

Result<Begun> start_lead(ClusterStore& cluster, const Request& request) {
  KEELSON_TRY_ASSIGN(Target target, target_of(cluster, request));
  std::optional<std::uint64_t> node;
  KEELSON_TRY(
      read_object(request.body, [&](JsonReader& reader, std::string_view name) -> Result<void> {
        if (name != "node") return unknown(name);
        KEELSON_TRY_ASSIGN(node, reader.number());
        return {};
      }));
  if (!node) return fail(Errc::bad_request, "'node' is missing");
  const MemberList& list = target.record.replicas;
  const auto found =
      std::ranges::find_if(list, [&](const Member& member) { return member.node.value == *node; });
  if (found == list.end()) {
    return fail(Errc::bad_request, "node " + std::to_string(*node) + " is no replica of it");
  }
  return Begun([replica = std::move(target.replica), member = *found](auto done) {
    // It leads already: nothing to do.
    const ReplicaStatus status = replica->status();
    const bool leads = status.leader == member;
    if (leads && status.role == replication::Replica::Role::leading) return done({});
    replica->hand_over(member, std::move(done));
  });
}

Result<Begun> start_force(ClusterStore& cluster, const Request& request) {
  KEELSON_TRY_ASSIGN(Target target, target_of(cluster, request));
  std::string confirmed;
  std::optional<std::uint64_t> epoch;
  KEELSON_TRY(
      read_object(request.body, [&](JsonReader& reader, std::string_view name) -> Result<void> {
        if (name == "confirm") {
          KEELSON_TRY_ASSIGN(confirmed, reader.string());
        } else if (name == "epoch") {
          KEELSON_TRY_ASSIGN(epoch, reader.number());
        } else {
          return unknown(name);
        }
        return {};
      }));
  if (confirmed != kConfirmation) {
    return fail(Errc::bad_request, "'confirm' must be \"" + std::string(kConfirmation) + "\"");
  }
  if (!epoch) {
    return fail(Errc::bad_request, "'epoch' is missing: that of the partition, by GET /v1/cluster");
  }
  return Begun([replica = std::move(target.replica), epoch = Epoch(*epoch)](auto done) {
    replica->force_lead(epoch, std::move(done));
  });
}

/// Not by what the coordinator has: it has lost that.
Result<std::shared_ptr<PartitionReplica>> replica_here(ClusterStore& cluster,
                                                       const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const std::string& name = request.path_parameter("topic");
  const std::string& text = request.path_parameter("partition");
  Topic* const topic = cluster.find_topic(name);
  if (topic == nullptr) return fail(Errc::not_found, "there is no topic '" + name + "' here");
  for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
    if (std::to_string(p) != text) continue;
    if (auto found = cluster.replica(topic->id(), PartitionId(p))) return found;
    return fail(Errc::halted,
                "partition " + text + " of '" + name + "' cannot be opened on this node");
  }
  return fail(Errc::not_found, "the topic '" + name + "' has no partition " + text);
}

/// Answers when the promise is durable.
void pledge(ClusterStore& cluster, const Request& request, Responder responder) {
  const auto replica = replica_here(cluster, request);
  if (!replica) return responder.send(replica.error());
  std::optional<std::uint64_t> epoch;
  const auto read =
      read_object(request.body, [&](JsonReader& reader, std::string_view name) -> Result<void> {
        if (name != "epoch") return unknown(name);
        KEELSON_TRY_ASSIGN(epoch, reader.number());
        return {};
      });
  if (!read) return responder.send(read.error());
  if (!epoch) return responder.send(Error{Errc::bad_request, "'epoch' is missing", {}});
  (*replica)->pledge(Epoch(*epoch), [to = std::make_shared<Responder>(std::move(responder))](
                                        const Result<replication::Promise>& before) {
    if (!before) return to->send(before.error());
    Json json = {{"promise", before->epoch.value}, {"led", before->led.value}};
    json["leader"] = before->leader ? json_of(*before->leader) : Json();
    to->send(Response::json(200, dump(json)));
  });
}

}  // namespace

void add_cluster_routes(Router& router, ClusterStore& cluster, std::string name) {
  RouteOptions reading;
  reading.blocking = true;
  router.add(Method::get, "/v1/cluster", reading,
             [&cluster, name = std::move(name)](const Request& request, Responder responder) {
               auto response = show(cluster, name, request);
               if (!response) return responder.send(response.error());
               responder.send(*std::move(response));
             });
  router.add(Method::get, "/v1/cluster/records", reading,
             [&cluster](const Request& request, Responder responder) {
               auto response = show_records(cluster, request);
               if (!response) return responder.send(response.error());
               responder.send(*std::move(response));
             });
  RouteOptions admin = reading;
  admin.role = Role::admin;
  admin.consumes = {"application/json"};
  admin.body_bytes_max = 64u << 10;
  const auto add = [&](const std::string& what,
                       Result<Begun> (*start)(ClusterStore&, const Request&)) {
    router.add(Method::post, "/v1/cluster/topics/{topic}/partitions/{partition}/" + what, admin,
               [&cluster, start](const Request& request, Responder responder) {
                 act(std::move(responder), [&] { return start(cluster, request); });
               });
  };
  add("move", start_move);
  add("lead", start_lead);
  add("force", start_force);
  router.add(Method::post, "/v1/cluster/topics/{topic}/partitions/{partition}/pledge", admin,
             [&cluster](const Request& request, Responder responder) {
               pledge(cluster, request, std::move(responder));
             });
}

}  // namespace keelson::http
