#include "http/websocket_session.h"

#include <boost/beast/websocket/error.hpp>
#include <fstream>
#include <thread>

#include "tests/http/test_service.h"
#include "tests/http/websocket_client.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
namespace websocket = boost::beast::websocket;

namespace {

json subscribe(const std::string& from, std::uint64_t credit) {
  return {{"op", "subscribe"}, {"id", "s"}, {"topic", "test"}, {"from", from}, {"credit", credit}};
}

void append(TestService& service, const std::string& stream, int count,
            const std::string& data = "{}") {
  StreamWrite write{stream, ExpectedVersion::any(), {}};
  for (int i = 0; i < count; ++i) write.events.push_back({"t", data, ""});
  Commit commit;
  commit.writes.push_back(std::move(write));
  REQUIRE(keelson::test::commit(service.store.topic().home_of(stream), std::move(commit)));
}

/// Reads until `count` events have come, which must be dense from `first`.
void expect_events(WebsocketClient& client, std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t next = first; next < first + count;) {
    const auto message = client.receive_text();
    REQUIRE(message);
    if (!message->starts_with(R"({"op":"event")")) continue;
    if (message->find("\"offset\":" + std::to_string(next) + ',') == std::string::npos) {
      FAIL("expected offset " << next << ", got " << message->substr(0, 200));
    }
    ++next;
  }
}

/// Reads the rest of the connection until the server's close.
std::vector<json> read_to_end(WebsocketClient& client) {
  std::vector<json> rest;
  while (auto message = client.receive()) rest.push_back(*std::move(message));
  return rest;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHasOtherMemory = true;  // what was freed, what is known of the rest
#else
constexpr bool kHasOtherMemory = false;
#endif

/// Memory of this process that is no file's.
std::uint64_t heap_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
  }
  return 0;
}

/// A request to upgrade, by hand.
std::string upgrade_request(std::string_view fields) {
  return "GET /v1/subscriptions HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
         "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         std::string(fields) + "\r\n";
}

}  // namespace

TEST_CASE("websocket: history, caught_up, live") {
  TestService service;
  append(service, "wallet-1", 3);
  WebsocketClient client(service.port());
  CHECK(client.response["Sec-WebSocket-Protocol"] == "keelson.v1.json");
  CHECK(client.response["Server"] == "keelson");
  client.send(subscribe("start", 1000));
  CHECK(client.receive() == json({{"op", "subscribed"}, {"id", "s"}}));
  const auto event = client.receive();
  REQUIRE(event);
  CHECK((*event)["op"] == "event");
  CHECK((*event)["id"] == "s");
  CHECK((*event)["offset"] == 0);
  CHECK((*event)["stream"] == "wallet-1");
  CHECK((*event)["data"] == json::object());
  expect_events(client, 1, 2);
  CHECK(client.receive() == json({{"op", "caught_up"}, {"id", "s"}, {"position", "2"}}));
  append(service, "wallet-1", 2);
  expect_events(client, 3, 2);
}

