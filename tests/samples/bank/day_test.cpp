#include "samples/bank/day.h"

#include <doctest/doctest.h>

namespace bank::test {

TEST_CASE("day: only days of the calendar are days") {
  for (const auto* good : {"1993-01-05", "2024-02-29", "0000-01-01", "9999-12-31"}) {
    CAPTURE(good);
    REQUIRE(Day::parse(good).has_value());
    CHECK(Day::parse(good)->text() == good);
  }
  for (const auto* bad : {"", "1993-1-5", "1993-02-29", "1993-13-01", "1993-00-10", "1993-01-00",
                          "1993-01-32", "93-01-05", "1993/01/05", "1993-01-05 ", "+993-01-05",
                          "199a-01-05", "1993-01-05T00:00:00Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(Day::parse(bad).has_value());
  }
}

TEST_CASE("day: a time is on the day it is in UTC, before 1970 too") {
  constexpr std::int64_t kDayUs = 86'400'000'000;
  CHECK(Day::of(keelson::TimeUs(0)).text() == "1970-01-01");
  CHECK(Day::of(keelson::TimeUs(kDayUs - 1)).text() == "1970-01-01");
  CHECK(Day::of(keelson::TimeUs(kDayUs)).text() == "1970-01-02");
  CHECK(Day::of(keelson::TimeUs(-1)).text() == "1969-12-31");
  CHECK(Day::of(keelson::TimeUs(726'192'000'000'000)).text() == "1993-01-05");
}

TEST_CASE("day: in JSON it is a string, and anything else is refused with a reason") {
  using keelson::aggregates::decode;
  CHECK(decode<Day>(std::string_view(R"("1993-01-05")"))->text() == "1993-01-05");
  for (const auto* bad : {R"("1993-02-29")", "19930105", "null", "{}"}) {
    CAPTURE(bad);
    const auto read = decode<Day>(std::string_view(bad));
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().context.find("must be a day") != std::string::npos);
  }
}

}  // namespace bank::test
