// A read model over a log that cannot be read is kept, and says so instead of "no rows".
#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;

namespace {

using Found = MemoryPartition::Found;

const Error kDamage{Errc::corruption, "0.seg at byte 4711: wrong checksum", std::nullopt};

Projection names(std::uint32_t version = 1, const std::string& more = "") {
  Projection projection("test", version);
  projection.schema("CREATE TABLE names (id TEXT PRIMARY KEY) STRICT;" + more);
  projection.on("name", "named", "INSERT INTO names VALUES (@stream_id)");
  return projection;
}

/// Two partitions, read models over both, closed again.
struct Named : HostFixture {
  Named() : HostFixture(2) {
    for (int i = 0; i < 20; ++i) topic.append("name-" + std::to_string(i), "named");
    open({names()});
    REQUIRE(query("SELECT count(*) FROM names") == "[[20]]");
    in_0 = topic.memory(0).end();
    REQUIRE(in_0 > Offset(0));
    REQUIRE(in_0 < Offset(20));
    host.reset();
  }

  void check_stopped() {
    const auto status = host->status("test");
    REQUIRE(status);
    const auto& stopped = status->partitions.at(0);
    CHECK(stopped.halted_at == stopped.next);
    CHECK(stopped.error == kDamage.message());
    CHECK_FALSE(status->partitions.at(1).halted_at.has_value());
    const auto answer = try_query("SELECT count(*) FROM names");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::corruption);
    CHECK(answer.error().context.find("partition 0") != std::string::npos);
    CHECK(answer.error().context.find(kDamage.context) != std::string::npos);
    RowsRequest rows;
    rows.table = "names";
    CHECK(host->rows("test", rows).error().code == Errc::corruption);
    CHECK(host->history("test", rows).error().code == Errc::corruption);
  }

  Offset in_0;
};

}  // namespace

TEST_CASE("damaged log: the read model over it is kept, its status says why, questions fail") {
  for (const Found found : {Found::at_open, Found::when_read}) {
    Named test;
    test.topic.memory(0).set_damage(kDamage, found);
    test.open({names()});
    CHECK(test.host->status("test")->partitions.at(0).next == test.in_0);
    test.check_stopped();

    // Whole again, its rows are there before anything is applied.
    test.topic.memory(0).mend();
    REQUIRE_FALSE(test.try_open({names()}));
    CHECK(test.query("SELECT count(*) FROM names") == "[[20]]");
  }
}

TEST_CASE("damaged log: the other partitions are followed") {
  Named test;
  test.topic.memory(0).set_damage(kDamage, Found::at_open);
  test.open({names()});
  const Offset before = test.host->status("test")->partitions.at(1).next;
  for (int i = 20; i < 40; ++i) test.topic.append("name-" + std::to_string(i), "named");
  test.catch_up();
  CHECK(test.host->status("test")->partitions.at(1).next > before);
  CHECK(test.host->status("test")->partitions.at(1).next == test.topic.memory(1).end());
}

TEST_CASE(
    "damaged log: a read model that no longer fits is kept, and one that never was not made") {
  Named test;
  test.topic.memory(0).set_damage(kDamage, Found::at_open);
  // Changed without a new version: this would be removed if the log were there to build from.
  test.open({names(1, "CREATE TABLE more (id TEXT PRIMARY KEY) STRICT;")});
  test.check_stopped();
  test.topic.memory(0).mend();
  REQUIRE_FALSE(test.try_open({names()}));
  const auto status = test.host->status("test");
  CHECK(status->partitions.at(0).next == test.in_0);

  test.topic.memory(0).set_damage(kDamage, Found::at_open);
  test.open({names(2)});
  test.check_stopped();
  CHECK(test.host->status("test")->partitions.at(0).next == Offset(0));
}
