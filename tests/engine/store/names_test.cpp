#include "engine/store/names.h"

#include <doctest/doctest.h>

using namespace keelson;

TEST_CASE("names: UTF-8 is checked byte for byte as RFC 3629 says") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("plain"));
  CHECK(is_utf8("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"));
  CHECK_FALSE(is_utf8("\x80"));              // a continuation alone
  CHECK_FALSE(is_utf8("\xc0\xaf"));          // overlong
  CHECK_FALSE(is_utf8("\xe0\x80\x80"));      // overlong
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));      // a surrogate
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));  // above U+10FFFF
  CHECK_FALSE(is_utf8("\xe2\x82"));          // cut short
}

TEST_CASE("names: topics name folders, so little is allowed") {
  const Limits limits;
  CHECK(check_topic_name("bank.eu-1", limits));
  for (const auto* bad : {"", "Bank", "../x", ".hidden", "a/b", "a b"}) {
    CAPTURE(bad);
    CHECK_FALSE(check_topic_name(bad, limits));
  }
}

TEST_CASE("names: a topic's is at most what a file system can hold") {
  Limits limits;
  limits.name_bytes_max = 1'000;
  CHECK(check_topic_name(std::string(255, 't'), limits));
  const auto refused = check_topic_name(std::string(256, 't'), limits);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::bad_request);
  CHECK(refused.error().context.find("has 256 bytes") != std::string::npos);
}

TEST_CASE("names: streams are text within the limit and do not start with $") {
  Limits limits;
  limits.name_bytes_max = 8;
  CHECK(check_stream_name("a-1", limits));
  CHECK(check_stream_name("a-\xc3\xa9", limits));
  CHECK(check_stream_name("123456789", limits).error().code == Errc::too_large);
  CHECK(check_stream_name("$x", limits).error().code == Errc::bad_request);
  CHECK(check_stream_name("a\n", limits).error().code == Errc::bad_request);
  CHECK(check_stream_name("\xff", limits).error().code == Errc::bad_request);
}

TEST_CASE("names: a stream is its type, a dash, its id") {
  CHECK(stream_type("account-42-x") == "account");
  CHECK(stream_id("account-42-x") == "42-x");
  CHECK(stream_id("plain") == "plain");
}
