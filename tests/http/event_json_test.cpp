#include "http/event_json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace keelson;
using namespace keelson::http;

namespace {

EventView deposited() {
  EventView event;
  event.partition = PartitionId(3);
  event.offset = Offset(UINT64_MAX - 1);
  event.stream = "account-4\"2";
  event.version = Version(7);
  event.type = "deposited";
  event.time = TimeUs(1'795'386'268'123'456);
  event.data = "{\"amount\": 5,\n\"text\":\"\\n\"}";
  return event;
}

}  // namespace

TEST_CASE("event json: members in the documented order, 64-bit numbers whole, data verbatim") {
  std::string out;
  append_event(out, deposited());
  CHECK(out ==
        "{\"partition\":3,\"offset\":18446744073709551614,\"stream\":\"account-4\\\"2\","
        "\"version\":7,\"type\":\"deposited\",\"time\":\"2026-11-22T22:24:28.123456Z\","
        "\"data\":{\"amount\": 5,\n\"text\":\"\\n\"}}");
}

TEST_CASE("event json: metadata and command id appear when the event has them") {
  EventView event = deposited();
  event.metadata = R"({"by":"x"})";
  event.command_id = "k\\1";
  std::string out;
  append_event(out, event);
  const auto json = nlohmann::json::parse(out);
  CHECK(json["metadata"]["by"] == "x");
  CHECK(json["command_id"] == "k\\1");
}

TEST_CASE("event json: on one line the value stays the same") {
  std::string as_stored;
  append_event(as_stored, deposited());
  std::string line;
  append_event(line, deposited(), Lines::one);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(nlohmann::json::parse(line) == nlohmann::json::parse(as_stored));
}

TEST_CASE("event page: events, where to continue, the end") {
  CHECK(EventPage().finish(0, 0) == R"({"events":[],"next":0,"end":0})");
  EventPage page;
  page.add(deposited());
  page.add(deposited());
  CHECK(page.count() == 2);
  const auto json = nlohmann::json::parse(std::move(page).finish(std::nullopt, 9));
  CHECK(json["events"].size() == 2);
  CHECK(json["next"].is_null());
  CHECK(json["end"] == 9);
}
