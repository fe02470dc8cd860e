#include "projections/versioned_schema.h"

#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;
using projections::VersionedSchema;

namespace {

/// Why `definition` is refused; empty when it is not.
std::string refusal(const std::string& definition) {
  const auto checked = VersionedSchema::check(definition);
  if (checked) return "";
  CHECK(checked.error().code == Errc::bad_request);
  return checked.error().context;
}

bool refuses(const std::string& definition, const std::string& because) {
  const std::string why = refusal(definition);
  CAPTURE(definition);
  CAPTURE(why);
  const bool found = why.find(because) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE(
    "versioned schema: a table must be STRICT, with a key that can be looked up by its bytes") {
  CHECK(refusal("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) STRICT") == "");
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER)", "not STRICT"));
  CHECK(refuses("CREATE TABLE t (k TEXT, v INTEGER) STRICT", "no PRIMARY KEY"));
  CHECK(refuses("CREATE TABLE t (k ANY PRIMARY KEY) STRICT", "type ANY"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v ANY) STRICT", "type ANY"));
  CHECK(refuses("CREATE TABLE t (k REAL PRIMARY KEY) STRICT", "is REAL in the primary key"));
  CHECK(refuses("CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY) STRICT", "collation NOCASE"));
}

TEST_CASE("versioned schema: what would escape the history is refused") {
  const std::string table = "CREATE TABLE t (k INTEGER PRIMARY KEY, v INTEGER) STRICT;";
  CHECK(refuses(table + "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END", "triggers"));
  CHECK(refuses("CREATE TABLE t (k INTEGER PRIMARY KEY AUTOINCREMENT) STRICT", "AUTOINCREMENT"));
  CHECK(refuses("CREATE VIRTUAL TABLE t USING fts5(x)", "virtual tables"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT AS (upper(k))) STRICT", "generated"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT AS (k) STORED) STRICT", "generated"));
  CHECK(refuses("CREATE TEMP TABLE t (k TEXT PRIMARY KEY) STRICT", "only CREATE TABLE"));
}

TEST_CASE("versioned schema: what would differ at a replay is refused") {
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER DEFAULT (random())) STRICT",
                "DEFAULT"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT DEFAULT CURRENT_TIMESTAMP) STRICT",
                "DEFAULT"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER CHECK (v > random())) STRICT",
                "random()"));
  CHECK(
      refuses("CREATE TABLE t (k TEXT PRIMARY KEY) STRICT;"
              "CREATE VIEW w AS SELECT datetime('now') FROM t",
              "datetime()"));
  CHECK(refusal("CREATE TABLE t (k TEXT PRIMARY KEY, a INTEGER DEFAULT -1, b TEXT DEFAULT 'x',"
                " c REAL DEFAULT 1.5, d BLOB DEFAULT x'00', e INTEGER DEFAULT (2 + 2),"
                " f TEXT DEFAULT NULL, g INTEGER CHECK (g > abs(a))) STRICT") == "");
}

TEST_CASE("versioned schema: names of the framework are not free") {
  const std::string columns = " (k TEXT PRIMARY KEY) STRICT";
  for (const auto* name : {"keelson_x", "KEELSON_x", "_t", "t__h", "a__b", "pragma_x", "dbstat"}) {
    CHECK(refuses("CREATE TABLE " + std::string(name) + columns, "reserved"));
  }
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY, _from INTEGER) STRICT", "reserved"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY) STRICT; CREATE INDEX t__i ON t (k)",
                "reserved"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY) STRICT; CREATE VIEW _w AS SELECT k FROM t",
                "reserved"));
}

TEST_CASE("versioned schema: a schema holds definitions and nothing else") {
  const std::string table = "CREATE TABLE t (k TEXT PRIMARY KEY) STRICT;";
  CHECK(refuses("", "no table"));
  CHECK(refuses(table + "INSERT INTO t VALUES ('a')", "definitions only"));
  CHECK(refuses(table + "DROP TABLE t", "only CREATE TABLE"));
  CHECK(refuses(table + "ALTER TABLE t ADD COLUMN v", "only CREATE TABLE"));
  CHECK(refuses(table + "PRAGMA journal_mode = OFF", "only CREATE TABLE"));
  CHECK(refuses(table + "ATTACH 'x' AS y", "only CREATE TABLE"));
  CHECK(refuses("CREATE TABLE t (k TEXT PRIMARY KEY STRICT", "syntax error"));
}

TEST_CASE("versioned schema: names in quotes, with spaces and SQL in them, work") {
  HostFixture fixture;
  Projection projection("test", 1);
  projection.schema(
      R"(CREATE TABLE "a ""b; DROP" ("the key" TEXT PRIMARY KEY, "select" INTEGER) STRICT;
                       CREATE INDEX "i x" ON "a ""b; DROP" ("select");)");
  projection.on("s", "set", R"(INSERT INTO "a ""b; DROP" VALUES (@stream_id, :v)
                          ON CONFLICT DO UPDATE SET "select" = excluded."select")");
  fixture.topic.append("s-1", "set", R"({"v":1})");
  fixture.topic.append("s-1", "set", R"({"v":2})");
  fixture.open({projection});
  CHECK(fixture.query(R"(SELECT * FROM "a ""b; DROP")", 0) == R"([["1",1]])");
  CHECK(fixture.query(R"(SELECT "the key" FROM "a ""b; DROP" WHERE "select" = 1)", 0) ==
        R"([["1"]])");
  CHECK(fixture.query(R"(SELECT * FROM "a ""b; DROP")") == R"([["1",2]])");
}
