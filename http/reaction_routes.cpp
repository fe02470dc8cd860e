#include "http/reaction_routes.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "http/as_of.h"
#include "http/json_text.h"

namespace keelson::http {

namespace {

using aggregates::AggregateHost;
using aggregates::ReactionStatus;

/// One reaction over all partitions.
struct ReactionSummary {
  std::string name;
  std::vector<ReactionStatus> partitions;

  /// `delayed`: held up by what may pass, such as a full disk, and tried again.
  [[nodiscard]] std::string_view state() const {
    std::string_view state = "running";
    for (const ReactionStatus& status : partitions) {
      if (status.halted) return "halted";
      if (!status.error.empty()) state = "delayed";
    }
    return state;
  }
};

/// In the order in which they were registered.
std::vector<ReactionSummary> summaries_of(const AggregateHost& host) {
  std::vector<ReactionSummary> summaries;
  for (ReactionStatus& status : host.reactions()) {
    auto found = std::ranges::find(summaries, status.name, &ReactionSummary::name);
    if (found == summaries.end()) found = summaries.insert(found, {status.name, {}});
    found->partitions.push_back(std::move(status));
  }
  return summaries;
}

void append_partition(std::string& out, const ReactionStatus& status) {
  out += R"({"partition":)";
  append_number(out, status.partition.value);
  out += R"(,"next":)";
  append_number(out, status.next.value);
  out += R"(,"lag_events":)";
  append_number(out, status.lag);
  if (status.standing_by) out += R"(,"standing_by":true)";
  if (!status.error.empty()) {
    out += R"(,"error":)";
    append_json_string(out, status.error);
  }
  out += '}';
}

void append_reaction(std::string& out, const ReactionSummary& reaction, std::string_view topic) {
  out += R"({"name":)";
  append_json_string(out, reaction.name);
  out += R"(,"topic":)";
  append_json_string(out, topic);
  out += R"(,"state":")";
  out += reaction.state();
  out += R"(","partitions":[)";
  for (const ReactionStatus& status : reaction.partitions) {
    if (&status != &reaction.partitions.front()) out += ',';
    append_partition(out, status);
  }
  out += "]}";
}

/// What of the log every one of `reactions` has dealt with.
Position position_of(const Topic& topic, const std::vector<ReactionSummary>& reactions) {
  Position position(topic.partition_count());
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    const PartitionId id(p);
    std::vector<Offset> next;
    for (const ReactionSummary& reaction : reactions) {
      for (const ReactionStatus& status : reaction.partitions) {
        if (status.partition == id) next.push_back(status.next);
      }
    }
    if (!next.empty()) position.set_next(id, std::ranges::min(next));
  }
  return position;
}

Result<Response> get_reactions(const AggregateHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const auto reactions = summaries_of(host);
  std::string body = R"({"reactions":[)";
  for (const ReactionSummary& reaction : reactions) {
    if (&reaction != &reactions.front()) body += ',';
    append_reaction(body, reaction, host.topic().name());
  }
  body += "]}";
  return Response::json(200, std::move(body))
      .header("Cache-Control", "no-cache")
      .header(std::string(kPositionHeader), position_of(host.topic(), reactions).to_string());
}

Result<Response> get_reaction(const AggregateHost& host, const Request& request) {
  KEELSON_TRY(request.check_query({}));
  const std::string& name = request.path_parameter("name");
  auto reactions = summaries_of(host);
  std::string known;
  for (const ReactionSummary& reaction : reactions) {
    known += (known.empty() ? "" : ", ") + reaction.name;
  }
  std::erase_if(reactions, [&](const ReactionSummary& reaction) { return reaction.name != name; });
  if (reactions.empty()) {
    return fail(Errc::not_found, "there is no reaction '" + name + "'; there is: " + known);
  }
  std::string body;
  append_reaction(body, reactions.front(), host.topic().name());
  return Response::json(200, std::move(body))
      .header("Cache-Control", "no-cache")
      .header(std::string(kPositionHeader), position_of(host.topic(), reactions).to_string());
}

using Get = Result<Response> (*)(const AggregateHost&, const Request&);

Handler getting(const AggregateHost& host, Get get) {
  return [&host, get](Request request, Responder responder) {
    auto response = get(host, request);
    if (!response) return responder.send(response.error());
    responder.send(*std::move(response));
  };
}

}  // namespace

void add_reaction_routes(Router& router, const Services& services) {
  if (services.aggregates == nullptr) return;
  const AggregateHost& host = *services.aggregates;
  RouteOptions reading;
  reading.blocking = true;  // while reactions stop, asking for them waits
  router.add(Method::get, "/v1/reactions", reading, getting(host, get_reactions));
  router.add(Method::get, "/v1/reactions/{name}", reading, getting(host, get_reaction));
}

}  // namespace keelson::http
