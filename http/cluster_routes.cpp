#include "http/cluster_routes.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "engine/cluster/cluster_store.h"
#include "http/cluster_descriptions.h"
#include "http/json_reader.h"

namespace keelson::http {

namespace {

using cluster::ClusterStore;
using cluster::PartitionReplica;
using cluster::ReplicaStatus;
using replication::Member;
using replication::MemberList;
using replication::NodeId;
using replication::PartitionRecord;
using Json = nlohmann::ordered_json;

/// What the body of a forced election has to repeat.
constexpr std::string_view kConfirmation = "data may be lost";

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
    json["leader"] = before->leader ? member_json(*before->leader) : Json();
    to->send(Response::json(200, json.dump()));
  });
}

}  // namespace

void add_cluster_routes(Router& router, ClusterStore& cluster, std::string name) {
  RouteOptions reading;
  reading.blocking = true;
  router.add(Method::get, "/v1/cluster", reading,
             [&cluster, name = std::move(name)](const Request& request, Responder responder) {
               auto response = show_cluster(cluster, name, request);
               if (!response) return responder.send(response.error());
               responder.send(*std::move(response));
             });
  router.add(Method::get, "/v1/cluster/records", reading,
             [&cluster](const Request& request, Responder responder) {
               auto response = show_cluster_records(cluster, request);
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
