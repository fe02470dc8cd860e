// Reading a partition: pages, long polls, NDJSON and server-sent events.
#include <doctest/doctest.h>

#include <chrono>

#include "tests/http/store_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using nlohmann::json;

namespace {

constexpr const char* kEvents = "/v1/topics/test/partitions/0/events";

/// Appends `count` events, in turn to the streams a-1 and b-1, of types "odd" and "even".
void fill(StoreServer& server, int count) {
  Partition& partition = server.store().topic().partition(PartitionId(0));
  for (int i = 0; i < count; ++i) {
    Commit commit = keelson::test::write_to(i % 2 == 0 ? "a-1" : "b-1",
                                            {"{\"i\":\n" + std::to_string(i) + "}"});
    commit.writes.front().events.front().type = i % 2 == 0 ? "even" : "odd";
    REQUIRE(keelson::test::commit(partition, std::move(commit)));
  }
}

std::string get(const std::string& query, std::string_view fields = "") {
  return "GET " + std::string(kEvents) + query + " HTTP/1.1\r\nHost: localhost\r\n" +
         std::string(fields) + "\r\n";
}

}  // namespace

TEST_CASE("events: pages follow each other, and closed ones are immutable") {
  StoreServer server;
  fill(server, 7);
  RawClient client(server.port());
  const RawResponse first = client.exchange(get("?limit=3"));
  CHECK(first.status == 200);
  json page = json_of(first);
  CHECK(page.at("events").size() == 3);
  CHECK(page.at("next") == 3);
  CHECK(page.at("end") == 7);
  CHECK(first.field("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK(first.field("Keelson-Position") == "2");
  const RawResponse last = client.exchange(get("?from=3"));
  page = json_of(last);
  CHECK(page.at("events").size() == 4);
  CHECK(page.at("next") == 7);
  CHECK(last.field("Cache-Control") == "no-cache");
  CHECK(json_of(client.exchange(get("?from=7"))).at("events").empty());
  // Exactly full at the end: nothing later can change it.
  CHECK(client.exchange(get("?from=3&limit=4")).field("Cache-Control") != "no-cache");
}

TEST_CASE("events: filters by type, stream and prefix, and what is malformed") {
  StoreServer server;
  fill(server, 10);
  RawClient client(server.port());
  const auto offsets = [&](const std::string& query) {
    std::vector<int> found;
    const json page = json_of(client.exchange(get(query)));
    for (const auto& event : page.at("events")) {
      found.push_back(event.at("offset"));
    }
    return found;
  };
  CHECK(offsets("?type=odd") == std::vector{1, 3, 5, 7, 9});
  CHECK(offsets("?type=odd&type=even").size() == 10);
  CHECK(offsets("?stream=a-1&from=5") == std::vector{6, 8});
  CHECK(offsets("?stream_prefix=b-&limit=2") == std::vector{1, 3});
  CHECK(offsets("?type=none").empty());
  for (const char* bad : {"?from=-1", "?from=x", "?from=1&from=2", "?limit=0", "?limit=1001",
                          "?wait_ms=60001", "?wait_ms=-1", "?stream=a&stream_prefix=b",
                          "?type=", "?other=1", "?from=18446744073709551616"}) {
    CAPTURE(bad);
    check_code(client.exchange(get(bad)), 400, "bad-request");
  }
  check_code(client.exchange(get("?from=11")), 400, "beyond-end");
  check_code(client.get("/v1/topics/test/partitions/1/events"), 404, "not-found");
  check_code(client.get("/v1/topics/test/partitions/x/events"), 400, "bad-request");
  check_code(client.get("/v1/topics/none/partitions/0/events"), 404, "not-found");
  check_code(client.exchange(get("", "Accept: text/html\r\n")), 406, "not-acceptable");
}

TEST_CASE("events: a long poll answers when its event is committed, not before") {
  StoreServer server;
  fill(server, 2);
  RawClient client(server.port());
  client.send(get("?from=2&wait_ms=20000&type=odd"));
  // An event that the filter drops does not end the wait; the one it passes does.
  fill(server, 1);
  fill(server, 2);
  const json page = json_of(client.receive());
  REQUIRE(page.at("events").size() == 1);
  CHECK(page.at("events")[0].at("offset") == 4);
  CHECK(page.at("next") == 5);
}

TEST_CASE("events: a long poll gives up after its time, with where to go on") {
  StoreServer server;
  fill(server, 2);
  RawClient client(server.port());
  const auto begun = std::chrono::steady_clock::now();
  const json page = json_of(client.exchange(get("?from=2&wait_ms=150")));
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(150));
  CHECK(page.at("events").empty());
  CHECK(page.at("next") == 2);
}

TEST_CASE("events: stopping the server ends a long poll and a live stream at once") {
  StoreServer server;
  fill(server, 1);
  RawClient poll(server.port());
  poll.send(get("?from=1&wait_ms=60000"));
  RawClient live(server.port());
  live.send(get("?from=1", "Accept: text/event-stream\r\n"));
  CHECK(live.receive(RawClient::Body::none).status == 200);
  RawClient probe(server.port());
  CHECK(probe.exchange(get("?from=1")).status == 200);
  CHECK(server.server().stop());
  // Cut would mean nothing received; ended means a whole answer.
  CHECK(json_of(poll.receive()).at("next") == 1);
  CHECK(live.receive_chunk() == "");
}

TEST_CASE("events: NDJSON has a line an event, up to the end at the request") {
  StoreServer server;
  fill(server, 2000);
  RawClient client(server.port());
  const RawResponse all = client.exchange(get("", "Accept: application/x-ndjson\r\n"));
  CHECK(all.field("Content-Type") == "application/x-ndjson");
  int count = 0;
  std::size_t at = 0;
  while (at < all.body.size()) {
    const std::size_t end = all.body.find('\n', at);
    const json event = json::parse(all.body.substr(at, end - at));
    CHECK(event.at("offset") == count);
    CHECK(event.at("data").at("i") == count);
    ++count;
    at = end + 1;
  }
  CHECK(count == 2000);
  const RawResponse some =
      client.exchange(get("?from=10&limit=5&type=odd", "Accept: application/x-ndjson\r\n"));
  CHECK(std::ranges::count(some.body, '\n') == 5);
  CHECK(client.exchange(get("?from=2000", "Accept: application/x-ndjson\r\n")).body.empty());
}

TEST_CASE("events: server-sent events go from history to live, and resume after the last seen") {
  StoreServer server;
  fill(server, 3);
  const auto offset_of = [](const std::string& chunk) {
    REQUIRE(chunk.starts_with("id: "));
    const std::size_t data = chunk.find("\ndata: ");
    REQUIRE(data != std::string::npos);
    const json event = json::parse(chunk.substr(data + 7));
    CHECK(chunk.substr(4, data - 4) == std::to_string(event.at("offset").get<int>()));
    CHECK(chunk.ends_with("\n\n"));
    return event.at("offset").get<int>();
  };
  {
    RawClient client(server.port());
    client.send(get("?from=2", "Accept: text/event-stream\r\n"));
    const RawResponse head = client.receive(RawClient::Body::none);
    CHECK(head.field("Content-Type") == "text/event-stream");
    CHECK(head.field("Cache-Control") == "no-store");
    CHECK(offset_of(client.receive_chunk().value_or("")) == 2);
    fill(server, 1);
    CHECK(offset_of(client.receive_chunk().value_or("")) == 3);
  }
  RawClient resumed(server.port());
  resumed.send(get("?from=0", "Accept: text/event-stream\r\nLast-Event-ID: 2\r\n"));
  CHECK(resumed.receive(RawClient::Body::none).status == 200);
  CHECK(offset_of(resumed.receive_chunk().value_or("")) == 3);
  fill(server, 1);
  CHECK(offset_of(resumed.receive_chunk().value_or("")) == 4);
  RawClient bad(server.port());
  check_code(bad.exchange(get("", "Accept: text/event-stream\r\nLast-Event-ID: x\r\n")), 400,
             "bad-request");
  check_code(bad.exchange(get("?wait_ms=1", "Accept: text/event-stream\r\n")), 400, "bad-request");
}
