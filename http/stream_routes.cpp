#include "http/stream_routes.h"

#include <optional>
#include <utility>

#include "aggregates/aggregate_host.h"
#include "engine/store/names.h"
#include "engine/store/store.h"
#include "http/as_of.h"
#include "http/commit_body.h"
#include "http/conditional.h"
#include "http/consistency.h"
#include "http/event_page.h"
#include "http/json_text.h"
#include "http/lookup.h"
#include "http/rfc3339.h"

namespace keelson::http {

namespace {

/// A commit and where it goes.
struct Append {
  Topic* topic = nullptr;
  std::string target;  ///< the stream that names the partition and owns the command id
  Commit commit;
  std::optional<CommandStamp> stamp;
};

/// What `If-Match` and `If-None-Match` expect of the stream.
Result<ExpectedVersion> expected_from(const Headers& headers) {
  const auto match = headers.joined("If-Match");
  const auto none_match = headers.joined("If-None-Match");
  if (match && none_match) {
    return fail(Errc::bad_request, "If-Match and If-None-Match contradict each other");
  }
  if (none_match) {
    if (*none_match == "*") return ExpectedVersion::none();
    return fail(Errc::bad_request, "If-None-Match must be * here: the stream must not exist");
  }
  if (!match) return ExpectedVersion::any();
  if (*match == "*") return ExpectedVersion::exists();
  KEELSON_TRY_ASSIGN(const auto version, parse_if_match(headers));
  return ExpectedVersion::exact(version.value_or(Version(0)));
}

Result<std::optional<CommandStamp>> stamp_from(const Request& request, const Append& append,
                                               const Limits& limits) {
  const auto key = request.headers.find("Idempotency-Key");
  if (!key) return std::nullopt;
  if (request.headers.count("Idempotency-Key") > 1) {
    return fail(Errc::bad_request, "Idempotency-Key is given more than once");
  }
  KEELSON_TRY(check_command_id(*key, limits));
  CommandStamp stamp;
  stamp.principal = request.principal.name;
  stamp.target = append.target;
  stamp.id = *key;
  stamp.fingerprint = fingerprint_of(append.target, append.commit);
  return stamp;
}

/// Events of an aggregate's stream are what its decider decided: 409 `aggregate-stream` for others.
std::optional<Problem> refuse_aggregate_streams(const Services& services, const Append& append) {
  const auto* host = services.aggregates;
  if (host == nullptr || append.topic != &host->topic()) return std::nullopt;
  for (const StreamWrite& write : append.commit.writes) {
    const std::string type(stream_type(write.stream));
    if (host->find(type) == nullptr) continue;
    Problem problem;
    problem.status = 409;
    problem.code = "aggregate-stream";
    problem.title = "Stream of an aggregate";
    problem.detail = "'" + write.stream + "' belongs to the aggregate '" + type +
                     "' and is written by its commands alone: POST /v1/aggregates/" + type +
                     "/{id}/{command}.";
    return problem;
  }
  return std::nullopt;
}

/// Refuses names that are none, and a commit over several partitions.
Result<void> check_streams(const Services& services, const Append& append) {
  const PartitionId home = append.topic->partition_of(append.target);
  const auto check = [&](const std::string& stream) -> Result<void> {
    KEELSON_TRY(check_stream_name(stream, services.store.options().limits));
    if (append.topic->partition_of(stream) == home) return {};
    return fail(Errc::bad_request,
                "a commit is all or nothing in one partition, and '" + stream + "' lies in " +
                    "another than '" + append.target +
                    "'; streams whose names are equal after the first '-' lie together");
  };
  for (const StreamWrite& write : append.commit.writes) KEELSON_TRY(check(write.stream));
  for (const StreamCheck& stream : append.commit.checks) KEELSON_TRY(check(stream.stream));
  return {};
}

Result<Append> append_from_stream(const Services& services, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const Limits& limits = services.store.options().limits;
  Append append;
  KEELSON_TRY_ASSIGN(append.topic, find_topic(services.store, request));
  append.target = request.path_parameter("stream");
  StreamWrite write;
  write.stream = append.target;
  KEELSON_TRY_ASSIGN(write.expected, expected_from(request.headers));
  KEELSON_TRY_ASSIGN(write.events, parse_events(request.body, limits));
  append.commit.writes.push_back(std::move(write));
  KEELSON_TRY(check_streams(services, append));
  KEELSON_TRY_ASSIGN(append.stamp, stamp_from(request, append, limits));
  return append;
}

Result<Append> append_from_commit(const Services& services, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const Limits& limits = services.store.options().limits;
  Append append;
  KEELSON_TRY_ASSIGN(append.topic, find_topic(services.store, request));
  KEELSON_TRY_ASSIGN(append.commit, parse_commit(request.body, limits));
  append.target = append.commit.writes.front().stream;
  KEELSON_TRY(check_streams(services, append));
  KEELSON_TRY_ASSIGN(append.stamp, stamp_from(request, append, limits));
  return append;
}

void append_written(std::string& out, const CommitOutcome::Written& written) {
  const std::uint64_t count = written.end - written.first;
  out += R"({"stream":)";
  append_json_string(out, written.stream);
  out += R"(,"first_version":)";
  append_number(out, written.first.value);
  out += R"(,"version":)";
  append_number(out, written.end.value - 1);
  out += R"(,"first_offset":)";
  append_number(out, written.first_offset.value);
  out += R"(,"offset":)";
  append_number(out, written.first_offset.value + count - 1);
  out += '}';
}

/// `offset` and `version` are those of the last event, as everywhere.
Response outcome_response(const CommitOutcome& outcome, const Topic& topic) {
  std::string body = R"({"outcome":"accepted","topic":)";
  append_json_string(body, topic.name());
  body += R"(,"partition":)";
  append_number(body, outcome.partition.value);
  body += R"(,"offset":)";
  append_number(body, outcome.end.value - 1);
  if (outcome.written.size() == 1) {
    body += R"(,"version":)";
    append_number(body, outcome.written.front().end.value - 1);
  }
  body += R"(,"time":")";
  append_time(body, outcome.time);
  body += R"(","streams":[)";
  for (const CommitOutcome::Written& written : outcome.written) {
    if (&written != &outcome.written.front()) body += ',';
    append_written(body, written);
  }
  body += "]}";
  Response response =
      Response::json(200, std::move(body))
          .header(std::string(kPositionHeader),
                  position_in(topic, outcome.partition, outcome.position_end).to_string());
  if (outcome.written.size() == 1) {
    response.header("ETag", version_etag(outcome.written.front().end - 1));
  }
  if (outcome.replayed) response.header("Idempotency-Replayed", "true");
  return response;
}

void run(const Services& services, Result<Append> append, Responder responder) {
  if (!append) return responder.send(append.error());
  if (const auto problem = refuse_aggregate_streams(services, *append)) {
    return responder.send(to_response(*problem));
  }
  Topic& topic = *append->topic;
  topic.home_of(append->target)
      .execute(
          std::move(append->stamp),
          [commit = std::move(append->commit)](const Staging&) mutable -> Result<Commit> {
            return std::move(commit);
          },
          [&topic, responder = std::move(responder)](Result<CommitOutcome> outcome) mutable {
            if (outcome) {
              responder.send(outcome_response(*outcome, topic));
            } else {
              responder.send(outcome.error());
            }
          });
}

Result<Response> get_stream(const Services& services, const Request& request) {
  KEELSON_TRY(request.check_query({"from_version", "limit", "direction"}));
  KEELSON_TRY_ASSIGN(Topic * topic, find_topic(services.store, request));
  return stream_page(*topic, request.path_parameter("stream"), request);
}

}  // namespace

void add_stream_routes(Router& router, Services& services) {
  RouteOptions write;
  write.role = Role::write;
  write.consumes = {"application/json"};
  write.body_bytes_max = services.store.options().limits.commit_bytes_max + kCommitBodySlack;
  router.add(Method::post, "/v1/topics/{topic}/streams/{stream}", write,
             [&services](Request request, Responder responder) {
               run(services, append_from_stream(services, request), std::move(responder));
             });
  router.add(Method::post, "/v1/topics/{topic}/commits", write,
             [&services](Request request, Responder responder) {
               run(services, append_from_commit(services, request), std::move(responder));
             });
  RouteOptions read;
  read.blocking = true;
  const WhatIsRead home{[&services](const Request& request) -> Result<std::vector<Partition*>> {
    KEELSON_TRY_ASSIGN(Topic* const topic, find_topic(services.store, request));
    return home_of_stream(*topic, request.path_parameter("stream"));
  }};
  router.add(Method::get, "/v1/topics/{topic}/streams/{stream}", read,
             consistent(services, home, [&services](Request request, Responder responder) {
               auto page = get_stream(services, request);
               if (page) {
                 responder.send(*std::move(page));
               } else {
                 responder.send(page.error());
               }
             }));
}

}  // namespace keelson::http
