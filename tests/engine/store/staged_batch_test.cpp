#include "engine/store/staged_batch.h"

#include <doctest/doctest.h>

#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

StagedCommit& stage(StagingArea& staging, const std::string& stream) {
  const TimeUs time = staging.next_time(TimeUs(1));
  return staging.stage(write_to(stream, {"1"}), std::nullopt,
                       {{stream, Version(1), Version(1), Offset()}}, time);
}

}  // namespace

TEST_CASE("staging: a writer that is held takes nothing more, and goes on when it is let") {
  CommitTimes times;
  StagingArea staging({PartitionId(0), Offset(0), TimeUs(0), 1}, times);
  stage(staging, "a-1");
  stage(staging, "b-1");
  REQUIRE(staging.wants_writer());
  REQUIRE(staging.next_to_write({}));
  CHECK(staging.taken() == 1);
  staging.hold_writer();
  // What is not taken by now can be refused: it must not be taken after that has been looked at.
  CHECK_FALSE(staging.next_to_write({}));
  CHECK(staging.taken() == 1);
  CHECK_FALSE(staging.wants_writer());
  staging.let_write();
  REQUIRE(staging.wants_writer());
  CHECK(staging.next_to_write({}));
  CHECK(staging.taken() == 2);
}

TEST_CASE("staging: what is discarded is as if it had never been staged, what is kept stays") {
  CommitTimes times;
  StagingArea staging({PartitionId(0), Offset(5), TimeUs(0), 1}, times);
  stage(staging, "a-1");
  stage(staging, "b-1");
  stage(staging, "c-1");
  CHECK(staging.end() == Offset(8));
  CHECK(staging.discard(1).size() == 2);
  CHECK(staging.end() == Offset(6));
  CHECK(staging.version("a-1") == Version(1));
  CHECK_FALSE(staging.version("b-1"));
  CHECK(staging.last_writer("c-1") == nullptr);
  CHECK(stage(staging, "b-1").outcome.first == Offset(6));
}
