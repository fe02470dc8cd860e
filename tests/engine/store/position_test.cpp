#include "engine/store/position.h"

#include <doctest/doctest.h>

using namespace keelson;

TEST_CASE("position: written as the last offset seen, read back the same") {
  Position one(1);
  CHECK(one.to_string() == "-");
  one.set_next(PartitionId(0), Offset(1043));
  CHECK(one.to_string() == "1042");
  CHECK(Position::parse("1042", 1) == one);
  CHECK(Position::parse("0:1042", 1) == one);

  Position three(3);
  three.set_next(PartitionId(0), Offset(8));
  three.set_next(PartitionId(2), Offset(1));
  CHECK(three.to_string() == "0:7,2:0");
  CHECK(Position::parse("2:0,0:7", 3) == three);
  CHECK(Position::parse("-", 3) == Position(3));
}

TEST_CASE("position: anything else is refused") {
  for (const auto* bad : {"", "7", "0:", ":1", "0:1,", "3:1", "0:1,0:2", "0:-1", "0:1;1:2",
                          "0:18446744073709551615", "0:18446744073709551616", " 0:1"}) {
    CAPTURE(bad);
    CHECK_FALSE(Position::parse(bad, 3));
  }
}

TEST_CASE("position: covers compares each partition") {
  Position a(2);
  Position b(2);
  a.set_next(PartitionId(0), Offset(5));
  CHECK(a.covers(b));
  b.set_next(PartitionId(1), Offset(1));
  CHECK_FALSE(a.covers(b));
}
