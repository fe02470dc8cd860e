#include "projections/as_of_sql.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "projections/offset_function.h"
#include "projections/packed_values.h"
#include "projections/sqlite_database.h"
#include "projections/write_gate.h"

using namespace keelson;
using namespace keelson::projections;

namespace {

/// A table with two keys and an index, and the plans of SQL on it.
class Planned {
 public:
  Planned() {
    REQUIRE(register_offset_function(*database_, offset_));
    REQUIRE(register_pack_function(*database_));
    WriteGate gate(*database_);
    REQUIRE(schema_.install(*database_, gate));
  }

  /// How SQLite finds the rows of the scan as of an offset, a line for each table that is read.
  [[nodiscard]] std::vector<std::string> plan(const Scan& scan) {
    const std::string sql = scan_sql(schema_.tables()[0], scan, ScanMode::as_of);
    auto rows = database_->prepare("EXPLAIN QUERY PLAN " + sql);
    CAPTURE(sql);
    REQUIRE(rows);
    std::vector<std::string> steps;
    while (rows->step().value()) steps.emplace_back(rows->text(3));
    return steps;
  }

 private:
  EventOffset offset_;
  std::unique_ptr<Database> database_ = Database::open("", Database::Mode::memory).value();
  VersionedSchema schema_ =
      VersionedSchema::check(
          "CREATE TABLE t (a TEXT, b INTEGER, c TEXT, d REAL, PRIMARY KEY (a, b)) STRICT;"
          "CREATE INDEX t_c ON t (c)")
          .value();
};

const std::vector<int> kColumns = {0, 1, 2, 3, 4};

}  // namespace

TEST_CASE("as of: history is read by one look-up for each key and in no other way") {
  Planned planned;
  const std::vector<Scan> scans = {
      {kColumns, {}, {}},
      {{0, 1}, {}, {}},
      {{0, 1, 4}, {}, {{0}, {1}}},
      {kColumns, {{0, "="}}, {}},
      {kColumns, {{0, "="}, {1, "="}}, {}},
      {kColumns, {{0, ">"}}, {{0}, {1}}},
      {kColumns, {{0, "="}, {1, "<="}}, {{1, true}}},
      {kColumns, {{2, "="}}, {}},
      {kColumns, {{2, "="}, {3, ">"}}, {{0}, {1}}},
      {kColumns, {{3, ">="}}, {{0, true}, {1, true}}},
  };
  for (std::size_t i = 0; i < scans.size(); ++i) {
    CAPTURE(i);
    int looks = 0;
    for (const std::string& step : planned.plan(scans[i])) {
      CAPTURE(step);
      if (step.find(" v ") == std::string::npos && !step.ends_with(" v")) continue;
      ++looks;
      CHECK(step == "SEARCH v USING PRIMARY KEY (a=? AND b=? AND _to>?)");
    }
    CHECK(looks == 2);  // for the keys that there are, and for those that there were
  }
}

TEST_CASE("as of: rows are found by the key or by the author's index, and all are read otherwise") {
  Planned planned;
  const auto found = [&](const Scan& scan, const std::string& how) {
    CAPTURE(how);
    bool is = false;
    for (const std::string& step : planned.plan(scan)) {
      CAPTURE(step);
      is = is || step == how;
      CHECK(step.find("TEMP B-TREE") == std::string::npos);
    }
    CHECK(is);
  };
  found({kColumns, {}, {}}, "SCAN t");
  found({kColumns, {{3, ">"}}, {}}, "SCAN t");
  found({kColumns, {{0, "="}}, {}}, "SEARCH t USING INDEX sqlite_autoindex_t_1 (a=?)");
  found({kColumns, {{0, "="}, {1, ">"}}, {{1}}},
        "SEARCH t USING INDEX sqlite_autoindex_t_1 (a=? AND b>?)");
  found({kColumns, {{2, "="}}, {}}, "SEARCH t USING INDEX t_c (c=?)");
  found({kColumns, {{2, "="}}, {}}, "SEARCH d USING PRIMARY KEY (c=?)");
  found({kColumns, {{0, "="}}, {}}, "SEARCH d USING PRIMARY KEY (a=?)");
}

TEST_CASE("as of: what is wanted of a row is packed, unless it is one value that is never NULL") {
  const auto schema =
      VersionedSchema::check("CREATE TABLE t (k TEXT PRIMARY KEY, a TEXT, b TEXT NOT NULL) STRICT");
  REQUIRE(schema);
  const auto packs = [&](std::vector<int> columns) {
    const Scan scan{std::move(columns), {}, {}};
    const std::string sql = scan_sql(schema->tables()[0], scan, ScanMode::as_of);
    return sql.find("keelson_pack") != std::string::npos;
  };
  CHECK(packs({0}));
  CHECK(packs({0, 1}));
  CHECK_FALSE(packs({0, 2}));
  CHECK_FALSE(packs({0, 3}));
  CHECK(packs({0, 2, 3}));
}
