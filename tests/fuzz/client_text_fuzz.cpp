// JSON text, the body of a query, times and entity tags: the first byte says as what the rest is
// read. Our own JSON reader must agree with the one that reads the same bytes later.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "aggregates/flat_object.h"
#include "aggregates/json_text.h"
#include "engine/base/check.h"
#include "engine/store/names.h"
#include "http/conditional.h"
#include "http/json_text.h"
#include "http/query_body.h"
#include "http/rfc3339.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson;
using namespace keelson::http;
using nlohmann::json;

/// What we take for JSON every parser takes for JSON, and compacting does not change it.
void json_text(std::string_view text) {
  if (check_json(text)) {
    const json value = json::parse(text);
    KEELSON_ASSERT(json::parse(compact_json(text)) == value);
    std::string line = "x";
    append_on_one_line(line, text);
    KEELSON_ASSERT(line.find('\n') == line.npos && json::parse(line.substr(1)) == value);
  }
  // A body is read by the one reader alone and as part of an array by the other.
  const JsonLimits as_aggregates{.depth_max = aggregates::kJsonDepthMax};
  const auto strict = aggregates::parse_json(text);
  KEELSON_ASSERT(check_json(text, as_aggregates).has_value() == strict.has_value());
  if (strict) KEELSON_ASSERT(aggregates::parse_json(aggregates::canonical_json(*strict)) == strict);
  // What is read where it stands means what the parser makes of it.
  const auto flat = aggregates::FlatObject::read(text);
  KEELSON_ASSERT(!flat || (strict && flat->canonical() == aggregates::canonical_json(*strict)));
}

/// Any bytes become a JSON string; those that are UTF-8 come back.
void json_strings(std::string_view text) {
  const std::string quoted = json_string(text);
  KEELSON_ASSERT(check_json(quoted).has_value());
  std::string other;
  aggregates::append_json_string(other, text);
  const json value = json::parse(quoted);
  if (is_utf8(text)) {
    KEELSON_ASSERT(value == json(text) && json::parse(other) == value);
  } else {
    KEELSON_ASSERT(check_json(other) && quoted.find("\xef\xbf\xbd") != quoted.npos);
  }
}

void query_body(std::string_view text) {
  const auto body = read_query_body(text);
  if (!body) return;
  KEELSON_ASSERT(!body->sql.empty() && body->params.is_structured());
  json again = {{"sql", body->sql}, {"params", body->params}};
  if (body->at) again["at"] = *body->at;
  if (body->at_time) again["at_time"] = *body->at_time;
  if (body->min) again["min"] = *body->min;
  if (body->wait_ms) again["wait_ms"] = *body->wait_ms;
  const auto second = read_query_body(again.dump());
  KEELSON_ASSERT(second && second->sql == body->sql && second->params == body->params);
  KEELSON_ASSERT(second->at == body->at && second->at_time == body->at_time);
  KEELSON_ASSERT(second->min == body->min && second->wait_ms == body->wait_ms);
}

void times(std::string_view text) {
  const auto time = parse_rfc3339(text);
  if (!time) return;
  // An offset may lead out of the years that can be written; there the nearest one is.
  const std::string written = to_rfc3339(*time);
  const auto again = parse_rfc3339(written);
  KEELSON_ASSERT(again && to_rfc3339(*again) == written);
  const bool outside = written.starts_with("0000-01-01T00:00:00.000000") ||
                       written.starts_with("9999-12-31T23:59:59.999999");
  KEELSON_ASSERT(*again == *time || outside);
  // Lower case is the same time (RFC 3339, 5.6).
  std::string lower(text);
  for (char& c : lower) c = c == 'T' ? 't' : c == 'Z' ? 'z' : c;
  KEELSON_ASSERT(parse_rfc3339(lower) == time);
}

void tags(std::string_view text) {
  Headers headers;
  headers.add("if-match", text);
  headers.add("If-None-Match", text);
  if (const auto version = parse_if_match(headers); version && *version) {
    // A version has one spelling in answers, but may have zeros before it in a request.
    const bool same = if_none_match_has(headers, version_etag(**version));
    KEELSON_ASSERT(same || text.find("\"0") != text.npos);
  }
  Headers twice = headers;
  twice.add("If-None-Match", "W/\"9\"");
  KEELSON_ASSERT(if_none_match_has(twice, "\"9\""));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  switch (input.byte() % 5) {
    case 0: json_text(input.rest()); break;
    case 1: json_strings(input.rest()); break;
    case 2: tags(input.rest()); break;
    case 3: query_body(input.rest()); break;
    case 4: times(input.rest()); break;
  }
  return 0;
}
