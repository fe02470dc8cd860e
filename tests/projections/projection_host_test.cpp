#include "projections/projection_host.h"

#include <algorithm>
#include <map>

#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;

namespace {

Projection balances() {
  Projection projection("test", 1);
  projection.schema(R"sql(
    CREATE TABLE balances (
      account_id TEXT PRIMARY KEY,
      owner      TEXT NOT NULL,
      balance    INTEGER NOT NULL,
      version    INTEGER NOT NULL,
      updated_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX balances_by_owner ON balances (owner);
  )sql");
  projection.on("account", "opened",
                "INSERT INTO balances VALUES (@stream_id, :owner, 0, @version, @time)");
  projection.on("account", "deposited", [](const EventContext& event, Tables& tables) {
    return tables.run_one(
        "UPDATE balances SET balance = balance + :amount, version = :version, updated_at = :time "
        "WHERE account_id = :id",
        {{"amount", event["amount"]},
         {"version", event.version()},
         {"time", event.time_text()},
         {"id", event.stream_id()}});
  });
  projection.on("account", "closed", "DELETE FROM balances WHERE account_id = @stream_id");
  return projection;
}

}  // namespace

TEST_CASE("projection host: some partitions can be asked alone") {
  HostFixture fixture(3);
  fixture.open({balances()});
  std::map<PartitionId, std::string> ids;
  for (int i = 0; ids.size() < 3; ++i) {
    const std::string id = std::to_string(i);
    if (!ids.emplace(fixture.topic.partition_of("account-" + id), id).second) continue;
    fixture.topic.append("account-" + id, "opened", R"({"owner":"Ada"})");
  }
  fixture.catch_up();
  const std::string sql = "SELECT account_id FROM balances ORDER BY account_id";
  const auto ask = [&](const projections::Partitions& partitions,
                       const std::optional<Position>& at = std::nullopt) {
    return fixture.host->query("test", sql, nullptr, at, {}, partitions);
  };
  const auto rows = [&](std::vector<std::string> of) {
    std::ranges::sort(of);
    std::string json;
    for (const std::string& id : of) json += (json.empty() ? "[[\"" : "\"],[\"") + id;
    return json + "\"]]";
  };
  const std::string zero = ids[PartitionId(0)], one = ids[PartitionId(1)],
                    two = ids[PartitionId(2)];
  CHECK(ask({})->rows_json == rows({zero, one, two}));
  CHECK(ask({})->at.to_string() == "0:0,1:0,2:0");
  CHECK(ask({PartitionId(0), PartitionId(2)})->rows_json == rows({zero, two}));
  CHECK(ask({PartitionId(0), PartitionId(2)})->at.to_string() == "0:0,2:0");
  RowsRequest request;
  request.table = "balances";
  request.partitions = {PartitionId(1)};
  CHECK(fixture.host->rows("test", request)->row_count == 1);
  CHECK(fixture.host->history("test", request)->row_count == 1);
  // As of a position that another partition has not come to.
  const auto at = Position::parse("1:0,2:7", 3).value();
  CHECK(ask({PartitionId(1)}, at)->rows_json == rows({one}));
  CHECK_FALSE(ask({PartitionId(2)}, at).has_value());
  CHECK(ask({PartitionId(3)}).error().code == Errc::bad_request);
}

TEST_CASE("projection host: the same SQL answers now and as of every offset") {
  HostFixture fixture;
  fixture.topic.append("account-a", "opened", R"({"owner":"Ada"})");
  fixture.topic.append("account-b", "opened", R"({"owner":"Bob"})");
  fixture.topic.append("account-a", "deposited", R"({"amount":10})");
  fixture.topic.append("account-a", "deposited", R"({"amount":32})");
  fixture.topic.append("account-b", "closed");
  fixture.open({balances()});

  const std::string sql = "SELECT account_id, balance FROM balances ORDER BY account_id";
  CHECK(fixture.query(sql) == R"([["a",42]])");
  CHECK(fixture.query(sql, -1) == "[]");
  CHECK(fixture.query(sql, 0) == R"([["a",0]])");
  CHECK(fixture.query(sql, 1) == R"([["a",0],["b",0]])");
  CHECK(fixture.query(sql, 2) == R"([["a",10],["b",0]])");
  CHECK(fixture.query(sql, 3) == R"([["a",42],["b",0]])");
  CHECK(fixture.query(sql, 4) == R"([["a",42]])");

  fixture.topic.append("account-b", "opened", R"({"owner":"Bea"})");
  fixture.catch_up();
  CHECK(fixture.query("SELECT * FROM balances WHERE owner = 'Bea'") ==
        R"([["b","Bea",0,3,"2023-11-14T22:13:25.000000Z"]])");
  CHECK(fixture.query(sql, 3) == R"([["a",42],["b",0]])");
  CHECK(fixture.query(sql, 4) == R"([["a",42]])");
}

TEST_CASE("projections: the code's version changes with SQL, streams, version and topic alone") {
  const auto code_version = [](Projection projection, std::uint8_t topic = 1) {
    HostFixture fixture;
    fixture.topic = MemoryTopic(1, topic);
    projection.schema("CREATE TABLE t (k TEXT PRIMARY KEY) STRICT");
    fixture.open({std::move(projection)});
    return fixture.host->projections().at(0).code_version;
  };
  const auto rule = [](std::uint32_t version, std::string stream_type, std::string sql) {
    return Projection("test", version).on(std::move(stream_type), "go", std::move(sql));
  };
  const std::string first = code_version(rule(1, "s", "DELETE FROM t"));
  CHECK(first.starts_with("v1-"));
  CHECK(code_version(rule(1, "s", "DELETE FROM t")) == first);
  CHECK(code_version(rule(1, "s", "DELETE FROM t").summary("told otherwise")) == first);
  CHECK(code_version(rule(1, "s", "DELETE FROM t WHERE k = 'a'")) != first);
  CHECK(code_version(rule(1, "r", "DELETE FROM t")) != first);
  CHECK(code_version(rule(2, "s", "DELETE FROM t")) != first);
  CHECK(code_version(rule(1, "s", "DELETE FROM t").schema("CREATE VIEW w AS SELECT k FROM t;")) !=
        first);
  CHECK(code_version(rule(1, "s", "DELETE FROM t"), 2) != first);
}
