// What a server refuses, and how: sizes, times, numbers, malformed bytes, callers.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/http/test_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using namespace std::chrono_literals;

namespace {

void echo_route(Router& router) { router.add(Method::post, "/echo", open_route(), echo); }

void check_problem(const RawResponse& response, unsigned status, std::string_view code) {
  CHECK(response.status == status);
  CHECK(response.field("Content-Type") == "application/problem+json");
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  REQUIRE(body.is_object());
  CHECK(body.at("code") == code);
  CHECK(body.at("status") == status);
  CHECK_FALSE(body.at("detail").get<std::string>().empty());
}

std::string post(std::string_view fields, std::string_view body) {
  return "POST /echo HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace

TEST_CASE("limits: malformed requests are refused and the connection is closed") {
  struct Row {
    const char* bytes;
    unsigned status;
    const char* code;
  };
  const Row rows[] = {
      {"GARBAGE\r\n\r\n", 400, "bad-request"},
      {"GET /\r\n\r\n", 400, "bad-request"},
      {"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad-request"},
      {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "http-version-not-supported"},
      {"GET / HTTP/1.1\r\n\r\n", 400, "bad-request"},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "bad-request"},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n", 400, "bad-request"},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nBad name: x\r\n\r\n", 400, "bad-request"},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\001b\r\n\r\n", 400, "bad-request"},
      {"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "not-implemented"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n",
       400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
       400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: "
       "chunked\r\n\r\n",
       400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: "
       "1\r\n\r\n",
       400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501,
       "not-implemented"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501,
       "not-implemented"},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400,
       "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
       "ffffffffffffffffff\r\n",
       400, "bad-request"},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n", 417, "expectation-failed"},
  };
  TestServer server(echo_route);
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    RawClient client(server.port());
    check_problem(client.exchange(row.bytes), row.status, row.code);
    CHECK(client.closed());
  }
}

TEST_CASE("limits: what came before a malformed request is answered first") {
  TestServer server(echo_route);
  RawClient client(server.port());
  client.send(post("", "one") + "GARBAGE\r\n\r\n" + post("", "two"));
  CHECK(client.receive().body == "one");
  CHECK(client.receive().status == 400);
  CHECK(client.closed());
}

TEST_CASE("limits: bad escapes in the target are 400 and the connection goes on") {
  TestServer server(echo_route);
  RawClient client(server.port());
  for (const char* target : {"/%", "/%00", "/%ff", "/echo?a=%zz", "/%c0%80"}) {
    CAPTURE(target);
    check_problem(client.get(target), 400, "bad-request");
  }
  CHECK(client.exchange(post("", "still here")).body == "still here");
}

