// The target of a request, its query string, and what is read out of it; the Accept header. The
// first line is the target, the second the header.
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/store/names.h"
#include "http/as_of.h"
#include "http/negotiate.h"
#include "http/router.h"
#include "tests/fuzz/input.h"
#include "tests/projections/support/memory_topic.h"

namespace {

using namespace keelson;
using namespace keelson::http;

const Router& routes() {
  static const Router* const router = [] {
    auto* made = new Router;
    for (const char* pattern :
         {"/v1/topics", "/v1/topics/{topic}", "/v1/topics/{topic}/streams/{stream}",
          "/v1/aggregates/{type}/{id}", "/v1/aggregates/{type}/{id}/events", "/{one}/literal"}) {
      made->add(Method::get, pattern, {}, [](Request, const Responder&) {});
    }
    made->add(Method::put, "/v1/topics/{topic}", {}, [](Request, const Responder&) {});
    return made;
  }();
  return *router;
}

/// Every byte escaped, so that nothing depends on which are.
std::string escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

void check_decoded(std::string_view text) {
  KEELSON_ASSERT(is_utf8(text) && text.find('\0') == text.npos);
  for (const PlusSign plus : {PlusSign::literal, PlusSign::space}) {
    KEELSON_ASSERT(percent_decode(escaped(text), plus) == std::string(text));
  }
}

/// The target that says the same as `match`.
std::string rewritten(const Router::Match& match) {
  std::string target = match.route->pattern;
  for (const auto& [name, value] : match.path_parameters) {
    const std::string place = "{" + name + "}";
    const std::size_t at = target.find(place);
    KEELSON_ASSERT(at != std::string::npos && !value.empty());
    target.replace(at, place.size(), escaped(value));
  }
  char before = '?';
  for (const auto& [name, value] : match.query_parameters) {
    target += before + escaped(name) + '=' + escaped(value);
    before = '&';
  }
  return target;
}

void numbers(const Request& request) {
  for (const auto& [name, text] : request.query_parameters) {
    const auto number = request.query_number(name, 1, 1000);
    if (!number) continue;
    KEELSON_ASSERT(*number && **number >= 1 && **number <= 1000);
    const auto first = request.query(name);
    KEELSON_ASSERT(first->find_first_not_of("0123456789") == first->npos);
  }
}

void as_of(const Request& request) {
  static test::MemoryTopic* const topic = [] {
    auto* made = new test::MemoryTopic(2);
    for (const char* stream : {"a-1", "b-2", "a-3", "c-4"}) made->append(stream, "t");
    return made;
  }();
  const Partition& home = topic->partition(PartitionId(1));
  if (const auto one = aggregate_as_of(request, *topic, home)) {
    const aggregates::AsOf& as_of = one->as_of;
    if (as_of.offset) KEELSON_ASSERT(*as_of.offset < home.end());
    KEELSON_ASSERT(as_of.offset.has_value() + as_of.version.has_value() <= 1);
  }
  ReadModelAsOfText text{request.query("at"), request.query("at_time"), request.query("min"), {}};
  if (const auto wait = request.query_number("wait_ms")) text.wait_ms = *wait;
  if (const auto all = read_model_as_of(text, *topic, {PartitionId(0), PartitionId(1)})) {
    KEELSON_ASSERT(all->wait.count() >= 0 && all->wait.count() <= std::int64_t{kWaitMsMax});
    if (all->at) KEELSON_ASSERT(topic->end().covers(*all->at));
    if (const auto required = all->required()) {
      KEELSON_ASSERT(!all->at || required->covers(*all->at));
      KEELSON_ASSERT(!all->min || required->covers(*all->min));
    }
  }
}

void target(std::string_view text) {
  static_cast<void>(routes().allow(text));
  for (const Method method : {Method::get, Method::put}) {
    const auto match = routes().match(method, text);
    if (!match) {
      KEELSON_ASSERT(match.error().status >= 400 && match.error().status < 500);
      continue;
    }
    for (const auto& [name, value] : match->path_parameters) check_decoded(value);
    for (const auto& [name, value] : match->query_parameters) check_decoded(name + value);
    const auto again = routes().match(method, rewritten(*match));
    KEELSON_ASSERT(again && again->route == match->route);
    KEELSON_ASSERT(again->path_parameters == match->path_parameters);
    KEELSON_ASSERT(again->query_parameters == match->query_parameters);
    KEELSON_ASSERT(routes().allow(text).has_value());

    Request request;
    request.query_parameters = match->query_parameters;
    static_cast<void>(request.check_query({"at", "at_time", "at_version", "min", "wait_ms"}));
    numbers(request);
    as_of(request);
  }
}

void accept(std::string_view text) {
  const auto best =
      negotiate(text, {"application/json", "application/x-ndjson", "text/event-stream"});
  if (best) KEELSON_ASSERT(*best < 3);
  // What asks for anything at all gets something.
  KEELSON_ASSERT(negotiate(std::string(text) + ", */*;q=1", {"x/y"}) ||
                 text.find("x/") != text.npos || text.find("X/") != text.npos ||
                 text.find('*') != text.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = keelson::fuzz::Input(data, size).rest();
  const std::size_t line = std::min(text.find('\n'), text.size());
  target(text.substr(0, line));
  accept(text.substr(std::min(line + 1, text.size())));
  return 0;
}
