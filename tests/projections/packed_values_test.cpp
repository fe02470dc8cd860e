#include "projections/packed_values.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <string>
#include <vector>

#include "projections/sqlite_database.h"

using namespace keelson;
using projections::Database;
using projections::pack_sql;
using projections::PackedValues;

namespace {

/// A connection on which `nth_value(packed, n, count)` is what `PackedValues` makes of it.
std::unique_ptr<Database> open() {
  auto database = Database::open("", Database::Mode::memory).value();
  REQUIRE(projections::register_pack_function(*database));
  const auto unpack = [](sqlite3_context* context, int, sqlite3_value** argv) {
    const auto* const bytes = static_cast<const char*>(sqlite3_value_blob(argv[0]));
    const auto size = static_cast<std::size_t>(sqlite3_value_bytes(argv[0]));
    PackedValues values;
    values.read({bytes, size}, static_cast<std::size_t>(sqlite3_value_int64(argv[2])));
    values.result(context, static_cast<std::size_t>(sqlite3_value_int64(argv[1])));
  };
  REQUIRE(sqlite3_create_function_v2(database->handle(), "nth_value", 3, SQLITE_UTF8, nullptr,
                                     unpack, nullptr, nullptr, nullptr) == SQLITE_OK);
  return database;
}

/// Whether each of `values`, packed together and taken apart, is what it was, and of its type.
void check_all(const std::vector<std::string>& values) {
  const auto database = open();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string back = "nth_value(" + pack_sql(values) + "," + std::to_string(i) + "," +
                             std::to_string(values.size()) + ")";
    auto same = database->prepare("SELECT typeof(a) = typeof(b) AND a IS b FROM (SELECT " + back +
                                  " AS a, " + values[i] + " AS b)");
    REQUIRE(same);
    REQUIRE(same->step());
    CAPTURE(values[i]);
    CHECK(same->integer(0) == 1);
  }
}

}  // namespace

TEST_CASE("packed values: each comes back as it was, whatever stands beside it") {
  check_all({"NULL", "0", "-1", "9223372036854775807", "(-9223372036854775807 - 1)", "0.0", "-1.5",
             "9e999", "''", "'text'", "'Ä ü'", "CAST(x'00ff00' AS TEXT)", "x''", "x'00ff'",
             "zeroblob(100000)", "NULL"});
}

TEST_CASE("packed values: as many as a table has columns") {
  for (const std::size_t count : {1u, 99u, 100u, 101u, 200u, 201u, 256u}) {
    CAPTURE(count);
    std::vector<std::string> values;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string number = std::to_string(i);
      values.push_back(i % 3 == 0 ? number : i % 3 == 1 ? "'text " + number + "'" : "x'0102'");
    }
    check_all(values);
  }
}