TEST_CASE("limits: a header over the limit is 431") {
  ServerOptions options;
  options.header_bytes_max = 1024;
  TestServer server(echo_route, options);
  RawClient fits(server.port());
  CHECK(fits.exchange(post("X: " + std::string(800, 'x') + "\r\n", "a")).status == 200);
  RawClient many(server.port());
  check_problem(many.exchange(post("X: " + std::string(1100, 'x') + "\r\n", "a")), 431,
                "header-too-large");
  CHECK(many.closed());
  RawClient line(server.port());
  check_problem(line.exchange("GET /" + std::string(200'000, 'x')), 431, "header-too-large");
}

TEST_CASE("limits: a body over the limit is 413, by its length before it is sent") {
  ServerOptions options;
  options.body_bytes_max = 10;
  TestServer server(
      [](Router& router) {
        echo_route(router);
        RouteOptions large = open_route();
        large.body_bytes_max = 100;
        router.add(Method::post, "/large", large, echo);
      },
      options);
  RawClient client(server.port());
  CHECK(client.exchange(post("", "0123456789")).body == "0123456789");
  check_problem(client.exchange(post("", "0123456789a")), 413, "too-large");
  RawClient huge(server.port());
  check_problem(
      huge.exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\n\r\n"),
      413, "too-large");
  CHECK(huge.closed());
  RawClient chunked(server.port());
  check_problem(
      chunked.exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                       "\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"),
      413, "too-large");
  CHECK(chunked.closed());
  RawClient large(server.port());
  CHECK(large
            .exchange("POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n" +
                      std::string(50, 'x'))
            .status == 200);
}

TEST_CASE("limits: a client that goes on sending what was refused still gets the answer") {
  ServerOptions options;
  options.body_bytes_max = 1000;
  TestServer server(echo_route, options);
  RawClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n");
  check_problem(client.receive(), 413, "too-large");
  // A closed socket would answer these with a reset, which on many systems takes back the 413.
  for (int i = 0; i < 60; ++i) CHECK(client.send(std::string(10'000, 'x')));
  client.finish_sending();
  CHECK(client.closed());
}

TEST_CASE("limits: bodies of all requests together over the limit are 503") {
  ServerOptions options;
  options.bodies_bytes_max = 1000;
  TestServer server(echo_route, options);
  RawClient client(server.port());
  CHECK(client.exchange(post("", std::string(900, 'x'))).status == 200);
  CHECK(client.exchange(post("", std::string(900, 'x'))).status == 200);
  const RawResponse response = client.exchange(post("", std::string(1100, 'x')));
  check_problem(response, 503, "overloaded");
  CHECK(response.field("Retry-After") == "1");
}

TEST_CASE("limits: a route's media types are enforced") {
  TestServer server([](Router& router) {
    RouteOptions json = open_route();
    json.consumes = {"application/json", "application/x-ndjson"};
    router.add(Method::post, "/echo", json, echo);
  });
  RawClient client(server.port());
  CHECK(client.exchange(post("Content-Type: Application/JSON; charset=utf-8\r\n", "{}")).status ==
        200);
  CHECK(client.exchange(post("", "{}")).status == 200);
  check_problem(client.exchange(post("Content-Type: text/plain\r\n", "{}")), 415,
                "unsupported-media-type");
  check_problem(client.exchange(post("Content-Encoding: gzip\r\n", "{}")), 415,
                "unsupported-media-type");
}

TEST_CASE("limits: a header that does not end in time is 408") {
  ServerOptions options;
  options.header_timeout = 100ms;
  TestServer server(echo_route, options);
  RawClient client(server.port());
  check_problem(client.exchange("POST /echo HTTP/1.1\r\nHo"), 408, "request-timeout");
  CHECK(client.closed());
}

TEST_CASE("limits: a body that does not end in time is 408, after earlier answers") {
  ServerOptions options;
  options.body_timeout = 100ms;
  TestServer server(echo_route, options);
  RawClient client(server.port());
  client.send(post("", "first"));
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel");
  CHECK(client.receive().body == "first");
  check_problem(client.receive(), 408, "request-timeout");
  CHECK(client.closed());
}

TEST_CASE("limits: a connection without requests is closed without a word") {
  ServerOptions options;
  options.idle_timeout = 100ms;
  TestServer server(echo_route, options);
  RawClient fresh(server.port());
  CHECK(fresh.closed());
  // A client that a busy machine holds up for longer than the limit is closed before its request.
  std::unique_ptr<RawClient> used;
  bool answered = false;
  for (int i = 0; i < 100 && !answered; ++i) {
    used = std::make_unique<RawClient>(server.port());
    answered = used->exchange(post("", "a")).status == 200;
  }
  REQUIRE(answered);
  CHECK(used->closed());
}

TEST_CASE("limits: a handler may take longer than the idle limit") {
  ServerOptions options;
  options.idle_timeout = 50ms;
  options.header_timeout = 50ms;
  std::atomic<bool> arrived{false};
  TestServer server(
      [&](Router& router) {
        RouteOptions blocking = open_route();
        blocking.blocking = true;
        router.add(Method::get, "/slow", blocking, [&](Request, Responder responder) {
          arrived = true;
          std::this_thread::sleep_for(300ms);
          responder.send(Response::text(200, "done"));
        });
      },
      options);
  // A client that a busy machine holds up for longer than the limit is closed before its request.
  RawResponse response;
  for (int i = 0; i < 100 && !arrived; ++i) response = RawClient(server.port()).get("/slow");
  CHECK(response.body == "done");
}

TEST_CASE("limits: too many connections are told so, those there go on, and room is given back") {
  ServerOptions options;
  options.connections_max = 2;
  TestServer server(echo_route, options);
  RawClient first(server.port());
  CHECK(first.exchange(post("", "a")).status == 200);
  auto second = std::make_unique<RawClient>(server.port());
  CHECK(second->exchange(post("", "a")).status == 200);
  {
    RawClient third(server.port());
    const RawResponse response = third.exchange(post("", "a"));
    check_problem(response, 503, "overloaded");
    CHECK(response.field("Retry-After") == "1");
    CHECK(third.closed());
  }
  CHECK(first.exchange(post("", "b")).body == "b");
  second.reset();
  for (int i = 0; i < 2000 && server.server().connections() > 1; ++i) {
    std::this_thread::sleep_for(5ms);
  }
  RawClient fourth(server.port());
  CHECK(fourth.exchange(post("", "c")).body == "c");
}

TEST_CASE("limits: a full work pool answers 503") {
  std::promise<void> gate;
  std::promise<void> handed_over;
  ServerOptions options;
  options.pipeline_blocking_max = 64;
  TestServer server(
      [&, open = gate.get_future().share()](Router& router) {
        RouteOptions blocking = open_route();
        blocking.blocking = true;
        router.add(Method::get, "/work", blocking, [open](Request, Responder responder) {
          open.wait();
          responder.send(Response::text(200, "done"));
        });
        router.add(Method::get, "/last", open_route(), [&](Request, Responder responder) {
          handed_over.set_value();
          responder.send(Response(204));
        });
      },
      options);
  // Two threads and a queue of sixteen: of twenty at once at least two are turned away.
  RawClient client(server.port());
  std::string all;
  for (int i = 0; i < 20; ++i) all += "GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.send(all + "GET /last HTTP/1.1\r\nHost: localhost\r\n\r\n");
  handed_over.get_future().wait();
  gate.set_value();
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    const RawResponse response = client.receive();
    if (response.status == 200) continue;
    check_problem(response, 503, "overloaded");
    ++refused;
  }
  CHECK(refused >= 2);
  CHECK(refused <= 4);
  CHECK(client.receive(RawClient::Body::none).status == 204);
}

TEST_CASE("limits: while answers are not taken, what reads is 503") {
  ServerOptions options;
  options.answers_bytes_max = 1u << 20;
  TestServer server(
      [](Router& router) {
        RouteOptions blocking = open_route();
        blocking.blocking = true;
        router.add(Method::get, "/page", blocking, [](Request, Responder responder) {
          responder.send(Response::text(200, std::string(16u << 20, 'x')));
        });
        router.add(Method::get, "/small", blocking, echo);
      },
      options);
  auto slow = std::make_unique<RawClient>(server.port());
  slow->shrink_window();
  slow->send("GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n");
  RawClient other(server.port());
  const auto becomes = [&](unsigned status) {
    for (int i = 0; i < 2000; ++i) {
      if (other.get("/small").status == status) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  };
  CHECK(becomes(503));
  slow.reset();
  CHECK(becomes(200));
}

TEST_CASE("limits: a route's role is asked for before its body is read") {
  auto tokens = Authenticator::parse(
      "ea77193cc4e6f18656f3130e296203880c4b9b3772afc855211b82fdd46e9185 teller read\n");
  REQUIRE(tokens);
  TestServer server(
      [](Router& router) {
        RouteOptions write;
        write.role = Role::write;
        router.add(Method::post, "/echo", write, echo);
        router.add(Method::get, "/who", {}, [](Request request, Responder responder) {
          responder.send(Response::text(200, request.principal.name));
        });
        router.add(Method::get, "/probe", open_route(), echo);
      },
      {}, *tokens);
  RawClient client(server.port());
  const RawResponse none = client.get("/who");
  check_problem(none, 401, "unauthenticated");
  CHECK(none.field("WWW-Authenticate") == "Bearer");
  CHECK(client.get("/probe").status == 200);
  CHECK(client
            .exchange(
                "GET /who HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-one\r\n\r\n")
            .body == "teller");
  check_problem(
      client.exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-one"
                      "\r\nContent-Length: 1\r\n\r\nx"),
      403, "forbidden");
  // Not read at all: more than is worth discarding.
  check_problem(
      client.exchange("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"),
      401, "unauthenticated");
  CHECK(client.closed());
}
