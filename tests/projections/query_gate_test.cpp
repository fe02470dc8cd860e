// What a query from outside can do, and what it is kept from.
#include <sqlite3.h>

#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;

namespace {

class QueryFixture : public HostFixture {
 public:
  QueryFixture() {
    Projection projection("test", 1);
    projection.schema(R"sql(
      CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER, r REAL, b BLOB) STRICT;
      CREATE VIEW w AS SELECT k, v FROM t WHERE v > 1;
    )sql");
    projection.on("s", "set", "INSERT INTO t(k, v) VALUES (@stream_id, :v)");
    for (const auto* v : {"1", "2", "3"}) {
      topic.append(std::string("s-") + v, "set", std::string(R"({"v":)") + v + "}");
    }
    open({projection});
  }

  /// The error's code and text, or "" when the query is answered.
  std::string refusal(const std::string& sql, const nlohmann::json& params = nullptr) {
    const auto result = try_query(sql, std::nullopt, params);
    return result ? "" : result.error().message();
  }
};

bool says(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("query gate: everything but one SELECT is refused") {
  QueryFixture fixture;
  for (const std::string sql : {"INSERT INTO t(k) VALUES ('x')",
                                "UPDATE t SET v = 0",
                                "DELETE FROM t",
                                "REPLACE INTO t(k) VALUES ('x')",
                                "WITH c AS (SELECT 1) DELETE FROM t",
                                "CREATE TABLE u (k)",
                                "CREATE TEMP TABLE u (k)",
                                "CREATE VIEW u AS SELECT 1",
                                "CREATE VIRTUAL TABLE u USING fts5(x)",
                                "DROP TABLE t",
                                "ALTER TABLE t RENAME TO u",
                                "PRAGMA query_only = OFF",
                                "PRAGMA database_list",
                                "PRAGMA writable_schema = ON",
                                "ATTACH 'x.db' AS x",
                                "ATTACH ':memory:' AS x",
                                "DETACH main",
                                "BEGIN",
                                "COMMIT",
                                "ROLLBACK",
                                "SAVEPOINT s",
                                "RELEASE s",
                                "REINDEX",
                                "ANALYZE",
                                "VACUUM",
                                "VACUUM INTO 'x.db'",
                                "EXPLAIN SELECT 1",
                                "EXPLAIN QUERY PLAN SELECT k FROM t"}) {
    CAPTURE(sql);
    CHECK(says(fixture.refusal(sql), "bad_request: "));
  }
  CHECK(says(fixture.refusal("SELECT 1; SELECT 2"), "more than one"));
  CHECK(says(fixture.refusal("SELECT 1; DROP TABLE t"), "bad_request: "));
  CHECK(says(fixture.refusal(""), "no SQL statement"));
  CHECK(says(fixture.refusal(" -- only this\n;"), "no SQL statement"));
  CHECK(says(fixture.refusal(std::string("SELECT 1\0, 2", 12)), "NUL"));
  CHECK(fixture.query("SELECT 1; -- done\n ; ") == "[[1]]");
  CHECK(fixture.query("VALUES (1, 2), (3, 4)") == "[[1,2],[3,4]]");
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[3]]");
}

TEST_CASE("query gate: nothing but the projection's tables can be read") {
  QueryFixture fixture;
  for (const std::string table :
       {"sqlite_schema", "sqlite_master", "SQLITE_MASTER", "main.sqlite_schema",
        "temp.sqlite_schema", "sqlite_temp_schema", "t__h", "t__dead", "keelson_checkpoint",
        "keelson_identity", "pragma_database_list", "pragma_table_info('t')", "dbstat",
        "sqlite_stmt", "sqlite_dbpage", "fts3tokenize", "bytecode('SELECT 1')",
        "generate_series"}) {
    CAPTURE(table);
    CHECK(says(fixture.refusal("SELECT * FROM " + table), "bad_request: "));
    CHECK(says(fixture.refusal("SELECT count(*) FROM " + table), "bad_request: "));
    CHECK(says(fixture.refusal("SELECT (SELECT 1 FROM " + table + ") FROM t"), "bad_request: "));
    CHECK(says(fixture.refusal("WITH t AS (SELECT * FROM " + table + ") SELECT count(*) FROM t"),
               "bad_request: "));
  }
  CHECK(fixture.query("SELECT * FROM w ORDER BY k") == R"([["2",2],["3",3]])");
  CHECK(fixture.query("SELECT * FROM w ORDER BY k", 1) == R"([["2",2]])");
  CHECK(fixture.query("WITH c(n) AS (SELECT v FROM t) SELECT count(*) FROM c") == "[[3]]");
  CHECK(fixture.query("SELECT value FROM json_each('[1,2]')") == "[[1],[2]]");
}

