// What a page in somebody's browser must not do with a server on the same machine.
#include "http/browser_guard.h"

#include <doctest/doctest.h>

#include "tests/http/test_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;

namespace {

void routes(Router& router) {
  router.add(Method::post, "/echo", open_route(), echo);
  router.add(Method::get, "/echo", open_route(), echo);
}

unsigned status_of(TestServer& server, std::string_view method, std::string_view fields) {
  RawClient client(server.port());
  return client
      .exchange(std::string(method) + " /echo HTTP/1.1\r\n" + std::string(fields) +
                "Content-Length: 0\r\n\r\n")
      .status;
}

}  // namespace

TEST_CASE("browser guard: a page of another site changes nothing") {
  TestServer server(routes);
  const std::string host = "127.0.0.1:" + std::to_string(server.port());
  const auto asked = [&](std::string_view method, std::string_view fields) {
    return status_of(server, method, "Host: " + host + "\r\n" + std::string(fields));
  };
  CHECK(asked("POST", "") == 200);
  CHECK(asked("POST", "Origin: http://" + host + "\r\n") == 200);
  CHECK(asked("POST", "Origin: http://evil.example\r\n") == 403);
  CHECK(asked("POST", "Origin: http://127.0.0.1:1\r\n") == 403);
  CHECK(asked("POST", "Origin: null\r\n") == 403);
  CHECK(asked("GET", "Origin: http://evil.example\r\n") == 200);
  // No page can send this without asking first, and it is not told that it may.
  CHECK(asked("POST", "Origin: http://evil.example\r\nAuthorization: Bearer x\r\n") == 200);
}

TEST_CASE("browser guard: without tokens only names that nobody can point here are answered") {
  TestServer server(routes);
  for (const char* name : {"localhost", "LOCALHOST:80", "bank.localhost:8080", "127.0.0.1",
                           "127.0.0.1:80", "[::1]", "[::1]:8080", "192.0.2.1"}) {
    CAPTURE(name);
    CHECK(status_of(server, "GET", "Host: " + std::string(name) + "\r\n") == 200);
  }
  for (const char* name :
       {"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example",
        "evillocalhost", ".localhost", "[::1", "[evil.example]:80", ""}) {
    CAPTURE(name);
    CHECK(status_of(server, "GET", "Host: " + std::string(name) + "\r\n") == 403);
  }
}

TEST_CASE("browser guard: with tokens a server may have any name") {
  auto tokens = Authenticator::parse(
      "ea77193cc4e6f18656f3130e296203880c4b9b3772afc855211b82fdd46e9185 teller read\n");
  REQUIRE(tokens);
  TestServer server(routes, {}, *tokens);
  CHECK(status_of(server, "GET", "Host: bank.example\r\n") == 200);
}
