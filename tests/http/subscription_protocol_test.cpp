#include "http/subscription_protocol.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace keelson;
using namespace keelson::http;

namespace {

template <class Message>
Message parsed(std::string_view text) {
  auto message = parse_client_message(text);
  REQUIRE_MESSAGE(message, text);
  REQUIRE(std::holds_alternative<Message>(*message));
  return std::get<Message>(*std::move(message));
}

Position position(std::vector<std::uint64_t> next) {
  Position made(next.size());
  for (std::uint32_t p = 0; p < next.size(); ++p) made.set_next(PartitionId(p), Offset(next[p]));
  return made;
}

SubscribeMessage from(std::string text) {
  SubscribeMessage message;
  message.from = std::move(text);
  return message;
}

SubscribeMessage after(std::string text) {
  SubscribeMessage message;
  message.after = std::move(text);
  return message;
}

}  // namespace

TEST_CASE("subscription protocol: a subscribe with everything") {
  const auto message = parsed<SubscribeMessage>(
      R"({"op":"subscribe","id":"s1","topic":"bank","from":"0:10,1:7","types":["a","b"],)"
      R"("stream":"account-1","stream_prefix":"account-","credit":1000})");
  CHECK(message.id == "s1");
  CHECK(message.topic == "bank");
  CHECK(message.from == "0:10,1:7");
  CHECK(message.filter.types == std::vector<std::string>{"a", "b"});
  CHECK(message.filter.stream == "account-1");
  CHECK(message.filter.stream_prefix == "account-");
  CHECK(message.credit == 1000);
}

TEST_CASE("subscription protocol: what may be left out of a subscribe is") {
  const auto message =
      parsed<SubscribeMessage>(R"({"op":"subscribe","id":"s","topic":"t","after":"5","credit":0})");
  CHECK(message.after == "5");
  CHECK(message.filter.types.empty());
  CHECK_FALSE(message.filter.stream);
  CHECK_FALSE(message.filter.stream_prefix);
}

TEST_CASE("subscription protocol: credit, unsubscribe and the group messages") {
  const auto credit = parsed<CreditMessage>(R"({"op":"credit","id":"s","n":18446744073709551615})");
  CHECK(credit.n == UINT64_MAX);
  CHECK(parsed<UnsubscribeMessage>(R"({"op":"unsubscribe","id":"s"})").id == "s");
  CHECK(parsed<GroupMessage>(R"({"op":"join","id":"s","topic":"t","group":"g","credit":1})").op ==
        "join");
  CHECK(parsed<GroupMessage>(R"({"op":"ack","id":"s","partition":0,"offset":5})").op == "ack");
}

TEST_CASE("subscription protocol: a malformed message is refused, under its id when it has one") {
  const auto refused = [](std::string_view text) {
    const auto message = parse_client_message(text);
    CAPTURE(text);
    REQUIRE_FALSE(message);
    CHECK(message.error().code == "bad-request");
    CHECK_FALSE(message.error().detail.empty());
    return message.error().id;
  };
  CHECK(refused("") == "");
  CHECK(refused("hello") == "");
  CHECK(refused("[]") == "");
  CHECK(refused("{}") == "");
  CHECK(refused(R"({"op":"subscribe"})") == "");
  CHECK(refused(R"({"op":"subscribe","id":""})") == "");
  CHECK(refused(R"({"op":"dance","id":"s"})") == "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","topic":"t","credit":1})") == "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","topic":"t","from":"start"})") == "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","from":"start","credit":1})") == "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","topic":"t","from":"0","after":"0","credit":1})") ==
        "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","topic":"t","from":"start","credit":-1})") == "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","topic":"t","from":"start","credit":1,"x":1})") ==
        "s");
  CHECK(refused(R"({"op":"subscribe","id":"s","topic":"t","from":"start","credit":1,"n":1})") ==
        "s");
  CHECK(refused(R"({"id":"s","op":"credit"})") == "s");
  CHECK(refused(R"({"id":"s","op":"credit","n":0})") == "s");
  CHECK(refused(R"({"id":"s","op":"credit","n":1,"topic":"t"})") == "s");
  CHECK(refused(R"({"id":"s","op":"unsubscribe","n":1})") == "s");
  CHECK(refused(R"({"id":"s","id":"s","op":"unsubscribe"})") == "s");
  CHECK(refused(R"({"op":"unsubscribe","id":")" + std::string(65, 'x') + R"("})") == "");
  CHECK(refused(R"({"op":"subscribe","id":"s","types":{"a":1}})") == "s");
}

TEST_CASE("subscription protocol: a message over the size limit is refused as too large") {
  const auto message =
      parse_client_message("{\"op\":\"" + std::string(kClientMessageBytesMax, 'x') + "\"}");
  REQUIRE_FALSE(message);
  CHECK(message.error().code == "too-large");
}

TEST_CASE("subscription protocol: where a subscription begins") {
  const Position start = position({3, 0});
  const Position end = position({20, 9});
  CHECK(first_wanted(from("start"), start, end) == start);
  CHECK(first_wanted(from("end"), start, end) == end);
  CHECK(first_wanted(from("0:10,1:7"), start, end) == position({10, 7}));
  CHECK(first_wanted(from("1:0"), start, end) == position({3, 0}));
  CHECK(first_wanted(after("0:10,1:7"), start, end) == position({11, 8}));
  // Who has seen nothing is not to miss in silence what is gone.
  CHECK(first_wanted(after("-"), start, end) == position({0, 0}));
  CHECK(first_wanted(after("1:7"), start, end) == position({0, 8}));
  CHECK(first_wanted(from("1042"), position({0}), position({5000})) == position({1042}));
  for (const auto* bad : {"", "-", "1042", "2:0", "begin"}) {
    CAPTURE(bad);
    CHECK_FALSE(first_wanted(from(bad), start, end));
  }
}

TEST_CASE("subscription protocol: messages down are JSON of the documented shape") {
  const auto json = [](auto&& append) {
    std::string out;
    append(out);
    CHECK(out.find('\n') == std::string::npos);
    return nlohmann::json::parse(out);
  };
  using nlohmann::json_literals::operator""_json;
  CHECK(json([](auto& out) { append_subscribed(out, "a\"b"); }) ==
        R"({"op":"subscribed","id":"a\"b"})"_json);
  CHECK(json([](auto& out) {
          append_caught_up(out, "s", position({8, 0}));
        }) == R"({"op":"caught_up","id":"s","position":"0:7"})"_json);
  CHECK(json([](auto& out) { append_closed(out, "s", "unsubscribed", position({8})); }) ==
        R"({"op":"closed","id":"s","reason":"unsubscribed","position":"7"})"_json);
  CHECK(json([](auto& out) {
          append_error(out, {"", "bad-request", "no"});
        }) == R"({"op":"error","code":"bad-request","detail":"no"})"_json);
  CHECK(json([](auto& out) {
          append_error(out, {"s", "not-found", "no"});
        }) == R"({"op":"error","id":"s","code":"not-found","detail":"no"})"_json);
  EventView event;
  event.stream = "account-1";
  event.version = Version(1);
  event.type = "opened";
  event.data = "{\n}";
  CHECK(json([&](auto& out) { append_event_message(out, "s", event); }) ==
        R"({"op":"event","id":"s","partition":0,"offset":0,"stream":"account-1","version":1,
            "type":"opened","time":"1970-01-01T00:00:00.000000Z","data":{}})"_json);
}