TEST_CASE("query gate: functions that reach outside or depend on more than arguments are refused") {
  QueryFixture fixture;
  for (const std::string call : {"random()",
                                 "randomblob(8)",
                                 "datetime('now')",
                                 "date('2020-01-01')",
                                 "time()",
                                 "julianday('now')",
                                 "unixepoch()",
                                 "strftime('%s', 'now')",
                                 "current_timestamp",
                                 "current_date",
                                 "last_insert_rowid()",
                                 "changes()",
                                 "total_changes()",
                                 "sqlite_version()",
                                 "sqlite_source_id()",
                                 "sqlite_compileoption_get(0)",
                                 "load_extension('x')",
                                 "writefile('x', 'y')",
                                 "readfile('/etc/passwd')",
                                 "edit('x')",
                                 "fts3_tokenizer('x')",
                                 "keelson_offset()",
                                 "sqlite_log(1, 'x')",
                                 "rtreecheck('t')",
                                 "eval('SELECT 1')"}) {
    CAPTURE(call);
    CHECK(says(fixture.refusal("SELECT " + call), "bad_request: "));
    CHECK(says(fixture.refusal("SELECT k FROM t WHERE v = " + call), "bad_request: "));
    CHECK(says(fixture.refusal("WITH c AS (SELECT " + call + " AS x) SELECT x FROM c"),
               "bad_request: "));
  }
  CHECK(fixture.query("SELECT upper('a'), abs(-1), round(2.5), json_extract('{\"a\":1}', '$.a'), "
                      "'abc' LIKE 'A%', printf('%d', 5)") == R"([["A",1,3.0,1,1,"5"]])");
}

TEST_CASE("query gate: work is bounded in time") {
  QueryFixture fixture;
  fixture.options.limits.time_max = std::chrono::milliseconds(100);
  const auto start = std::chrono::steady_clock::now();
  CHECK(says(fixture.refusal("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                             "SELECT max(i) FROM n"),
             "timeout: the query took longer than 100 ms"));
  CHECK(says(fixture.refusal("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                             "WHERE i < 1000000) SELECT count(*) FROM n a, n b"),
             "timeout: "));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  fixture.options.limits.time_max = std::chrono::minutes(1);
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[3]]");
}