TEST_CASE("websocket: frames of every length are framed right") {
  TestService service;
  append(service, "wallet-1", 1, "\"" + std::string(200, 'x') + "\"");
  append(service, "wallet-1", 1, "\"" + std::string(60'000, 'y') + "\"");
  append(service, "wallet-1", 1, "\"" + std::string(200'000, 'z') + "\"");
  WebsocketClient client(service.port());
  client.send(subscribe("start", 10));
  client.receive();
  for (const std::size_t size : {200u, 60'000u, 200'000u}) {
    const auto event = client.receive();
    REQUIRE(event);
    CHECK((*event)["data"].get<std::string>().size() == size);
  }
}

TEST_CASE("websocket: no more than the credit is sent") {
  TestService service;
  append(service, "wallet-1", 10);
  WebsocketClient client(service.port());
  client.send(subscribe("start", 4));
  client.receive();
  expect_events(client, 0, 4);
  // Were there a fifth event under way, it would come before this answer.
  client.send({{"op", "credit"}, {"id", "nobody"}, {"n", 1}});
  CHECK((*client.receive())["code"] == "not-found");
  client.send({{"op", "credit"}, {"id", "s"}, {"n", 6}});
  expect_events(client, 4, 6);
}

TEST_CASE("websocket: a message that arrives while history is read is answered in its turn") {
  TestService service;
  append(service, "wallet-1", 1000, "\"" + std::string(500, 'x') + "\"");
  for (int round = 0; round < 20; ++round) {
    WebsocketClient client(service.port(), 4096);
    client.send(subscribe("start", 10));
    for (int i = 0; i < 99; ++i) client.send({{"op", "credit"}, {"id", "s"}, {"n", 10}});
    expect_events(client, 0, 1000);
  }
}

TEST_CASE("websocket: every event once and in order, written meanwhile, resumed several times") {
  TestService service;
  constexpr std::uint64_t kEvents = 20'000;
  std::jthread writer([&] {
    for (std::uint64_t i = 0; i < kEvents; i += 100) append(service, "wallet-1", 100);
  });
  std::uint64_t next = 0;
  for (const std::uint64_t stop : {kEvents / 7, kEvents / 3, kEvents / 2, kEvents}) {
    while (service.store.topic().end().next(PartitionId(0)) < Offset(next)) {
      std::this_thread::yield();
    }
    WebsocketClient client(service.port());
    client.send(subscribe(std::to_string(next), UINT64_MAX));
    expect_events(client, next, stop - next);
    next = stop;
  }
}

TEST_CASE("websocket: a client that does not read is not buffered for, and goes on later") {
  TestService service;
  const std::string data = "\"" + std::string(10'000, 'x') + "\"";
  for (int i = 0; i < 20; ++i) append(service, "wallet-1", 100, data);
  // One has read it all before, so that what the process needs for that is taken.
  WebsocketClient other(service.port());
  other.send(subscribe("start", UINT64_MAX));
  expect_events(other, 0, 2'000);

  const std::uint64_t before = heap_bytes();
  WebsocketClient slow(service.port(), 64 << 10);
  slow.send(subscribe("start", UINT64_MAX));
  REQUIRE(slow.receive());
  append(service, "wallet-1", 1, data);
  expect_events(other, 2'000, 1);
  WebsocketClient third(service.port());
  third.send(subscribe("start", UINT64_MAX));
  expect_events(third, 0, 2'001);
  // 20 MB of events are waiting for the slow one, by far more than it may cost.
  if (!kHasOtherMemory) CHECK(heap_bytes() < before + (8u << 20));
  expect_events(slow, 0, 200);
}

TEST_CASE("websocket: mistakes are answered, and the connection goes on") {
  TestService service;
  append(service, "wallet-1", 1);
  WebsocketClient client(service.port());
  client.send_text("hello");
  CHECK((*client.receive())["code"] == "bad-request");
  client.send({{"op", "join"}, {"id", "g"}, {"topic", "test"}, {"group", "g"}, {"credit", 1}});
  CHECK((*client.receive())["code"] == "not-supported");
  client.send(subscribe("start", 1));
  CHECK((*client.receive())["op"] == "subscribed");
  expect_events(client, 0, 1);
}

TEST_CASE("websocket: a binary message and one too large close the connection with the reason") {
  TestService service;
  WebsocketClient binary(service.port());
  binary.socket().binary(true);
  binary.socket().write(boost::asio::buffer(std::string("{}")));
  CHECK(read_to_end(binary).empty());
  CHECK(binary.reason().code == websocket::close_code::unknown_data);

  WebsocketClient large(service.port());
  large.send_text(std::string(70'000, ' '));
  CHECK(read_to_end(large).empty());
  CHECK(large.reason().code == websocket::close_code::too_big);

  WebsocketClient garbled(service.port());
  garbled.send_text("\"\xff\"");
  CHECK(read_to_end(garbled).empty());
  CHECK(garbled.reason().code == websocket::close_code::bad_payload);
}

TEST_CASE("websocket: pings are answered, a close is answered") {
  TestService service;
  WebsocketClient client(service.port());
  std::string pong;
  client.socket().control_callback(
      [&](websocket::frame_type kind, boost::beast::string_view payload) {
        if (kind == websocket::frame_type::pong) pong = std::string(payload);
      });
  client.socket().ping("are you there");
  client.send_text("{}");
  REQUIRE(client.receive());
  CHECK(pong == "are you there");
  boost::system::error_code error;
  client.socket().close(websocket::close_code::normal, error);
  CHECK_FALSE(error);
}

TEST_CASE("websocket: a stopping server tells where to resume and closes") {
  TestService service;
  append(service, "wallet-1", 5);
  WebsocketClient client(service.port());
  client.send(subscribe("start", 1000));
  client.receive();
  expect_events(client, 0, 5);
  REQUIRE((*client.receive())["op"] == "caught_up");
  std::jthread stopper([&] { CHECK(service.server->stop()); });
  const auto rest = read_to_end(client);
  REQUIRE(rest.size() == 1);
  CHECK(rest[0] ==
        json({{"op", "closed"}, {"id", "s"}, {"reason", "server-stopping"}, {"position", "4"}}));
  CHECK(client.reason().code == websocket::close_code::going_away);
}

TEST_CASE("websocket: a server stops in time although a client does not read") {
  TestService service;
  const std::string data = "\"" + std::string(1000, 'x') + "\"";
  for (int i = 0; i < 10; ++i) append(service, "wallet-1", 1000, data);
  WebsocketClient slow(service.port(), 4096);
  slow.send(subscribe("start", UINT64_MAX));
  REQUIRE(slow.receive());
  const auto begun = std::chrono::steady_clock::now();
  service.server->stop();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(15));
}

TEST_CASE("websocket: connections that vanish leave nothing behind") {
  TestService service;
  append(service, "wallet-1", 1000);
  for (int i = 0; i < 20; ++i) {
    WebsocketClient client(service.port());
    client.send(subscribe("start", 500));
    if (i % 2 == 0) expect_events(client, 0, 10);
    client.socket().next_layer().close();
  }
  while (service.server->connections() != 0) std::this_thread::yield();
}

TEST_CASE("websocket handshake: without a subprotocol it is taken for the one there is") {
  TestService service;
  WebsocketClient client(service.port(), 0, std::nullopt);
  CHECK(client.response["Sec-WebSocket-Protocol"].empty());
  client.send_text("{}");
  CHECK((*client.receive())["op"] == "error");
  WebsocketClient choosing(service.port(), 0, "other, keelson.v1.json");
  CHECK(choosing.response["Sec-WebSocket-Protocol"] == "keelson.v1.json");
}

TEST_CASE("websocket handshake: another subprotocol, another site, no upgrade are refused") {
  TestService service;
  const auto refused = [&](std::string_view fields, unsigned status, std::string_view code) {
    RawClient client(service.port());
    problem(client.exchange(upgrade_request(fields)), status, code);
    CHECK(client.closed());
  };
  refused("Sec-WebSocket-Protocol: mqtt\r\n", 400, "bad-request");
  refused("Origin: http://evil.example\r\n", 403, "forbidden");
  problem(service.get("/v1/subscriptions"), 426, "upgrade-required");
  CHECK(
      RawClient(service.port()).exchange(upgrade_request("Origin: http://localhost\r\n")).status ==
      101);
}
