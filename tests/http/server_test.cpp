// One connection and its requests: order, framing, methods, streams.
#include <doctest/doctest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "tests/http/test_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;

namespace {

/// Holds responders by the name of their request until the test lets them go.
class Held {
 public:
  void operator()(Request request, Responder responder) {
    const std::lock_guard lock(mutex_);
    held_.emplace(request.path_parameter("name"), std::move(responder));
    arrived_.notify_all();
  }
  void wait_for(const std::string& name) {
    std::unique_lock lock(mutex_);
    REQUIRE(
        arrived_.wait_for(lock, std::chrono::seconds(20), [&] { return held_.contains(name); }));
  }
  void answer(const std::string& name) { take(name).send(Response::text(200, name)); }
  void drop(const std::string& name) { take(name); }
  [[nodiscard]] bool has(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return held_.contains(name);
  }

 private:
  Responder take(const std::string& name) {
    wait_for(name);
    const std::lock_guard lock(mutex_);
    return std::move(held_.extract(name).mapped());
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::string, Responder> held_;
};

std::function<void(Router&)> held_routes(Held& held) {
  return [&held](Router& router) {
    router.add(Method::get, "/held/{name}", open_route(),
               [&held](Request request, Responder r) { held(std::move(request), std::move(r)); });
  };
}

std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

/// A body of `count` pieces, answered from a thread of its own.
class Pieces final : public BodySource {
 public:
  explicit Pieces(int count) : left_(count) {}
  void next(Done done) override {
    --left_;
    thread_ = std::jthread([left = left_, done = std::move(done)]() mutable {
      done(Chunk{"piece " + std::to_string(left) + "\n", left == 0});
    });
  }

