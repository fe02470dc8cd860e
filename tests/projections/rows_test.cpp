#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;

namespace {

class RowsFixture : public HostFixture {
 public:
  explicit RowsFixture(std::uint32_t partitions = 1) : HostFixture(partitions) {
    Projection projection("test", 1);
    projection.summary("Rows of all types.");
    projection.schema(R"sql(
      CREATE TABLE t (g TEXT, id INT, r REAL, b BLOB, s TEXT, PRIMARY KEY (g, id)) STRICT;
    )sql");
    projection.on("s", "set", "INSERT INTO t VALUES (:g, :id, $r, CAST($b AS BLOB), $s)");
    topic.append("s-1", "set", R"({"g":"x","id":2,"r":1.5,"b":"hi","s":"2"})");
    topic.append("s-2", "set", R"({"g":"x","id":1,"r":-0.5,"s":"1"})");
    topic.append("s-3", "set", R"({"g":"y","id":1,"r":1.5,"s":"3"})");
    open({projection});
  }
  /// The `s` of the rows, or the error.
  std::string rows(std::vector<projections::ColumnFilter> filters, std::string order = "",
                   std::uint64_t limit = 100) {
    const auto result = host->rows("test", {"t", std::move(filters), std::move(order), limit, {}});
    if (!result) return result.error().message();
    std::string found;
    for (const auto& row : nlohmann::json::parse(result->rows_json)) {
      found += row["s"].get<std::string>();
    }
    return found;
  }
};

}  // namespace

TEST_CASE("rows: objects with the user's columns, in the order of the key") {
  RowsFixture fixture;
  const auto result = fixture.host->rows("test", {"t", {}, "", 100, {}});
  CHECK(
      result->rows_json ==
      R"([{"g":"x","id":1,"r":-0.5,"b":null,"s":"1"},{"g":"x","id":2,"r":1.5,"b":"aGk=","s":"2"},)"
      R"({"g":"y","id":1,"r":1.5,"b":null,"s":"3"}])");
  CHECK(result->row_count == 3);
  CHECK(result->at.to_string() == "2");
  CHECK(fixture.host->rows("test", {"T", {}, "", 100, at_offset(0)})->row_count == 1);
}

TEST_CASE("rows: filters compare by the column's type") {
  RowsFixture fixture;
  CHECK(fixture.rows({{"g", "x"}}) == "12");
  CHECK(fixture.rows({{"g", "x"}, {"id", "2"}}) == "2");
  CHECK(fixture.rows({{"r", "1.5"}}) == "23");
  CHECK(fixture.rows({{"b", "aGk="}}) == "2");
  CHECK(fixture.rows({{"G", "y"}}) == "3");
  CHECK(fixture.rows({{"g", "' OR 1 --"}}) == "");
  CHECK(fixture.rows({{"id", "9223372036854775807"}}) == "");
  CHECK(fixture.rows({{"id", "9223372036854775808"}}) ==
        "bad_request: column id: '9223372036854775808' is not a 64-bit integer");
  CHECK(fixture.rows({{"id", "1x"}}) == "bad_request: column id: '1x' is not a 64-bit integer");
  CHECK(fixture.rows({{"id", ""}}) == "bad_request: column id: '' is not a 64-bit integer");
  CHECK(fixture.rows({{"r", "one"}}) == "bad_request: column r: 'one' is not a number");
  CHECK(fixture.rows({{"b", "aGk"}}) == "bad_request: column b: 'aGk' is not base64");
  CHECK(fixture.rows({{"b", "a!k="}}) == "bad_request: column b: 'a!k=' is not base64");
  CHECK(fixture.rows({{"s", "\xff"}}) == "bad_request: text that is not valid UTF-8");
}

TEST_CASE("rows: an unknown column is answered with those there are") {
  RowsFixture fixture;
  CHECK(fixture.rows({{"nope", "1"}}) ==
        "bad_request: table t has no column 'nope'; it has g, id, r, b, s");
  CHECK(fixture.rows({}, "g,nope") ==
        "bad_request: table t has no column 'nope'; it has g, id, r, b, s");
  CHECK(fixture.rows({{"_from", "1"}}) ==
        "bad_request: table t has no column '_from'; it has g, id, r, b, s");
  const auto missing = fixture.host->rows("test", {"nope", {}, "", 100, {}});
  CHECK(missing.error().code == Errc::not_found);
  CHECK(fixture.host->rows("nope", {"t", {}, "", 100, {}}).error().code == Errc::not_found);
}

TEST_CASE("rows: in the order asked for, the key deciding between equals") {
  for (const std::uint32_t partitions : {1u, 4u}) {
    RowsFixture fixture(partitions);
    CHECK(fixture.rows({}, "") == "123");
    CHECK(fixture.rows({}, "-g") == "321");
    CHECK(fixture.rows({}, "-g,id") == "312");
    CHECK(fixture.rows({}, "r") == "123");
    CHECK(fixture.rows({}, "-r") == "321");
    CHECK(fixture.rows({}, "id,-g") == "312");
    CHECK(fixture.rows({}, "id", 2) == "13");
    CHECK(fixture.rows({}, "", 0) == "");
    CHECK(fixture.rows({}, "", 10'001) == "bad_request: limit is at most 10000");
  }
}

TEST_CASE("rows: what there is, for whoever describes it") {
  RowsFixture fixture;
  const auto* info = fixture.host->find("test");
  REQUIRE(info != nullptr);
  CHECK(info->summary == "Rows of all types.");
  CHECK(info->topic == "test");
  REQUIRE(info->tables.size() == 1);
  const auto& columns = info->tables[0].columns;
  REQUIRE(columns.size() == 5);
  CHECK(columns[0].type == "TEXT");
  CHECK(columns[0].key);
  CHECK_FALSE(columns[0].nullable);
  CHECK(columns[1].type == "INTEGER");
  CHECK(columns[2].nullable);
  CHECK_FALSE(columns[2].key);
  CHECK(fixture.host->find("nope") == nullptr);
}
