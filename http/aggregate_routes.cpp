#include "http/aggregate_routes.h"

#include <optional>
#include <utility>

#include "engine/store/store.h"
#include "http/as_of.h"
#include "http/conditional.h"
#include "http/consistency.h"
#include "http/event_json.h"
#include "http/event_page.h"
#include "http/json_text.h"

namespace keelson::http {

namespace {

using aggregates::AggregateHost;
using aggregates::AggregateInfo;
using aggregates::CommandCall;
using aggregates::CommandReply;

constexpr std::size_t kUsualAnswer = 512;

std::string stream_of(const Request& request) {
  return request.path_parameter("type") + '-' + request.path_parameter("id");
}

/// The aggregate type of a request.
Result<const AggregateInfo*> find_type(const AggregateHost& host, const Request& request) {
  const std::string& type = request.path_parameter("type");
  if (const AggregateInfo* info = host.find(type)) return info;
  std::string known;
  for (const AggregateInfo& info : host.types()) known += (known.empty() ? "" : ", ") + info.type;
  return fail(Errc::not_found, "there is no aggregate type '" + type + "'; there is: " + known);
}

// --- POST /v1/aggregates/{type}/{id}/{command} ---

Result<CommandCall> command_call(Request& request) {
  KEELSON_TRY(request.check_query({}));
  if (request.headers.count("Idempotency-Key") > 1) {
    return fail(Errc::bad_request, "Idempotency-Key is given more than once");
  }
  CommandCall call;
  if (const auto key = request.headers.find("Idempotency-Key")) {
    // An empty key would silently lose the exactly-once effect the client asks for.
    if (key->empty()) return fail(Errc::bad_request, "Idempotency-Key is empty");
    call.key = *key;
  }
  KEELSON_TRY_ASSIGN(call.expected, parse_if_match(request.headers));
  call.type = request.path_parameter("type");
  call.id = request.path_parameter("id");
  call.command = request.path_parameter("command");
  call.body = request.body.empty() ? "{}" : std::move(request.body);
  call.principal = std::move(request.principal.name);
  return call;
}

void post_command(AggregateHost& host, Request request, Responder responder) {
  auto call = command_call(request);
  if (!call) return responder.send(call.error());
  host.execute(*std::move(call), [&topic = host.topic(), responder = std::move(responder)](
                                     Result<CommandReply> reply) mutable {
    responder.send(command_response(reply, topic));
  });
}

// --- GET /v1/aggregates/{type}/{id} ---

Response state_response(const Request& request, const AggregateHost& host, PartitionId home,
                        const aggregates::AggregateState& state, const AggregateAsOf& as_of,
                        std::string etag) {
  std::string body = R"({"type":)";
  append_json_string(body, request.path_parameter("type"));
  body += R"(,"id":)";
  append_json_string(body, request.path_parameter("id"));
  body += R"(,"version":)";
  append_number(body, state.version.value);
  body += R"(,"offset":)";
  append_number(body, state.offset.value);
  if (!as_of.tag.empty()) {
    body += R"(,"at":)";
    append_json_string(
        body,
        position_in(host.topic(), home, as_of.as_of.offset.value_or(state.offset) + 1).to_string());
  }
  body += R"(,"state":)";
  body += state.state;
  body += '}';
  return Response::json(200, std::move(body))
      .header("ETag", std::move(etag))
      .header("Cache-Control", "no-cache")
      .header(std::string(kPositionHeader),
              position_in(host.topic(), home, state.position_end).to_string());
}

Response as_of_not_modified(const Topic& topic, const Partition& home, const AggregateAsOf& as_of,
                            const std::string& etag) {
  Response response = not_modified(etag);
  // Which offset made a version is in the log; finding it would be part of the answer saved here.
  if (as_of.as_of.offset) {
    response.header(std::string(kPositionHeader),
                    position_in(topic, home.id(), *as_of.as_of.offset + 1).to_string());
  }
  return response;
}

Result<Response> get_state(const AggregateHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({"at", "at_version", "at_time"}));
  KEELSON_TRY_ASSIGN(const AggregateInfo* info, find_type(host, request));
  const std::string stream = stream_of(request);
  Topic& topic = host.topic();
  Partition& home = topic.home_of(stream);
  KEELSON_TRY_ASSIGN(const AggregateAsOf as_of, aggregate_as_of(request, topic, home));
  if (as_of.before_everything) {
    return fail(Errc::not_found, "nothing had happened in partition " +
                                     std::to_string(home.id().value) + " by then");
  }