// Each of these takes minutes, hours or for ever when it is not stopped.
TEST_CASE("query gate: no statement escapes its deadline, in no step and before the first") {
  QueryFixture fixture;
  fixture.options.limits.time_max = std::chrono::milliseconds(100);
  const auto start = std::chrono::steady_clock::now();
  const auto chain = [](const std::string& first, const std::string& next) {
    std::string sql = "WITH c0(x) AS (" + first + ")";
    for (int i = 1; i <= 60; ++i) {
      const std::string last = "c" + std::to_string(i - 1);
      std::string body = next;
      for (auto at = body.find('$'); at != std::string::npos; at = body.find('$')) {
        body.replace(at, 1, last);
      }
      sql += ", c" + std::to_string(i) + "(x) AS (" + body + ")";
    }
    return sql + " SELECT * FROM c60";
  };
  // Preparing: each common table expression is copied twice for the next, or its column is.
  for (const std::string& sql : {chain("SELECT 1", "SELECT a.x FROM $ a, $ b LIMIT 1"),
                                 chain("SELECT v FROM t", "SELECT x + x FROM $"),
                                 chain("SELECT 1", "SELECT x FROM $ UNION ALL SELECT x FROM $")}) {
    const std::string refusal = fixture.refusal(sql);
    CAPTURE(refusal);
    CHECK((refusal.starts_with("timeout: ") || refusal.starts_with("too_large: ")));
  }
  // One step: functions whose time grows with the product of their arguments.
  const std::string megabyte =
      "WITH m(a, b) AS (SELECT hex(zeroblob(500000)), "
      "hex(zeroblob(250000)) || '1') SELECT ";
  for (const std::string call :
       {"instr(a, b)", "replace(a, b, 'x')", "trim(a, replace(a, '0', 'ä'))",
        "a LIKE '%' || substr(b, -90) || '%'", "a GLOB '*' || substr(b, -90) || '*'"}) {
    const std::string sql = megabyte + "length(group_concat(" + call +
                            ")) FROM m, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                            "FROM n WHERE i < 1000000) SELECT i FROM n) WHERE a > i";
    CHECK(says(fixture.refusal(sql), "timeout: the query took longer than 100 ms"));
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
  fixture.options.limits.time_max = std::chrono::minutes(1);
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[3]]");
}

TEST_CASE("query gate: work is bounded in memory") {
  QueryFixture fixture;
  fixture.options.limits.memory_bytes_max = 4u << 20;
  CHECK(says(fixture.refusal("SELECT length(a || a || a) FROM (SELECT hex(zeroblob(300000)) AS a, "
                             "hex(zeroblob(900000)) AS b, hex(zeroblob(900001)) AS c, "
                             "hex(zeroblob(900002)) AS d) WHERE b < c AND c < d"),
             "too_large: the query takes more than 4194304 bytes of memory"));
  // What was refused once leaves nothing behind.
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[3]]");
  // Nor does SQLite count besides, which would take one lock for all threads at each allocation.
  CHECK(sqlite3_memory_used() == 0);
}

TEST_CASE("query gate: a value may be as large as the limit, in an answer as well") {
  QueryFixture fixture;
  fixture.options.limits.value_bytes_max = 100'000;
  CHECK(fixture.refusal("SELECT hex(zeroblob(49999)) || '00'") == "");
  CHECK(says(fixture.refusal("SELECT hex(zeroblob(49999)) || '000'"), "too_large: "));
  CHECK(
      says(fixture.refusal("SELECT replace(hex(zeroblob(10000)), '0', '123456')"), "too_large: "));
}

TEST_CASE("query gate: json_patch takes too long to be asked for") {
  QueryFixture fixture;
  CHECK(says(fixture.refusal("SELECT JSON_PATCH('{}', '{}')"),
             "json_patch() is not allowed in a query"));
}

