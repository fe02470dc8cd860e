// Random histories, checked against a database without any history that is asked after each event.
#include <sqlite3.h>

#include <algorithm>
#include <random>

#include "projections/json_rows.h"
#include "tests/projections/support/host_fixture.h"
#include "tests/projections/support/random_queries.h"

using namespace keelson;
using namespace keelson::test;

namespace {

constexpr const char* kSchema = R"sql(
  CREATE TABLE pair (
    a TEXT, b INTEGER, c INTEGER, d TEXT UNIQUE,
    PRIMARY KEY (a, b)
  ) STRICT;
  CREATE INDEX pair_c ON pair (c);
  CREATE TABLE item (
    id INTEGER PRIMARY KEY, ref TEXT NOT NULL DEFAULT 'none', x REAL, y BLOB, n TEXT COLLATE NOCASE
  ) STRICT;
  CREATE INDEX item_ref ON item (ref, x);
  CREATE TABLE child (
    parent INTEGER NOT NULL REFERENCES item (id) ON DELETE CASCADE ON UPDATE CASCADE,
    name TEXT NOT NULL, v INTEGER,
    PRIMARY KEY (name, parent)
  ) STRICT, WITHOUT ROWID;
  CREATE VIEW joined AS
    SELECT item.id, pair.a, pair.b, pair.c FROM item JOIN pair ON pair.a = item.ref;
)sql";

/// Every way in: full scans, key, prefix, range, index, joins, views, aggregates, other collations
/// and affinities. Each is ordered, so that two answers can be compared as text.
const std::vector<std::string> kQueries = {
    "SELECT * FROM pair ORDER BY a, b",
    "SELECT * FROM pair ORDER BY a DESC, b DESC",
    "SELECT * FROM item ORDER BY id",
    "SELECT * FROM child ORDER BY name, parent",
    "SELECT count(*) FROM pair",
    "SELECT c, d FROM pair WHERE a = 'k1' AND b = 2",
    "SELECT b, c FROM pair WHERE a = 'k1' ORDER BY b",
    "SELECT a, b FROM pair WHERE a > 'k1' AND a <= 'k3' ORDER BY a, b",
    "SELECT a, b FROM pair WHERE a = 'k2' AND b >= 1 AND b < 3 ORDER BY b DESC",
    "SELECT a, b, d FROM pair WHERE c = 3 ORDER BY a, b",
    "SELECT a, b FROM pair WHERE c IN (1, 2, 5) ORDER BY a, b",
    "SELECT a, b FROM pair WHERE d = 'd4'",
    "SELECT a, b FROM pair WHERE c IS NULL ORDER BY a, b",
    "SELECT a, b FROM pair WHERE c = 1 OR d = 'd2' ORDER BY a, b",
    "SELECT a, b FROM pair WHERE a = 1 ORDER BY a, b",
    "SELECT a, b FROM pair WHERE a = 1 ORDER BY b, a",
    "SELECT a, b FROM pair WHERE a = CAST('1' AS INTEGER) ORDER BY a, b",
    "SELECT a, b FROM pair WHERE a > 2.0 ORDER BY a, b",
    "SELECT p.a, p.b, i.id FROM item i CROSS JOIN pair p ON p.a = i.id ORDER BY 1, 2, 3",
    "SELECT p.a, p.b, i.id FROM pair p CROSS JOIN item i ON i.id = p.a ORDER BY 1, 2, 3",
    "SELECT i.id, j.id FROM item i CROSS JOIN item j ON j.ref = i.x * 2 - i.id ORDER BY 1, 2",
    "SELECT a, b FROM pair WHERE a = 'K1' COLLATE NOCASE ORDER BY a, b",
    "SELECT a, b FROM pair WHERE d >= 'D4' COLLATE NOCASE ORDER BY a, b",
    "SELECT a, b FROM pair ORDER BY a, b DESC",
    "SELECT a, b FROM pair ORDER BY a COLLATE NOCASE DESC, b",
    "SELECT a, b FROM pair WHERE (a, b) > ('k1', 2) ORDER BY a, b",
    "SELECT a, b FROM pair WHERE a LIKE 'K1%' ORDER BY a, b",
    "SELECT a, b FROM pair WHERE b IS 2 AND c IS NOT NULL ORDER BY a, b",
    "SELECT a, b FROM pair WHERE a IN (SELECT ref FROM item) ORDER BY a, b",
    "SELECT DISTINCT a FROM pair ORDER BY a",
    "SELECT a, sum(c), count(*) FROM pair GROUP BY a ORDER BY a",
    "SELECT id FROM item WHERE n = 'NAME1' ORDER BY id",
    "SELECT id FROM item WHERE n = 'name1' COLLATE BINARY ORDER BY id",
    "SELECT id, x FROM item WHERE ref = 'k2' ORDER BY x, id",
    "SELECT id FROM item WHERE ref = 'k2' AND x > 1.5 ORDER BY id",
    "SELECT id FROM item WHERE id = '2'",
    "SELECT id, y FROM item WHERE x BETWEEN 0.5 AND 2 ORDER BY id",
    "SELECT item.id, pair.b FROM item JOIN pair ON pair.a = item.ref AND pair.b = item.id "
    "ORDER BY 1, 2",
    "SELECT item.id, child.name, child.v FROM item LEFT JOIN child ON child.parent = item.id "
    "ORDER BY 1, 2",
    "SELECT p.a, p.b, q.b FROM pair p JOIN pair q ON q.a = p.a AND q.b > p.b ORDER BY 1, 2, 3",
    "SELECT id, (SELECT max(c) FROM pair WHERE a = ref) FROM item ORDER BY id",
    "SELECT id FROM item WHERE EXISTS (SELECT 1 FROM child WHERE parent = id) ORDER BY id",
    "SELECT * FROM joined ORDER BY 1, 2, 3, 4",
    "WITH k(a) AS (SELECT a FROM pair WHERE c > 1) SELECT count(*) FROM k",
    "SELECT a, b, c FROM pair ORDER BY a, b LIMIT 3 OFFSET 1",
    "SELECT a FROM pair UNION SELECT ref FROM item ORDER BY 1",
    "SELECT a, b, row_number() OVER (ORDER BY c, a, b) FROM pair ORDER BY a, b",
};

