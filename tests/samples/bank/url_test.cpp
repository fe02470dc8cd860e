#include "samples/bank/url.h"

#include <doctest/doctest.h>

namespace bank::test {

TEST_CASE("url: host and port, and nothing else") {
  const auto url = Url::parse("http://127.0.0.1:8080/");
  REQUIRE(url.has_value());
  CHECK(url->host == "127.0.0.1");
  CHECK(url->port == "8080");
  CHECK(Url::parse("http://bank.local")->port == "80");
  const auto six = Url::parse("http://[::1]:99");
  REQUIRE(six.has_value());
  CHECK(six->host == "::1");
  CHECK(six->authority() == "[::1]:99");
  for (const auto* bad :
       {"", "127.0.0.1:80", "https://x", "http://", "http://x:", "http://x:0", "http://x:65536",
        "http://x:8a", "http://x/y", "http://[::1", "http://u@x", "http://x?y"}) {
    CAPTURE(bad);
    CHECK_FALSE(Url::parse(bad).has_value());
  }
}

TEST_CASE("url: everything but unreserved characters is escaped") {
  CHECK(percent_encode("aZ9-._~") == "aZ9-._~");
  CHECK(percent_encode("a/b c%\xc3\xa4") == "a%2Fb%20c%25%C3%A4");
}

}  // namespace bank::test
