#include "http/negotiate.h"

#include <doctest/doctest.h>

using namespace keelson::http;

TEST_CASE("negotiate: the best weight wins, the most exact range counts, the first is default") {
  const auto choose = [](std::optional<std::string_view> accept) {
    return negotiate(accept, {"application/json", "application/x-ndjson", "text/event-stream"});
  };
  CHECK(choose(std::nullopt) == 0);
  CHECK(choose("") == 0);
  CHECK(choose("*/*") == 0);
  CHECK(choose("text/event-stream") == 2);
  CHECK(choose("TEXT/event-stream ; q=0.1") == 2);
  CHECK(choose("text/*, application/json;q=0.9") == 2);
  CHECK(choose("application/x-ndjson, application/json") == 0);
  CHECK(choose("application/json;q=0.5, application/x-ndjson;q=0.501") == 1);
  CHECK(choose("application/json;q=0, */*") == 1);
  CHECK(choose("text/html, image/png") == std::nullopt);
  CHECK(choose("*/*;q=0") == std::nullopt);
  CHECK(choose(";;,,;q=") == std::nullopt);
}