/// Plain SQLite with the author's schema and nothing else.
class PlainDatabase {
 public:
  PlainDatabase() {
    REQUIRE(sqlite3_open(":memory:", &handle_) == SQLITE_OK);
    REQUIRE(run("PRAGMA foreign_keys = ON"));
    REQUIRE(run(kSchema));
  }
  ~PlainDatabase() { sqlite3_close(handle_); }
  PlainDatabase(const PlainDatabase&) = delete;
  PlainDatabase& operator=(const PlainDatabase&) = delete;

  bool run(const std::string& sql) {
    return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  /// All of them, or none.
  bool run_event(const std::vector<std::string>& statements) {
    REQUIRE(run("SAVEPOINT event"));
    for (const auto& sql : statements) {
      if (run(sql)) continue;
      REQUIRE(run("ROLLBACK TO event"));
      REQUIRE(run("RELEASE event"));
      return false;
    }
    REQUIRE(run("RELEASE event"));
    return true;
  }
  std::string query(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    REQUIRE(sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK);
    std::string json = "[";
    while (sqlite3_step(statement) == SQLITE_ROW) {
      json += json.size() > 1 ? ",[" : "[";
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        if (i > 0) json += ',';
        projections::append_json_column(json, statement, i);
      }
      json += ']';
    }
    sqlite3_finalize(statement);
    return json + "]";
  }

