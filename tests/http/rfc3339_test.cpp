#include "http/rfc3339.h"

#include <doctest/doctest.h>

using namespace keelson;
using namespace keelson::http;

TEST_CASE("rfc 3339: times are written in UTC with microseconds") {
  CHECK(to_rfc3339(TimeUs(0)) == "1970-01-01T00:00:00.000000Z");
  CHECK(to_rfc3339(TimeUs(1'795'386'268'123'456)) == "2026-11-22T22:24:28.123456Z");
  CHECK(to_rfc3339(TimeUs(951'827'696'000'001)) == "2000-02-29T12:34:56.000001Z");
  CHECK(to_rfc3339(TimeUs(-1)) == "1969-12-31T23:59:59.999999Z");
  CHECK(to_rfc3339(TimeUs(INT64_MAX)) == "9999-12-31T23:59:59.999999Z");
  CHECK(to_rfc3339(TimeUs(INT64_MIN)) == "0000-01-01T00:00:00.000000Z");
}

TEST_CASE("rfc 3339: what is written is read back") {
  for (const std::int64_t us :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1'795'386'268'123'456},
        std::int64_t{253'402'300'799'999'999}}) {
    CHECK(parse_rfc3339(to_rfc3339(TimeUs(us))) == TimeUs(us));
  }
}

TEST_CASE("rfc 3339: offsets, lower case, fractions of any length, leap seconds") {
  const TimeUs noon = *parse_rfc3339("2026-11-22T12:00:00Z");
  CHECK(parse_rfc3339("2026-11-22t12:00:00z") == noon);
  CHECK(parse_rfc3339("2026-11-22T13:30:00+01:30") == noon);
  CHECK(parse_rfc3339("2026-11-22T04:00:00-08:00") == noon);
  CHECK(parse_rfc3339("2026-11-22T12:00:00-00:00") == noon);
  CHECK(parse_rfc3339("2026-11-22T12:00:00.5Z") == noon + 500'000);
  CHECK(parse_rfc3339("2026-11-22T12:00:00.1234569999Z") == noon + 123'456);
  CHECK(parse_rfc3339("2016-12-31T23:59:60Z") == *parse_rfc3339("2016-12-31T23:59:59.999999Z"));
}

TEST_CASE("rfc 3339: anything else is refused") {
  for (const auto* bad :
       {"", "2026-11-22", "2026-11-22T12:00:00", "2026-11-22 12:00:00Z", "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-22T24:00:00Z",
        "2026-11-22T12:60:00Z", "2026-11-22T12:00:61Z", "2026-11-22T12:00:00.Z",
        "2026-11-22T12:00:00+0100", "2026-11-22T12:00:00+24:00", "2026-11-22T12:00:00+01:60",
        "2026-11-22T12:00:00Zx", "26-11-22T12:00:00Z", "2026-11-22T12:00:0xZ", "1795382668"}) {
    CAPTURE(bad);
    const auto parsed = parse_rfc3339(bad);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::bad_request);
  }
}