  // The tag is known before the state is: a client that has the answer already costs no replay.
  std::string etag;
  if (!as_of.tag.empty()) {
    etag = derived_etag(info->code_version, as_of.tag);
    if (if_none_match_has(request.headers, etag))
      return as_of_not_modified(topic, home, as_of, etag);
  } else if (request.headers.find("If-None-Match")) {
    const Offset end = home.end();
    KEELSON_TRY_ASSIGN(const Version version, home.stream_version(stream));
    etag = version_etag(version);
    if (version != Version(0) && if_none_match_has(request.headers, etag)) {
      return not_modified(etag).header(std::string(kPositionHeader),
                                       position_in(topic, home.id(), end).to_string());
    }
  }
  KEELSON_TRY_ASSIGN(const aggregates::AggregateState state,
                     host.load(info->type, request.path_parameter("id"), as_of.as_of));
  if (as_of.tag.empty()) etag = version_etag(state.version);
  return state_response(request, host, home.id(), state, as_of, std::move(etag));
}

// --- GET /v1/aggregates/{type}/{id}/events ---

Result<Response> get_events(const AggregateHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({"from_version", "limit", "direction"}));
  KEELSON_TRY(find_type(host, request));
  return stream_page(host.topic(), stream_of(request), request);
}

// --- GET /v1/aggregates[/{type}] ---

void append_named(std::string& out, std::string_view name, std::string_view text) {
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}

/// A schema as it stands; a type without one takes anything.
void append_schema(std::string& out, std::string_view name, std::string_view schema) {
  append_json_string(out, name);
  out += ':';
  out += schema.empty() ? "true" : schema;
}

void append_info(std::string& out, const AggregateInfo& info) {
  out += '{';
  append_named(out, "type", info.type);
  out += ',';
  append_named(out, "summary", info.summary);
  out += R"(,"commands":[)";
  for (const auto& command : info.commands) {
    if (&command != &info.commands.front()) out += ',';
    out += '{';
    append_named(out, "name", command.name);
    out += ',';
    append_named(out, "summary", command.summary);
    out += ',';
    append_schema(out, "schema", command.schema);
    out += '}';
  }
  out += R"(],"events":[)";
  for (const auto& event : info.events) {
    if (&event != &info.events.front()) out += ',';
    out += '{';
    append_named(out, "type", event.type);
    out += ',';
    append_schema(out, "schema", event.schema);
    out += '}';
  }
  out += R"(],"refusals":[)";
  for (const auto& refusal : info.refusals) {
    if (&refusal != &info.refusals.front()) out += ',';
    append_json_string(out, refusal);
  }
  out += "],";
  append_schema(out, "state_schema", info.state_schema);
  out += ',';
  append_named(out, "code_version", info.code_version);
  out += '}';
}

Result<Response> get_types(const AggregateHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  std::string body = R"({"aggregates":[)";
  for (const AggregateInfo& info : host.types()) {
    if (&info != &host.types().front()) body += ',';
    append_info(body, info);
  }
  body += "]}";
  return Response::json(200, std::move(body));
}

Result<Response> get_type(const AggregateHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  KEELSON_TRY_ASSIGN(const AggregateInfo* info, find_type(host, request));
  std::string body;
  append_info(body, *info);
  return Response::json(200, std::move(body));
}

std::string rejection_detail(const CommandReply& reply) {
  if (!reply.detail.empty()) return reply.detail;
  return "The command was refused as '" + reply.reason + "' and changed nothing.";
}