 private:
  sqlite3* handle_ = nullptr;
};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::vector<std::string> event() {
    std::vector<std::string> statements;
    const int count = below(3) == 0 ? 1 + below(4) : 1;
    for (int i = 0; i < count; ++i) statements.push_back(statement());
    return statements;
  }
  int below(int n) { return std::uniform_int_distribution(0, n - 1)(random_); }

 private:
  std::string number(int n) { return std::to_string(below(n)); }
  /// Some keys are numbers as text: equal to a number, or not, by the rules of affinity.
  std::string key() {
    const std::string kinds[] = {"'k", "'k", "'k", "'k", "'", "'0", "' "};
    return kinds[below(7)] + number(5) + "'";
  }
  std::string maybe(std::string value) { return below(5) == 0 ? "NULL" : value; }
  std::string pair_row() {
    const std::string large = below(20) == 0 ? "9007199254740993" : number(6);
    return "(" + key() + "," + number(4) + "," + maybe(large) + "," +
           maybe("'d" + number(9) + "'") + ")";
  }
  std::string item_row() {
    const std::string reals[] = {"9007199254740992.0", "9e999", number(6) + ".0"};
    const std::string real = below(5) == 0 ? reals[below(3)] : number(6) + ".5";
    return "(" + number(7) + "," + key() + "," + maybe(real) + "," +
           maybe("x'0" + number(9) + "'") + "," +
           maybe((below(2) == 0 ? "'Name" : "'name") + number(3) + "'") + ")";
  }
  std::string insert() {
    const std::string kinds[] = {"INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"};
    return kinds[below(4)];
  }
  std::string where_pair() {
    const std::string kinds[] = {"a = " + key() + " AND b = " + number(4), "a = " + key(),
                                 "c = " + number(6), "TRUE"};
    return kinds[below(8) == 0 ? 3 : below(3)];
  }

  std::string statement() {
    switch (below(16)) {
      case 0:
      case 1:
      case 2: return insert() + " INTO pair VALUES " + pair_row();
      case 3:
        return "INSERT INTO pair VALUES " + pair_row() +
               " ON CONFLICT (a, b) DO UPDATE SET c = coalesce(c, 0) + 1, d = excluded.d";
      case 4: return "UPDATE pair SET c = coalesce(c, 0) + 1 WHERE " + where_pair();
      case 5:
        return "UPDATE pair SET d = " + maybe("'d" + number(9) + "'") + " WHERE " + where_pair();
      case 6: return "UPDATE OR REPLACE pair SET a = " + key() + " WHERE " + where_pair();
      case 7: return "UPDATE OR IGNORE pair SET b = b + 1, c = 0 WHERE " + where_pair();
      case 8: return "DELETE FROM pair WHERE " + where_pair();
      case 9:
      case 10: return insert() + " INTO item VALUES " + item_row();
      case 11: return "UPDATE OR REPLACE item SET id = " + number(7) + " WHERE id = " + number(7);
      case 12: return "UPDATE item SET x = x * 2, ref = " + key() + " WHERE id = " + number(7);
      case 13: return "DELETE FROM item WHERE id = " + number(7);
      case 14:
        return insert() + " INTO child VALUES (" + number(7) + ",'c" + number(3) + "'," +
               number(9) + ")";
      default:
        return "UPDATE child SET v = v + 1, name = 'c" + number(3) + "' WHERE v > " + number(9);
    }
  }

  std::mt19937 random_;
};

/// Each event carries the SQL it does.
Projection scripted() {
  Projection projection("test", 1);
  projection.schema(kSchema);
  projection.on("s", "sql", [](const EventContext& event, Tables& tables) -> Result<void> {
    for (const auto& statement : event.data()) {
      KEELSON_TRY(tables.run(statement.get<std::string>()));
    }
    return {};
  });
  return projection;
}

}  // namespace

TEST_CASE("as of: any query at any offset answers as a plain database did then") {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    HostFixture fixture;
    // Small transactions, so that many of them follow one another.
    fixture.options.transaction_events_max = 1 + seed % 7;
    Generator generator(seed);
    PlainDatabase plain;
    std::vector<std::vector<std::string>> answers;  // by offset, by query
    while (answers.size() < 120) {
      const auto statements = generator.event();
      if (!plain.run_event(statements)) continue;
      fixture.topic.append("s-1", "sql", nlohmann::json(statements).dump());
      auto& then = answers.emplace_back();
      for (const auto& query : kQueries) then.push_back(plain.query(query));
    }
    fixture.open({scripted()});
    REQUIRE(fixture.host->status("test")->partitions[0].error == "");
    for (std::size_t offset = 0; offset < answers.size(); ++offset) {
      for (std::size_t q = 0; q < kQueries.size(); ++q) {
        const std::string answer = fixture.query(kQueries[q], std::int64_t(offset));
        if (answer == answers[offset][q]) continue;
        CAPTURE(offset);
        CAPTURE(kQueries[q]);
        REQUIRE(answer == answers[offset][q]);
      }
    }
    for (std::size_t q = 0; q < kQueries.size(); ++q) {
      CAPTURE(kQueries[q]);
      REQUIRE(fixture.query(kQueries[q]) == answers.back()[q]);
    }
  }
}

