#include "engine/base/host_port.h"

#include <doctest/doctest.h>

using namespace keelson;

TEST_CASE("host and port: a name or an address, and a number") {
  CHECK(parse_host_port("node-1.example:7070") == HostPort{"node-1.example", 7070});
  CHECK(parse_host_port("127.0.0.1:0") == HostPort{"127.0.0.1", 0});
  CHECK(parse_host_port("[::1]:65535") == HostPort{"::1", 65535});
  CHECK(parse_host_port("::1:80") == HostPort{"::1", 80});
  for (const char* const text : {"node-1:7070", "10.0.0.1:1", "[fe80::1]:443"}) {
    CHECK(text_of(parse_host_port(text).value()) == text);
  }
}

TEST_CASE("host and port: nothing else is taken for one") {
  for (const char* const text :
       {"",          ":",       "node",     "node:",          ":80",       "[]:80",
        "[::1]",     "[::1:80", "::1]:80",  "node:65536",     "node:-1",   "node:+1",
        "node:80 ",  "node:8o", "no de:80", "http://node:80", "node/a:80", "me@node:80",
        "node:80/a", "n\x01:80"}) {
    const auto parsed = parse_host_port(text);
    REQUIRE_MESSAGE(!parsed, text);
    CHECK(parsed.error().code == Errc::bad_request);
  }
}
