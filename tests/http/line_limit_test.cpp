#include "http/line_limit.h"

#include <doctest/doctest.h>

using namespace keelson::http;
using namespace std::chrono_literals;

TEST_CASE("line limit: so many lines a second, and the next one says how many were left out") {
  LineLimit limit(2);
  const LineLimit::TimePoint begun{};
  CHECK(limit.admit(begun) == "");
  CHECK(limit.admit(begun + 10ms) == "");
  for (int i = 0; i < 3; ++i) CHECK_FALSE(limit.admit(begun + 999ms));
  CHECK(limit.admit(begun + 1000ms) == " (3 lines like this were left out)");
  CHECK(limit.admit(begun + 1500ms) == "");
  CHECK_FALSE(limit.admit(begun + 1999ms));
  // A second begins with its first line: this one is 2 s long.
  CHECK(limit.admit(begun + 4000ms) == " (1 lines like this were left out)");
  CHECK(limit.admit(begun + 4999ms) == "");
  CHECK_FALSE(limit.admit(begun + 4999ms));
}
