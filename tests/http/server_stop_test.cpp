// Stopping: what is in flight is answered, what only waits is woken, nothing lasts for ever.
#include <doctest/doctest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/http/test_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using namespace std::chrono_literals;

namespace {

/// A route whose answer the test gives, or the stop.
struct Waiting {
  std::promise<void> arrived;
  std::optional<Responder> responder;
  std::stop_token interrupted;

  void add(Router& router) {
    router.add(Method::get, "/wait", open_route(), [this](Request request, Responder r) {
      interrupted = request.interrupted;
      responder.emplace(std::move(r));
      arrived.set_value();
    });
  }
};

constexpr const char* kWait = "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n";

}  // namespace

TEST_CASE("stop: an idle server stops at once and closes its connections") {
  TestServer server([](Router&) {});
  RawClient idle(server.port());
  CHECK(idle.get("/none").status == 404);
  CHECK(server.server().stop());
  CHECK(idle.closed());
  CHECK_THROWS(RawClient(server.port()));
}

TEST_CASE("stop: a request in flight is answered, then its connection closes") {
  Waiting waiting;
  TestServer server([&](Router& router) { waiting.add(router); });
  RawClient client(server.port());
  client.send(kWait);
  waiting.arrived.get_future().wait();
  std::promise<void> woken;
  const std::stop_callback on_stop(waiting.interrupted, [&] { woken.set_value(); });
  auto stopped = std::async(std::launch::async, [&] { return server.server().stop(); });
  woken.get_future().wait();
  waiting.responder->send(Response::text(200, "in flight"));
  const RawResponse response = client.receive();
  CHECK(response.body == "in flight");
  CHECK(response.field("Connection") == "close");
  CHECK(client.closed());
  CHECK(stopped.get());
}

TEST_CASE("stop: a request half received is still read and answered") {
  TestServer server([](Router& router) {
    router.add(Method::post, "/echo", open_route(), echo);
    router.add(Method::get, "/probe", open_route(), echo);
  });
  RawClient client(server.port());
  CHECK(client.get("/probe").status == 200);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: "
      "100-continue\r\n\r\n");
  CHECK(client.receive(RawClient::Body::none).status == 100);
  auto stopped = std::async(std::launch::async, [&] { return server.server().stop(); });
  client.send("hello");
  CHECK(client.receive().body == "hello");
  CHECK(client.closed());
  CHECK(stopped.get());
}

TEST_CASE("stop: what does not end in time is cut") {
  Waiting waiting;
  ServerOptions options;
  options.stop_timeout = 100ms;
  auto server = std::make_unique<TestServer>([&](Router& router) { waiting.add(router); }, options);
  RawClient client(server->port());
  client.send(kWait);
  waiting.arrived.get_future().wait();
  CHECK_FALSE(server->server().stop());
  server.reset();
  CHECK(client.closed());
  // The handler is still there: its late answer goes nowhere.
  waiting.responder->send(Response::text(200, "late"));
}
