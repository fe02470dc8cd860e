#include "http/conditional.h"

#include <doctest/doctest.h>

using namespace keelson;
using namespace keelson::http;

namespace {

Headers with(std::string_view name, std::string_view value) {
  Headers headers;
  headers.add(name, value);
  return headers;
}

}  // namespace

TEST_CASE("if-match: one version in quotes") {
  CHECK(parse_if_match({}) == std::nullopt);
  CHECK(parse_if_match(with("If-Match", "\"7\"")) == Version(7));
  CHECK(parse_if_match(with("if-match", " \"0\" ")) == Version(0));
  CHECK(parse_if_match(with("If-Match", "\"18446744073709551615\"")) == Version(UINT64_MAX));
}

TEST_CASE("if-match: anything else is refused, as it would silently check nothing") {
  for (const auto* bad : {"", "7", "\"\"", "\"x\"", "\"7", "W/\"7\"", "*", "\"7\", \"8\"", "\"-1\"",
                          "\"18446744073709551616\""}) {
    CAPTURE(bad);
    const auto parsed = parse_if_match(with("If-Match", bad));
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::bad_request);
  }
}

TEST_CASE("if-none-match: a tag alone, in a list, in several fields, weak") {
  const std::string_view tag = "\"v1@5\"";
  CHECK_FALSE(if_none_match_has({}, tag));
  CHECK(if_none_match_has(with("If-None-Match", tag), tag));
  CHECK(if_none_match_has(with("If-None-Match", "\"a\",\"v1@5\" , \"b\""), tag));
  CHECK(if_none_match_has(with("If-None-Match", "W/\"v1@5\""), tag));
  CHECK_FALSE(if_none_match_has(with("If-None-Match", "\"v1@55\""), tag));
  CHECK_FALSE(if_none_match_has(with("If-None-Match", "*"), tag));
  Headers two = with("If-None-Match", "\"a\"");
  two.add("If-None-Match", tag);
  CHECK(if_none_match_has(two, tag));
}