namespace {

/// The rows of a JSON text in an order of their own, or the text if it is a message.
std::vector<std::string> sorted_rows(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return {text};
  std::vector<std::string> rows;
  for (const auto& row : json) rows.push_back(row.dump());
  std::ranges::sort(rows);
  return rows;
}

}  // namespace

TEST_CASE("as of: any comparison finds the rows that it found in a plain database then") {
  constexpr int kQueriesEach = 10;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    HostFixture fixture;
    Generator generator(seed);
    RandomQueries random(seed);
    PlainDatabase plain;
    struct Answered {
      std::string query;
      std::vector<std::string> rows;
    };
    std::vector<std::vector<Answered>> answers;  // by offset
    while (answers.size() < 80) {
      const auto statements = generator.event();
      if (!plain.run_event(statements)) continue;
      fixture.topic.append("s-1", "sql", nlohmann::json(statements).dump());
      auto& then = answers.emplace_back();
      for (int i = 0; i < kQueriesEach; ++i) {
        const std::string query = random.next();
        then.push_back({query, sorted_rows(plain.query(query))});
      }
    }
    fixture.open({scripted()});
    REQUIRE(fixture.host->status("test")->partitions[0].error == "");
    for (std::size_t offset = 0; offset < answers.size(); ++offset) {
      CAPTURE(offset);
      for (const auto& [query, rows] : answers[offset]) {
        CAPTURE(query);
        CHECK(sorted_rows(fixture.query(query, std::int64_t(offset))) == rows);
      }
    }
    for (const auto& [query, rows] : answers.back()) {
      CAPTURE(query);
      CHECK(sorted_rows(fixture.query(query)) == rows);
    }
  }
}

TEST_CASE("as of: a number joins all texts of a key that are equal to it") {
  HostFixture fixture;
  for (const std::string sql :
       {"INSERT INTO item (id) VALUES (1)", "INSERT INTO pair VALUES ('1', 1, 5, NULL)",
        "INSERT INTO pair VALUES ('01', 1, 5, NULL)", "UPDATE pair SET c = 6"}) {
    fixture.topic.append("s-1", "sql", nlohmann::json({sql}).dump());
  }
  fixture.open({scripted()});
  for (const std::int64_t at : {2, 3}) {
    CAPTURE(at);
    // Nothing of `pair` is asked for: SQLite leaves such a join out if it can find one row at most.
    CHECK(fixture.query("SELECT i.id FROM item i LEFT JOIN pair p ON p.a = i.id AND p.b = 1", at) ==
          "[[1],[1]]");
  }
}

TEST_CASE("as of: rows found in two ways are each there once, whatever is asked of them") {
  HostFixture fixture;
  for (const std::string sql :
       {"INSERT INTO pair VALUES ('k1', 1, 5, 'd1')", "INSERT INTO pair VALUES ('k1', 2, 6, 'd2')",
        "INSERT INTO pair VALUES ('k2', 1, 6, 'd3')", "UPDATE pair SET c = c + 1"}) {
    fixture.topic.append("s-1", "sql", nlohmann::json({sql}).dump());
  }
  fixture.open({scripted()});
  CHECK(fixture.query("SELECT d FROM pair WHERE c = 6 OR a = 'k1' ORDER BY 1", 2) ==
        R"([["d1"],["d2"],["d3"]])");
  CHECK(fixture.query("SELECT d FROM pair WHERE c = 6 OR a = 'k1' ORDER BY 1") ==
        R"([["d1"],["d2"]])");
  CHECK(fixture.query("SELECT d FROM pair__history WHERE c = 6 OR a = 'k1' ORDER BY 1") ==
        R"([["d1"],["d1"],["d2"],["d2"],["d3"]])");
}

