#include "samples/bank/progress_bar.h"

#include <doctest/doctest.h>

namespace bank::test {

using std::chrono::duration;

TEST_CASE("progress bar: shows rows, rate and the time left, and no end that is not known") {
  const Progress half{.rows = 1500, .fraction = 0.5, .elapsed = duration<double>(3)};
  CHECK(render_progress(half, 70) ==
        "[██████······]  50 %          1,500 rows      500 rows/s   0:03 left");
  const Progress pipe{.rows = 10, .fraction = {}, .elapsed = duration<double>(2)};
  CHECK(render_progress(pipe, 70) == "          10 rows        5 rows/s");
  CHECK(render_progress({}, 70) == "           0 rows        0 rows/s");
  CHECK(render_progress(half, 20).find('[') == std::string::npos);  // no room for a bar
}

TEST_CASE("progress bar: thousands are set apart, at both ends of 64 bits too") {
  CHECK(with_commas(std::uint64_t{0}) == "0");
  CHECK(with_commas(std::uint64_t{999}) == "999");
  CHECK(with_commas(std::uint64_t{1000}) == "1,000");
  CHECK(with_commas(std::int64_t{-123456}) == "-123,456");
  CHECK(with_commas(INT64_MIN) == "-9,223,372,036,854,775,808");
  CHECK(with_commas(UINT64_MAX) == "18,446,744,073,709,551,615");
}

}  // namespace bank::test
