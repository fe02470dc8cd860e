// What a handler can do, and what it is kept from.
#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;

namespace {

Projection with_table() {
  Projection projection("test", 1);
  projection.schema(
      "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER, s TEXT, r REAL, b BLOB) STRICT;");
  return projection;
}

/// The error at which an event halts a projection whose handler runs `sql`.
std::string halted_by(const std::string& sql) {
  HostFixture fixture;
  Projection projection = with_table();
  projection.on("s", "go", [sql](const EventContext&, Tables& tables) { return tables.run(sql); });
  fixture.topic.append("s-1", "go");
  fixture.open({projection});
  const auto status = fixture.host->status("test")->partitions[0];
  CHECK(status.halted_at.has_value() == !status.error.empty());
  return status.error;
}

/// The error of opening a projection with the rule `sql`.
std::string refused_rule(const std::string& sql) {
  HostFixture fixture;
  const auto error = fixture.try_open({with_table().on("s", "go", sql)});
  return error ? error->message() : "";
}

bool says(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("handler: SQL that would differ at a replay halts, in code and as a rule") {
  for (const auto* call : {"random()", "randomblob(4)", "datetime('now')", "date()", "julianday()",
                           "strftime('%s')", "unixepoch()", "current_timestamp", "changes()",
                           "last_insert_rowid()", "total_changes()", "sqlite_version()"}) {
    const std::string sql = std::string("INSERT INTO t(k) VALUES (") + call + ")";
    CHECK(says(halted_by(sql), "not allowed"));
    CHECK(says(refused_rule(sql), "not allowed"));
  }
}

TEST_CASE("handler: nothing but data of the projection's own tables is in reach") {
  CHECK(halted_by("INSERT INTO t(k, v) SELECT 'a', count(*) FROM t") == "");
  for (const std::string sql :
       {"CREATE TABLE u (k TEXT PRIMARY KEY) STRICT", "DROP TABLE t", "ALTER TABLE t ADD COLUMN x",
        "PRAGMA recursive_triggers = OFF", "ATTACH 'x.db' AS x", "DETACH main", "BEGIN", "COMMIT",
        "ROLLBACK", "SAVEPOINT s", "REINDEX", "ANALYZE", "CREATE TEMP TABLE u (k)",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
        "SELECT * FROM pragma_table_info('t')"}) {
    CAPTURE(sql);
    CHECK(says(halted_by(sql), "nothing else"));
  }
  for (const std::string sql :
       {"DELETE FROM t__h", "SELECT k FROM t__dead", "UPDATE keelson_checkpoint SET next = 0",
        "DELETE FROM keelson_identity", "SELECT name FROM sqlite_schema",
        "DELETE FROM sqlite_schema", "VACUUM", "DROP TRIGGER t__capture_update",
        "SELECT count(*) FROM KEELSON_CHECKPOINT"}) {
    CAPTURE(sql);
    CHECK(halted_by(sql) != "");
  }
  CHECK(says(halted_by("WITH t__capture_update AS (SELECT next FROM keelson_checkpoint) "
                       "SELECT next FROM t__capture_update"),
             "the framework's"));
  CHECK(says(halted_by("WITH other AS (SELECT random() AS x) SELECT x FROM other"), "random()"));
  CHECK(says(halted_by("SELECT load_extension('x')"), "not allowed"));
  CHECK(says(halted_by("SELECT writefile('x', 'y')"), "no such function"));
  CHECK(says(halted_by("SELECT * FROM t"), "name your columns"));
  CHECK(says(halted_by("INSERT INTO t(k) VALUES ('a'); DELETE FROM t"), "more than one"));
  CHECK(says(halted_by("INSERT INTO t(k) VALUES (\"a\")"), "no such column"));
}

TEST_CASE("handler: integer arithmetic that overflows halts, at both ends") {
  HostFixture fixture;
  Projection projection = with_table();
  projection.on("s", "set",
                "INSERT INTO t(k, v) VALUES ('a', :v) ON CONFLICT DO UPDATE SET v = excluded.v");
  projection.on("s", "add", "UPDATE t SET v = v + :v");
  fixture.open({projection});
  const auto value_after = [&](std::int64_t start, std::int64_t added) {
    fixture.topic.append("s-1", "set", nlohmann::json{{"v", start}}.dump());
    fixture.topic.append("s-1", "add", nlohmann::json{{"v", added}}.dump());
    fixture.open({projection});
    return fixture.query("SELECT v FROM t");
  };
  CHECK(value_after(INT64_MAX - 1, 1) == "[[9223372036854775807]]");
  CHECK(value_after(INT64_MIN + 1, -1) == "[[-9223372036854775808]]");
  SUBCASE("above") {
    CHECK(value_after(INT64_MAX, 1) == "[[9223372036854775807]]");
    CHECK(says(fixture.host->status("test")->partitions[0].error, "cannot store REAL value"));
    CHECK(fixture.host->status("test")->partitions[0].halted_at == Offset(5));
  }
  SUBCASE("below") {
    CHECK(value_after(INT64_MIN, -1) == "[[-9223372036854775808]]");
    CHECK(says(fixture.host->status("test")->partitions[0].error, "cannot store REAL value"));
  }
}

TEST_CASE("handler: a number of the event that is no 64-bit integer halts where one is wanted") {
  for (const auto* number :
       {"9223372036854775808", "18446744073709551616", "1.5", "1e300", "\"x\""}) {
    CAPTURE(number);
    HostFixture fixture;
    fixture.topic.append("s-1", "set", std::string(R"({"v":)") + number + "}");
    fixture.open({with_table().on("s", "set", "INSERT INTO t(k, v) VALUES ('a', :v)")});
    CHECK(fixture.host->status("test")->partitions[0].halted_at == Offset(0));
    CHECK(fixture.query("SELECT count(*) FROM t") == "[[0]]");
  }
}

TEST_CASE("handler: a rule in SQL takes its parameters from the event") {
  HostFixture fixture;
  Projection projection("test", 1);
  projection.schema("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) STRICT;");
  projection.on("account", "all", R"sql(
    INSERT INTO t VALUES ('stream', @stream), ('stream_type', @stream_type), ('id', @stream_id),
      ('type', @type), ('time', @time), ('time_us', @time_us), ('offset', @offset),
      ('partition', @partition), ('version', @version), ('command', @command_id), ('data', @data);
    -- and a second one
    INSERT INTO t VALUES ('field', :field), ('here', $here), ('missing', $missing),
      ('nested', json_extract(@data, '$.in.side')), ('object', :in), ('yes', :yes);
  )sql");
  fixture.topic.append("account-7-x", "all",
                       R"({"field":"f","here":5,"in":{"side":8},"yes":true})");
  fixture.open({projection});
  CHECK(fixture.query("SELECT k, v FROM t ORDER BY rowid") == "bad_request: no such column: rowid");
  CHECK(fixture.query("SELECT json_group_object(k, v) FROM (SELECT k, v FROM t ORDER BY k)") ==
        nlohmann::json(
            {{nlohmann::json{{"command", "command-0"},
                             {"data", R"({"field":"f","here":5,"in":{"side":8},"yes":true})"},
                             {"field", "f"},
                             {"here", "5"},
                             {"id", "7-x"},
                             {"missing", nullptr},
                             {"nested", "8"},
                             {"object", R"({"side":8})"},
                             {"offset", "0"},
                             {"partition", "0"},
                             {"stream", "account-7-x"},
                             {"stream_type", "account"},
                             {"time", "2023-11-14T22:13:20.000000Z"},
                             {"time_us", "1700000000000000"},
                             {"type", "all"},
                             {"version", "1"},
                             {"yes", "1"}}
                  .dump()}})
            .dump());
}

TEST_CASE("handler: a rule in SQL that cannot work is refused when it is opened") {
  CHECK(refused_rule("INSERT INTO t(k) VALUES (:x)") == "");
  CHECK(says(refused_rule("INSERT INTO u VALUES (1)"), "no such table: u"));
  CHECK(says(refused_rule("INSERT INTO t(k) VALUES (@who)"), "@who is none of"));
  CHECK(says(refused_rule("INSERT INTO t(k) VALUES (?)"), "is none of"));
  CHECK(says(refused_rule("  -- nothing"), "no SQL statement"));
  CHECK(says(refused_rule("DELETE FROM t; DROP TABLE t"), "nothing else"));
}

TEST_CASE("handler: a rule takes the events of its streams, and of all of them only when told so") {
  HostFixture fixture;
  Projection projection("test", 1);
  projection.schema("CREATE TABLE t (n INTEGER PRIMARY KEY, rule TEXT, stream TEXT) STRICT;");
  projection.on("account", "go", "INSERT INTO t(rule, stream) VALUES ('sql', @stream)");
  projection.on_any_stream("go", "INSERT INTO t(rule, stream) VALUES ('any', @stream)");
  projection.on("account", "go", [](const EventContext& event, Tables& tables) {
    return tables.run("INSERT INTO t(rule, stream) VALUES ('code', :stream)",
                      {{"stream", event.stream()}});
  });
  for (const auto* stream : {"account-a", "x-a", "a", "accounts-a", "Account-a"}) {
    fixture.topic.append(stream, "go");
  }
  fixture.topic.append("x-account-a", "go", "not even JSON");
  fixture.open({projection});
  CHECK(
      fixture.query("SELECT rule, stream FROM t ORDER BY n") ==
      R"([["sql","account-a"],["any","account-a"],["code","account-a"],["any","x-a"],["any","a"],)"
      R"(["any","accounts-a"],["any","Account-a"],["any","x-account-a"]])");
}

TEST_CASE("handler: a rule for what no stream can be is refused when it is opened") {
  for (const auto* type : {"", "account-", "account-42", "-"}) {
    HostFixture fixture;
    const auto error = fixture.try_open({with_table().on(type, "go", "DELETE FROM t")});
    REQUIRE(error);
    CHECK(says(error->message(), "before the first '-'"));
  }
  HostFixture fixture;
  CHECK(fixture.try_open({with_table().on("account", "", "DELETE FROM t")}));
  CHECK(fixture.try_open({with_table().on_any_stream("", "DELETE FROM t")}));
}

TEST_CASE(
    "handler: a missing field, a missing parameter and one too many each halt with their name") {
  HostFixture fixture;
  fixture.topic.append("s-1", "go", "{}");
  SUBCASE("field") {
    fixture.open({with_table().on("s", "go", "INSERT INTO t(k) VALUES (:name)")});
    CHECK(says(fixture.host->status("test")->partitions[0].error, "no field 'name'"));
  }
  SUBCASE("parameter") {
    fixture.open({with_table().on("s", "go", [](const EventContext&, Tables& tables) {
      return tables.run("INSERT INTO t(k) VALUES (:name)");
    })});
    CHECK(says(fixture.host->status("test")->partitions[0].error, "no value for parameter :name"));
  }
  SUBCASE("one too many") {
    fixture.open({with_table().on("s", "go", [](const EventContext&, Tables& tables) {
      return tables.run("INSERT INTO t(k) VALUES (:name)", {{"name", "a"}, {"nme", "b"}});
    })});
    CHECK(says(fixture.host->status("test")->partitions[0].error, "no parameter :nme"));
  }
}

TEST_CASE("handler: run_one fails when no row or several are written, triggers not counted") {
  const auto error_of = [](const std::string& sql) {
    HostFixture fixture;
    Projection projection = with_table();
    projection.on("s", "make", "INSERT INTO t(k, v) VALUES ('a', 1), ('b', 2)");
    projection.on("s", "go",
                  [sql](const EventContext&, Tables& tables) { return tables.run_one(sql); });
    fixture.topic.append("s-1", "make");
    fixture.topic.append("s-1", "go");
    fixture.open({projection});
    return fixture.host->status("test")->partitions[0].error;
  };
  CHECK(error_of("UPDATE t SET v = 0 WHERE k = 'a'") == "");
  CHECK(error_of("DELETE FROM t WHERE k = 'a'") == "");
  CHECK(says(error_of("UPDATE t SET v = 0 WHERE k = 'z'"), "wrote 0 rows"));
  CHECK(says(error_of("UPDATE t SET v = 0"), "wrote 2 rows"));
  CHECK(says(error_of("SELECT k FROM t"), "writes nothing"));
}

TEST_CASE("handler: reads its own tables as they are before and within the event") {
  HostFixture fixture;
  Projection projection = with_table();
  projection.on("s", "go", [](const EventContext& event, Tables& tables) -> Result<void> {
    KEELSON_TRY(tables.run("INSERT INTO t(k, v) VALUES (:k, 1)", {{"k", event.offset()}}));
    KEELSON_TRY_ASSIGN(const auto rows, tables.query("SELECT count(*), 'x', 1.5, NULL FROM t"));
    CHECK(rows.size() == 1);
    CHECK(rows[0][0].integer() == std::int64_t(event.offset().value + 1));
    CHECK(rows[0][1].text() == "x");
    CHECK(rows[0][2].real() == 1.5);
    CHECK(rows[0][3].is_null());
    CHECK_FALSE(rows[0][1].integer());
    return {};
  });
  fixture.topic.append("s-1", "go");
  fixture.topic.append("s-1", "go");
  fixture.open({projection});
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[2]]");
}
