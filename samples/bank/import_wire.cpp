#include "samples/bank/import_wire.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace bank {

namespace {

using Json = nlohmann::json;
using Kind = CommandAnswer::Kind;

constexpr std::size_t kDetailBytesMax = 300;

/// Nothing that the server sends makes these throw; what is not there is empty.
std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::int64_t> integer_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}

std::optional<std::int64_t> balance_after(const Json& outcome) {
  std::optional<std::int64_t> balance;
  const auto events = outcome.find("events");
  if (events == outcome.end() || !events->is_array()) return balance;
  for (const Json& event : *events) {
    if (!event.is_object()) continue;
    const auto data = event.find("data");
    if (data == event.end() || !data->is_object()) continue;
    if (const auto found = integer_of(*data, "balance_after")) balance = found;
  }
  return balance;
}

Kind kind_of(unsigned status) {
  switch (status) {
    case 200: return Kind::accepted;
    case 307: return Kind::elsewhere;
    case 429:  // overloaded
    case 503:  // overloaded, stopping, not enough replicas
    case 504:  // outcome unknown
    case 507:  // disk full: somebody may make room
      return Kind::transient;
    case 401:
    case 403:
    case 404:
    case 405:
    case 413:
    case 415: return Kind::fatal;
    default: return Kind::failed;
  }
}

/// `409 insufficient_funds: …`, from a problem or an outcome.
std::string describe(unsigned status, const Json& object) {
  std::string text = std::to_string(status);
  std::string word = text_of(object, "reason");
  if (word.empty()) word = text_of(object, "code");
  if (!word.empty()) text += " " + word;
  const std::string detail = text_of(object, "detail");
  if (!detail.empty()) text += ": " + detail;
  return text.substr(0, kDetailBytesMax);
}

CommandAnswer read_outcome(const Json& outcome, unsigned status) {
  CommandAnswer answer;
  answer.kind = kind_of(status);
  if (answer.kind != Kind::accepted) {
    answer.detail = describe(status, outcome);
    answer.leader = text_of(outcome, "leader");
    return answer;
  }
  if (text_of(outcome, "outcome") != "accepted") {
    answer.kind = Kind::failed;
    answer.detail = "an answer that is no accepted command";
    return answer;
  }
  answer.balance_after = balance_after(outcome);
  return answer;
}

/// An answer that is no JSON object is read as an empty one.
Json parse_object(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json::object();
}

/// The outcomes of a batch, from lines or from an array.
std::vector<Json> parse_outcomes(std::string_view body) {
  std::vector<Json> outcomes;
  if (body.starts_with('[')) {
    Json array = Json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (!array.is_array()) return outcomes;
    for (Json& outcome : array)
      outcomes.push_back(outcome.is_object() ? std::move(outcome) : Json::object());
    return outcomes;
  }
  while (!body.empty()) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    if (end > 0) outcomes.push_back(parse_object(body.substr(0, end)));
    body.remove_prefix(std::min(end + 1, body.size()));
  }
  return outcomes;
}

}  // namespace

HttpRequest single_request(const ImportCommand& command) {
  HttpRequest request;
  request.target =
      "/v1/aggregates/account/" + percent_encode(command.account_id) + "/" + command.name;
  request.body = command.data;
  request.idempotency_key = command.key;
  return request;
}

CommandAnswer read_single(const HttpAnswer& http) {
  CommandAnswer answer = read_outcome(parse_object(http.body), http.status);
  answer.replayed = http.replayed;
  answer.retry_after = http.retry_after;
  return answer;
}

HttpRequest batch_request(const std::vector<ImportCommand>& commands) {
  HttpRequest request;
  request.target = "/v1/commands";
  request.content_type = "application/x-ndjson";
  for (const ImportCommand& command : commands) {
    // Names and ids are visible ASCII; `dump` escapes what JSON asks for.
    request.body += R"({"type":"account","id":)" + Json(command.account_id).dump() +
                    R"(,"command":")" + command.name + R"(","key":)" + Json(command.key).dump() +
                    R"(,"data":)" + command.data + "}\n";
  }
  return request;
}

std::vector<CommandAnswer> read_batch(const HttpAnswer& http, std::size_t count) {
  std::vector<CommandAnswer> answers;
  if (http.status != 200) {
    CommandAnswer answer = read_outcome(parse_object(http.body), http.status);
    if (answer.kind == Kind::failed) answer.kind = Kind::fatal;  // not about one of the commands
    answer.retry_after = http.retry_after;
    answers.assign(count, answer);
    return answers;
  }
  const std::vector<Json> outcomes = parse_outcomes(http.body);
  if (outcomes.size() != count) {
    CommandAnswer answer;
    answer.kind = Kind::fatal;
    answer.detail =
        std::to_string(outcomes.size()) + " outcomes for " + std::to_string(count) + " commands";
    answers.assign(count, answer);
    return answers;
  }
  for (const Json& outcome : outcomes) {
    const auto status = integer_of(outcome, "status").value_or(500);
    CommandAnswer& answer = answers.emplace_back(
        read_outcome(outcome, static_cast<unsigned>(std::clamp<std::int64_t>(status, 0, 999))));
    answer.replayed = outcome.value("replayed", Json(false)) == Json(true);
  }
  return answers;
}

HttpRequest cluster_request() {
  HttpRequest request;
  request.method = "GET";
  request.target = "/v1/cluster";
  return request;
}

std::vector<std::string> read_cluster(const HttpAnswer& answer) {
  std::vector<std::string> addresses;
  if (answer.status != 200) return addresses;
  const Json cluster = parse_object(answer.body);
  const auto nodes = cluster.find("nodes");
  if (nodes == cluster.end() || !nodes->is_array()) return addresses;
  for (const Json& node : *nodes) {
    if (!node.is_object()) continue;
    if (std::string address = text_of(node, "http_address"); !address.empty())
      addresses.push_back(std::move(address));
  }
  return addresses;
}

}  // namespace bank
