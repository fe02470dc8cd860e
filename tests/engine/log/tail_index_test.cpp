#include "engine/log/tail_index.h"

#include <doctest/doctest.h>

using namespace keelson;
using namespace keelson::log;

TEST_CASE("tail index: what is added is found, once it is published") {
  TailIndex index(1 << 16);
  index.add_batch({4096, 0, TimeUs(10)}, 2);
  index.add_commit(7, 0);
  index.add_event({"a", 1}, Version(5), 44);
  index.add_event({"b", 2}, Version(1), 99);
  CHECK_FALSE(index.find_stream({"a", 1})->has_value());
  CHECK(index.event_count() == 0);

  index.publish(1);
  CHECK(index.event_count() == 2);
  const auto found = index.find_stream({"a", 1});
  REQUIRE(found->has_value());
  CHECK((*found)->first_version() == Version(5));
  CHECK((*found)->nth(0) == Posting{0, 0, 44});
  CHECK(index.batch_of_offset(1) == 0u);
  const auto any = [](const CommitPlace&) -> Result<bool> { return true; };
  CHECK(index.find_command(7, any) == CommitPlace{0, 0});
}