 private:
  int left_;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("server: pipelined requests run at once and are answered in order") {
  Held held;
  TestServer server(held_routes(held));
  RawClient client(server.port());
  client.send(get("/held/a") + get("/held/b") + get("/held/c"));
  held.wait_for("a");
  held.wait_for("b");
  held.wait_for("c");
  held.answer("c");
  held.answer("b");
  held.answer("a");
  CHECK(client.receive().body == "a");
  CHECK(client.receive().body == "b");
  CHECK(client.receive().body == "c");
}

TEST_CASE(
    "server: answers that a client takes late arrive whole and in order, short and long ones") {
  const auto body_of = [](int number) {
    const std::size_t size = number % 7 == 0 ? 40'000 : 4'000;
    return std::to_string(number) + std::string(size, static_cast<char>('a' + number % 26));
  };
  TestServer server([&](Router& router) {
    router.add(Method::get, "/body/{number}", open_route(),
               [&](const Request& request, Responder responder) {
                 const int number = std::stoi(request.path_parameter("number"));
                 responder.send(Response::text(200, body_of(number)));
               });
  });
  constexpr int kRequests = 3000;  // their answers are more than what sockets hold
  RawClient client(server.port());
  const std::jthread sending([&] {
    for (int i = 0; i < kRequests; ++i) client.send(get("/body/" + std::to_string(i)));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  int right = 0;
  for (int i = 0; i < kRequests; ++i) right += client.receive().body == body_of(i) ? 1 : 0;
  CHECK(right == kRequests);
}

TEST_CASE("server: no more requests are taken from a connection than its pipeline holds") {
  Held held;
  ServerOptions options;
  options.pipeline_max = 2;
  TestServer server(held_routes(held), options);
  RawClient client(server.port());
  client.send(get("/held/a") + get("/held/b") + get("/held/c"));
  held.wait_for("a");
  held.wait_for("b");
  // The third is looked at only when an answer has gone out: `c` cannot be there before `a` is.
  CHECK_FALSE(held.has("c"));
  held.answer("a");
  CHECK(client.receive().body == "a");
  held.wait_for("c");
  held.answer("c");
  held.answer("b");
  CHECK(client.receive().body == "b");
  CHECK(client.receive().body == "c");
}

TEST_CASE("server: of the requests that block, a connection has only a few in work") {
  Held held;
  ServerOptions options;
  options.pipeline_blocking_max = 2;
  TestServer server(
      [&](Router& router) {
        RouteOptions blocking = open_route();
        blocking.blocking = true;
        router.add(Method::get, "/held/{name}", blocking,
                   [&](Request request, Responder r) { held(std::move(request), std::move(r)); });
      },
      options);
  RawClient client(server.port());
  client.send(get("/held/a") + get("/held/b") + get("/held/c"));
  held.wait_for("a");
  held.wait_for("b");
  CHECK_FALSE(held.has("c"));
  held.answer("a");
  CHECK(client.receive().body == "a");
  held.wait_for("c");
  held.answer("b");
  held.answer("c");
  CHECK(client.receive().body == "b");
  CHECK(client.receive().body == "c");
}

TEST_CASE("server: a handler that drops its request answers 500") {
  Held held;
  TestServer server(held_routes(held));
  RawClient client(server.port());
  client.send(get("/held/a"));
  held.drop("a");
  const RawResponse response = client.receive();
  CHECK(response.status == 500);
  CHECK(response.field("Content-Type") == "application/problem+json");
}

TEST_CASE("server: a handler that throws answers 500 and the connection goes on") {
  TestServer server([](Router& router) {
    router.add(Method::get, "/throws", open_route(),
               [](Request, Responder) { throw std::runtime_error("a defect"); });
    RouteOptions blocking = open_route();
    blocking.blocking = true;
    router.add(Method::get, "/throws-too", blocking,
               [](Request, Responder) { throw std::runtime_error("a defect"); });
  });
  RawClient client(server.port());
  CHECK(client.get("/throws").status == 500);
  CHECK(client.get("/throws-too").status == 500);
  CHECK(client.get("/none").status == 404);
}

TEST_CASE("server: an answer that comes after the client has gone harms nothing") {
  Held held;
  TestServer server(held_routes(held));
  {
    RawClient client(server.port());
    client.send(get("/held/a"));
    held.wait_for("a");
  }
  RawClient other(server.port());
  CHECK(other.get("/none").status == 404);
  held.answer("a");
  CHECK(other.get("/none").status == 404);
}

TEST_CASE("server: what a client half-closes after is still answered, and waiting is interrupted") {
  using Callback = std::stop_callback<std::function<void()>>;
  std::optional<Callback> callback;
  TestServer server([&](Router& router) {
    router.add(Method::get, "/wait", open_route(), [&](Request request, Responder responder) {
      auto answer = std::make_shared<Responder>(std::move(responder));
      callback.emplace(request.interrupted,
                       [answer] { answer->send(Response::text(200, "interrupted")); });
    });
  });
  RawClient client(server.port());
  client.send(get("/wait"));
  client.finish_sending();
  CHECK(client.receive().body == "interrupted");
  CHECK(client.closed());
}

TEST_CASE("server: a body by length, in chunks and in pieces arrives whole") {
  TestServer server([](Router& router) { router.add(Method::post, "/echo", open_route(), echo); });
  RawClient client(server.port());
  CHECK(client.exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
            .body == "hello");
  CHECK(client
            .exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3;name=value\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n")
            .body == "abc0123456789abcdef");
  const std::string slow =
      "\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\nhello world";
  for (const char byte : slow) client.send(std::string_view(&byte, 1));
  CHECK(client.receive().body == "hello world");
  const std::string large(3u << 20, 'x');
  CHECK(client
            .exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                      std::to_string(large.size()) + "\r\n\r\n" + large)
            .body == large);
}

TEST_CASE("server: a client that waits for 100 Continue gets it, after earlier answers") {
  Held held;
  TestServer server([&](Router& router) {
    held_routes(held)(router);
    router.add(Method::post, "/echo", open_route(), echo);
  });
  RawClient client(server.port());
  client.send(get("/held/a") +
              "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: "
              "100-continue\r\n\r\n");
  held.answer("a");
  CHECK(client.receive().body == "a");
  CHECK(client.receive(RawClient::Body::none).status == 100);
  client.send("hi");
  CHECK(client.receive().body == "hi");
}

TEST_CASE("server: a refused request with 100-continue is answered without its body") {
  TestServer server([](Router&) {});
  RawClient client(server.port());
  const RawResponse response = client.exchange(
      "POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: "
      "100-continue\r\n\r\n");
  CHECK(response.status == 404);
  CHECK(response.field("Connection") == "close");
  CHECK(client.closed());
}

TEST_CASE("server: an unknown route keeps the connection when its body is small") {
  TestServer server([](Router&) {});
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    const RawResponse response =
        client.exchange("POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    CHECK(response.status == 404);
    CHECK(response.field("Connection").empty());
  }
}

TEST_CASE("server: HEAD has GET's header and no body, OPTIONS has the methods") {
  TestServer server([](Router& router) {
    router.add(Method::get, "/text", open_route(),
               [](Request, Responder responder) { responder.send(Response::text(200, "12345")); });
    router.add(Method::get, "/stream", open_route(), [](Request, Responder responder) {
      responder.send(Response::streamed("text/plain", std::make_unique<Pieces>(3)));
    });
  });
  RawClient client(server.port());
  client.send("HEAD /text HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const RawResponse head = client.receive(RawClient::Body::none);
  CHECK(head.status == 200);
  CHECK(head.field("Content-Length") == "5");
  client.send("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive(RawClient::Body::none).field("Content-Type") == "text/plain");
  CHECK(client.get("/text").body == "12345");
  client.send(
      "OPTIONS /text HTTP/1.1\r\nHost: localhost\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: "
      "localhost\r\n\r\n");
  const RawResponse options = client.receive(RawClient::Body::none);
  CHECK(options.status == 204);
  CHECK(options.field("Allow") == "GET, HEAD, OPTIONS");
  CHECK(client.receive(RawClient::Body::none).status == 204);
  CHECK(client.exchange("DELETE /text HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 405);
}

TEST_CASE("server: a streamed body arrives in chunks and the connection goes on") {
  TestServer server([](Router& router) {
    router.add(Method::get, "/stream", open_route(), [](Request, Responder responder) {
      responder.send(Response::streamed("text/plain", std::make_unique<Pieces>(3)));
    });
  });
  RawClient client(server.port());
  client.send(get("/stream") + get("/stream"));
  CHECK(client.receive().body == "piece 2\npiece 1\npiece 0\n");
  CHECK(client.receive().body == "piece 2\npiece 1\npiece 0\n");
}

TEST_CASE("server: HTTP/1.0 gets its answer, streams as well, and the end of the connection") {
  TestServer server([](Router& router) {
    router.add(Method::get, "/stream", open_route(), [](Request, Responder responder) {
      responder.send(Response::streamed("text/plain", std::make_unique<Pieces>(2)));
    });
  });
  RawClient client(server.port());
  client.send("GET /stream HTTP/1.0\r\n\r\n");
  const std::string all = client.receive_all();
  CHECK(all.find("chunked") == std::string::npos);
  CHECK(all.ends_with("\r\n\r\npiece 1\npiece 0\n"));
}

TEST_CASE("server: a stream that fails is cut, so that it does not look complete") {
  class Failing final : public BodySource {
   public:
    void next(Done done) override {
      if (first_) {
        done(Chunk{"a part", false});
      } else if (drop_) {
        return;  // drops `done`
      } else {
        done(fail(Errc::io_error, "the disk"));
      }
      first_ = false;
    }
    explicit Failing(bool drop) : drop_(drop) {}

   private:
    bool first_ = true;
    bool drop_;
  };
  TestServer server([](Router& router) {
    router.add(Method::get, "/{kind}", open_route(), [](Request request, Responder responder) {
      responder.send(Response::streamed(
          "text/plain", std::make_unique<Failing>(request.path_parameter("kind") == "drops")));
    });
  });
  for (const char* kind : {"/drops", "/fails"}) {
    RawClient client(server.port());
    client.send(get(kind));
    CHECK(client.receive(RawClient::Body::none).status == 200);
    CHECK(client.receive_chunk() == "a part");
    CHECK(client.receive_chunk() == std::nullopt);
  }
}

TEST_CASE("server: a stream is asked for no more than the client takes, and ends with the client") {
  struct Counts {
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<bool> destroyed{false};
  };
  class Endless final : public BodySource {
   public:
    explicit Endless(Counts& counts) : counts_(counts) {}
    ~Endless() override { counts_.destroyed = true; }
    void next(Done done) override {
      counts_.bytes += 64u << 10;
      done(Chunk{std::string(64u << 10, 'x'), false});
    }

   private:
    Counts& counts_;
  };
  Counts counts;
  ServerOptions options;
  options.write_timeout = std::chrono::milliseconds(300);
  TestServer server(
      [&](Router& router) {
        router.add(Method::get, "/endless", open_route(), [&](Request, Responder responder) {
          responder.send(Response::streamed("text/plain", std::make_unique<Endless>(counts)));
        });
      },
      options);
  RawClient client(server.port());
  client.shrink_window();
  client.send(get("/endless"));
  // A client that takes nothing is cut at the write limit, with what the socket buffers hold sent.
  for (int i = 0; i < 2000 && !counts.destroyed; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(counts.destroyed);
  CHECK(counts.bytes < (32u << 20));
}

TEST_CASE("server: requests are counted by route and status") {
  TestServer server(
      [](Router& router) { router.add(Method::get, "/things/{id}", open_route(), echo); });
  RawClient client(server.port());
  client.get("/things/1");
  client.get("/things/2");
  client.get("/none");
  client.get("/none");  // the answer before is counted once this one is there
  const std::string text = server.metrics().text();
  CHECK(text.find("keelson_http_requests_total{method=\"GET\",route=\"/things/{id}\","
                  "status=\"200\"} 2") != std::string::npos);
  CHECK(text.find("keelson_http_request_seconds_count{method=\"GET\",route=\"/things/{id}\"} 2") !=
        std::string::npos);
  CHECK(text.find("keelson_http_connections 1") != std::string::npos);
}