TEST_CASE("as of: over several partitions a query sees the union of their rows") {
  constexpr std::uint32_t kPartitions = 3;
  // Answers that are the same whichever partition holds a row; the plain side adds up by itself.
  const std::vector<std::pair<std::string, std::string>> queries = {
      {"SELECT * FROM pair ORDER BY a, b, _partition",
       "SELECT a, b, c, d FROM pair ORDER BY a, b, p"},
      {"SELECT a, b, c, _partition FROM pair ORDER BY a, b, _partition",
       "SELECT a, b, c, p FROM pair ORDER BY a, b, p"},
      {"SELECT count(*) FROM pair", "SELECT count(*) FROM pair"},
      {"SELECT DISTINCT a, b FROM pair ORDER BY a, b",
       "SELECT DISTINCT a, b FROM pair ORDER BY a, b"},
      {"SELECT a, b, sum(c) FROM pair GROUP BY a, b ORDER BY a, b",
       "SELECT a, b, sum(c) FROM pair GROUP BY a, b ORDER BY a, b"},
      {"SELECT a, c FROM pair ORDER BY a, b, _partition LIMIT 4",
       "SELECT a, c FROM pair ORDER BY a, b, p LIMIT 4"},
      {"SELECT c FROM pair WHERE a = 'k1' AND b = 2 ORDER BY c",
       "SELECT c FROM pair WHERE a = 'k1' AND b = 2 ORDER BY c"},
      {"SELECT a, b, c FROM pair ORDER BY a, b", "SELECT a, b, c FROM pair ORDER BY a, b, p"},
      {"SELECT b, c FROM pair WHERE a = 'k1' ORDER BY b DESC",
       "SELECT b, c FROM pair WHERE a = 'k1' ORDER BY b DESC, p"},
      {"SELECT a, b FROM pair WHERE c = 1 OR d = 'd2' ORDER BY a, b, _partition",
       "SELECT a, b FROM pair WHERE c = 1 OR d = 'd2' ORDER BY a, b, p"},
  };
  for (unsigned seed = 100; seed < 106; ++seed) {
    CAPTURE(seed);
    HostFixture fixture(kPartitions);
    Generator generator(seed);
    std::vector<PlainDatabase> plain(kPartitions);
    std::vector<std::pair<Position, std::vector<std::string>>> answers;
    Position position(kPartitions);
    while (answers.size() < 80) {
      const auto p = static_cast<std::uint32_t>(generator.below(kPartitions));
      const auto statements = generator.event();
      if (!plain[p].run_event(statements)) continue;
      fixture.topic.memory(p).append("s-1", "sql", nlohmann::json(statements).dump());
      position.set_next(PartitionId(p), position.next(PartitionId(p)) + 1);
      // The union by hand: one table with the partition as a column.
      PlainDatabase all;
      REQUIRE(all.run("DROP VIEW joined; DROP TABLE pair; CREATE TABLE pair(a,b,c,d,p)"));
      for (std::uint32_t from = 0; from < kPartitions; ++from) {
        const auto rows = nlohmann::json::parse(plain[from].query("SELECT * FROM pair"));
        for (const auto& row : rows) {
          std::string values;
          for (const auto& value : row) {
            values +=
                value.is_string() ? "'" + value.get<std::string>() + "'," : value.dump() + ",";
          }
          REQUIRE(all.run("INSERT INTO pair VALUES (" + values + std::to_string(from) + ")"));
        }
      }
      auto& then = answers.emplace_back(position, std::vector<std::string>{});
      for (const auto& query : queries) then.second.push_back(all.query(query.second));
    }
    fixture.open({scripted()});
    for (const auto& [at, expected] : answers) {
      for (std::size_t q = 0; q < queries.size(); ++q) {
        CAPTURE(at.to_string());
        CAPTURE(queries[q].first);
        REQUIRE(fixture.query(queries[q].first, at) == expected[q]);
      }
    }
  }
}