using Answer = Result<Response> (*)(const AggregateHost&, const Request&);

Handler answering(const AggregateHost& host, Answer answer) {
  return [&host, answer](Request request, Responder responder) {
    auto response = answer(host, request);
    if (!response) return responder.send(response.error());
    responder.send(*std::move(response));
  };
}

}  // namespace

void append_accepted(std::string& out, const CommandReply& reply, const Topic& topic) {
  out += R"("outcome":"accepted","topic":)";
  append_json_string(out, topic.name());
  out += R"(,"partition":)";
  append_number(out, reply.outcome.partition.value);
  out += R"(,"offset":)";
  append_number(out, reply.outcome.end.value - 1);
  out += R"(,"version":)";
  append_number(out, reply.version.value);
  out += R"(,"events":[)";
  for (const Event& event : reply.events) {
    if (&event != &reply.events.front()) out += ',';
    append_event(out, event.view(), Lines::one);
  }
  out += ']';
}

void append_rejected(std::string& out, const CommandReply& reply, const Topic& topic) {
  out += R"("outcome":"rejected","reason":)";
  append_json_string(out, reply.reason);
  out += R"(,"detail":)";
  append_json_string(out, rejection_detail(reply));
  out += R"(,"topic":)";
  append_json_string(out, topic.name());
  out += R"(,"partition":)";
  append_number(out, reply.outcome.partition.value);
  out += R"(,"version":)";
  append_number(out, reply.version.value);
}

Problem rejection_problem(const CommandReply& reply, const Topic& topic) {
  Problem problem;
  problem.status = 409;
  problem.code = "command-rejected";
  problem.title = "Command rejected";
  problem.detail = rejection_detail(reply);
  problem.extensions = {{"outcome", R"("rejected")"},
                        {"reason", json_string(reply.reason)},
                        {"topic", json_string(topic.name())},
                        {"partition", std::to_string(reply.outcome.partition.value)},
                        {"version", std::to_string(reply.version.value)}};
  return problem;
}

Response command_response(const Result<CommandReply>& reply, const Topic& topic) {
  if (!reply) return to_response(answered_problem(reply.error()));
  const CommitOutcome& outcome = reply->outcome;
  Response response;
  if (outcome.rejected) {
    response = to_response(rejection_problem(*reply, topic));
  } else {
    std::string body;
    body.reserve(kUsualAnswer);
    body += '{';
    append_accepted(body, *reply, topic);
    body += '}';
    response = Response::json(200, std::move(body));
    response.header("ETag", version_etag(reply->version));
  }
  if (outcome.replayed) response.header("Idempotency-Replayed", "true");
  response.header(std::string(kPositionHeader),
                  position_in(topic, outcome.partition, outcome.position_end).to_string());
  return response;
}

void add_aggregate_routes(Router& router, Services& services) {
  if (services.aggregates == nullptr) return;
  AggregateHost& host = *services.aggregates;
  RouteOptions reading;
  reading.blocking = true;
  RouteOptions writing;
  writing.role = Role::write;
  writing.consumes = {"application/json"};
  router.add(Method::get, "/v1/aggregates", {}, answering(host, get_types));
  router.add(Method::get, "/v1/aggregates/{type}", {}, answering(host, get_type));
  const WhatIsRead home{[&host](const Request& request) -> Result<std::vector<Partition*>> {
    return home_of_stream(host.topic(), stream_of(request));
  }};
  router.add(Method::get, "/v1/aggregates/{type}/{id}", reading,
             consistent(services, home, answering(host, get_state)));
  router.add(Method::get, "/v1/aggregates/{type}/{id}/events", reading,
             consistent(services, home, answering(host, get_events)));
  router.add(Method::post, "/v1/aggregates/{type}/{id}/{command}", writing,
             [&host](Request request, Responder responder) {
               post_command(host, std::move(request), std::move(responder));
             });
}

}  // namespace keelson::http