TEST_CASE("query gate: work is bounded in rows and bytes") {
  QueryFixture fixture;
  const std::string numbers =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) ";
  fixture.options.limits.rows_max = 100;
  CHECK(fixture.refusal(numbers + "SELECT i FROM n") == "");
  fixture.options.limits.rows_max = 99;
  CHECK(says(fixture.refusal(numbers + "SELECT i FROM n"), "too_large: the answer has over 99"));
  fixture.options.limits.rows_max = 10'000;
  fixture.options.limits.bytes_max = 20'000;
  CHECK(fixture.refusal(numbers + "SELECT printf('%0150d', i) FROM n") == "");
  CHECK(says(fixture.refusal(numbers + "SELECT printf('%0300d', i) FROM n"),
             "too_large: the answer has over 20000 bytes"));
  CHECK(says(fixture.refusal("SELECT length(zeroblob(1000000000))"), "too_large: "));
  CHECK(says(fixture.refusal("SELECT hex(zeroblob(2000000))"), "too_large: "));
  CHECK(says(fixture.refusal("SELECT 1 " + std::string(100'000, ' ')), "too_large: "));
  std::string deep = "1";
  for (int i = 0; i < 500; ++i) deep = "(" + deep + "+1)";
  CHECK(says(fixture.refusal("SELECT " + deep), "bad_request: "));
  std::string wide = "SELECT 1";
  for (int i = 0; i < 100; ++i) wide += " UNION SELECT 1";
  CHECK(says(fixture.refusal(wide), "bad_request: "));
}

TEST_CASE("query gate: parameters by place and by name, all of them and no other") {
  QueryFixture fixture;
  const std::string by_place = "SELECT v FROM t WHERE k = ? OR v = ? ORDER BY v";
  const std::string by_name = "SELECT v FROM t WHERE k = :k OR v = @v ORDER BY v";
  CHECK(fixture.query(by_place, std::nullopt, {"1", 3}) == "[[1],[3]]");
  CHECK(fixture.query(by_name, std::nullopt, {{"k", "1"}, {"v", 3}}) == "[[1],[3]]");
  CHECK(fixture.query("SELECT ?, ?, ?, ?, ?", std::nullopt,
                      {nullptr, true, INT64_MIN, 0.1, "a\"b"}) ==
        R"([[null,1,-9223372036854775808,0.1,"a\"b"]])");
  CHECK(says(fixture.refusal(by_place, {"1"}), "no value for ?2"));
  CHECK(says(fixture.refusal(by_place), "no value for ?1"));
  CHECK(says(fixture.refusal(by_place, {"1", 3, 4}), "3 values for 2 parameters"));
  CHECK(says(fixture.refusal(by_name, {{"k", "1"}}), "no value for @v"));
  CHECK(says(fixture.refusal(by_name, {{"k", "1"}, {"v", 3}, {"w", 4}}), "the SQL has no :w"));
  CHECK(says(fixture.refusal("SELECT ?", nlohmann::json::array({nlohmann::json::array()})),
             "array or object"));
  CHECK(says(fixture.refusal("SELECT ?", nlohmann::json::array({UINT64_MAX})), "64-bit"));
  CHECK(says(fixture.refusal("SELECT 1", "x"), "expected an array"));
}

TEST_CASE("query gate: answers are exact") {
  QueryFixture fixture;
  CHECK(fixture.query("SELECT 9223372036854775807, -9223372036854775808, 0.1, 5.0, 1e300, 1e999, "
                      "NULL, x'00ff10', 'a\nb\"\\', char(1), 'ü€😀'") ==
        R"([[9223372036854775807,-9223372036854775808,0.1,5.0,1e+300,null,null,"AP8Q",)"
        R"("a\nb\"\\","\u0001","ü€😀"]])");
  CHECK(fixture.query("SELECT CAST(x'61ff62' AS TEXT)") ==
        "[[\"a\xef\xbf\xbd"
        "b\"]]");
  const auto result = fixture.try_query("SELECT k AS name, v FROM t WHERE v = 3");
  CHECK(result->columns == std::vector<std::string>{"name", "v"});
  CHECK(result->row_count == 1);
  CHECK(result->at.to_string() == "2");
}

TEST_CASE("query gate: errors are in the words of SQLite") {
  QueryFixture fixture;
  CHECK(fixture.refusal("SELEC 1") == "bad_request: near \"SELEC\": syntax error");
  CHECK(fixture.refusal("SELECT x FROM t") == "bad_request: no such column: x");
  CHECK(fixture.refusal("SELECT * FROM u") == "bad_request: no such table: u");
  CHECK(fixture.refusal("SELECT sum(9223372036854775807) FROM t") ==
        "bad_request: integer overflow");
}

TEST_CASE("query gate: a thousand kinds of queries leave it in order") {
  QueryFixture fixture;
  for (int i = 0; i < 3'000; ++i) {
    std::string sql = "SELECT k FROM t WHERE v >= 1";
    for (int bit = 0; bit < 12; ++bit) {
      if ((i >> bit & 1) != 0) sql += bit % 2 == 0 ? " AND v < 100" : " AND k > '0'";
    }
    REQUIRE(fixture.query(sql + " ORDER BY k") == R"([["1"],["2"],["3"]])");
  }
}
