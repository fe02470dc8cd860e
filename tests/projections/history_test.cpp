// What becomes of a row's history when one event does several things to it.
#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;

namespace {

Projection scripted() {
  Projection projection("test", 1);
  projection.schema("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) STRICT;");
  projection.on("s", "sql", [](const EventContext& event, Tables& tables) -> Result<void> {
    for (const auto& statement : event.data()) {
      KEELSON_TRY(tables.run(statement.get<std::string>()));
    }
    return {};
  });
  return projection;
}

/// Runs each list of statements as one event, and returns `t` after each.
std::vector<std::string> states(HostFixture& fixture,
                                const std::vector<std::vector<std::string>>& events) {
  for (const auto& event : events) {
    fixture.topic.append("s-1", "sql", nlohmann::json(event).dump());
  }
  fixture.open({scripted()});
  std::vector<std::string> found;
  for (std::size_t i = 0; i < events.size(); ++i) {
    found.push_back(fixture.query("SELECT * FROM t ORDER BY k", std::int64_t(i)));
  }
  return found;
}

using States = std::vector<std::string>;

}  // namespace

TEST_CASE("history: a row updated and then deleted by one event is found as it was before") {
  HostFixture fixture;
  CHECK(states(fixture, {{"INSERT INTO t VALUES ('a', 1)"},
                         {"UPDATE t SET v = 2", "DELETE FROM t"},
                         {"INSERT INTO t VALUES ('b', 3)"}}) ==
        States{R"([["a",1]])", "[]", R"([["b",3]])"});
}

TEST_CASE("history: a row made and deleted by one event never was") {
  HostFixture fixture;
  CHECK(states(fixture, {{"INSERT INTO t VALUES ('a', 1)", "DELETE FROM t"},
                         {"INSERT INTO t VALUES ('a', 2)"}}) == States{"[]", R"([["a",2]])"});
  const auto versions = fixture.host->history("test", {"t", {}, "", 100, {}});
  CHECK(versions->rows_json == R"([{"k":"a","v":2,"_from":1,"_to":null,"_partition":0}])");
}

TEST_CASE("history: a row deleted and made again by one event has one version each side of it") {
  HostFixture fixture;
  CHECK(
      states(fixture, {{"INSERT INTO t VALUES ('a', 1)"},
                       {"DELETE FROM t", "INSERT INTO t VALUES ('a', 5)", "UPDATE t SET v = v + 1",
                        "DELETE FROM t", "INSERT INTO t VALUES ('a', 7)"},
                       {"REPLACE INTO t VALUES ('a', 9)"}}) ==
      States{R"([["a",1]])", R"([["a",7]])", R"([["a",9]])"});
}

TEST_CASE("history: a key that moves is dead where it was, and alive where it went") {
  HostFixture fixture;
  CHECK(states(fixture, {{"INSERT INTO t VALUES ('a', 1), ('b', 2)"},
                         {"UPDATE t SET k = 'c' WHERE k = 'a'"},
                         {"UPDATE OR REPLACE t SET k = 'b' WHERE k = 'c'"},
                         {"UPDATE t SET k = k || 'x'", "UPDATE t SET k = 'a'"}}) ==
        States{R"([["a",1],["b",2]])", R"([["b",2],["c",1]])", R"([["b",1]])", R"([["a",1]])"});
}

TEST_CASE("history: several updates by one event are one version") {
  HostFixture fixture;
  states(fixture, {{"INSERT INTO t VALUES ('a', 1)"},
                   {"UPDATE t SET v = 2", "UPDATE t SET v = 3"},
                   {"DELETE FROM t"}});
  CHECK(fixture.host->history("test", {"t", {}, "", 100, {}})->rows_json ==
        R"([{"k":"a","v":1,"_from":0,"_to":1,"_partition":0},)"
        R"({"k":"a","v":3,"_from":1,"_to":2,"_partition":0}])");
  // As of an earlier offset, what ended later has not ended.
  CHECK(fixture.host->history("test", {"t", {}, "", 100, at_offset(1)})->rows_json ==
        R"([{"k":"a","v":1,"_from":0,"_to":1,"_partition":0},)"
        R"({"k":"a","v":3,"_from":1,"_to":null,"_partition":0}])");
}

TEST_CASE("history: of a row that matches a filter, and in SQL, where it can be joined") {
  HostFixture fixture;
  states(fixture, {{"INSERT INTO t VALUES ('a', 1), ('b', 10)"},
                   {"UPDATE t SET v = v + 1"},
                   {"UPDATE t SET v = v + 1 WHERE k = 'b'"}});
  CHECK(fixture.host->history("test", {"t", {{"k", "a"}}, "", 100, {}})->row_count == 2);
  CHECK(fixture.host->history("test", {"t", {{"k", "b"}}, "", 2, {}})->row_count == 2);
  CHECK(fixture.query("SELECT v, _from, _to FROM t__history WHERE k = 'b' ORDER BY _from DESC") ==
        "[[12,2,null],[11,1,2],[10,0,1]]");
  CHECK(fixture.query("SELECT t.k, count(*) FROM t JOIN t__history h ON h.k = t.k GROUP BY t.k") ==
        R"([["a",2],["b",3]])");
  CHECK(fixture.query("SELECT k, _from, _partition FROM t ORDER BY k", 1) ==
        R"([["a",1,0],["b",1,0]])");
}

TEST_CASE("history: a row with as many columns as a table may have is found as it was") {
  constexpr int kColumns = 256;
  std::string columns;
  std::string row;
  std::string changes;
  for (int i = 0; i + 1 < kColumns; ++i) {
    const std::string name = "c" + std::to_string(i);
    columns += ", " + name + (i % 2 == 0 ? " INTEGER" : " TEXT");
    row += i % 2 == 0 ? ", " + std::to_string(i) : ", 'text " + std::to_string(i) + "'";
    changes += (i == 0 ? "" : ", ") + name + " = NULL";
  }
  HostFixture fixture;
  fixture.topic.append("s-1", "made", "{}");
  fixture.topic.append("s-1", "emptied", "{}");
  Projection wide("test", 1);
  wide.schema("CREATE TABLE t (k INTEGER PRIMARY KEY" + columns + ") STRICT");
  wide.on("s", "made", "INSERT INTO t VALUES (1" + row + ")");
  wide.on("s", "emptied", "UPDATE t SET " + changes);
  fixture.open({wide});
  auto then = nlohmann::json::parse(fixture.query("SELECT * FROM t", 0)).at(0);
  REQUIRE(then.size() == kColumns);
  CHECK(then[0] == 1);
  for (int i = 0; i + 1 < kColumns; ++i) {
    CAPTURE(i);
    const auto& value = then[static_cast<std::size_t>(i) + 1];
    if (i % 2 == 0) CHECK(value == i);
    if (i % 2 == 1) CHECK(value == "text " + std::to_string(i));
  }
  CHECK(fixture.query("SELECT c0, c254 FROM t") == "[[null,null]]");
}
