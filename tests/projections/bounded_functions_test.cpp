// The replacements of SQLite's functions against SQLite's own, on values that make a difference.
#include "projections/bounded_functions.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "projections/query_budget.h"
#include "projections/sqlite_database.h"

using namespace keelson;
using projections::Database;
using projections::Statement;
using projections::Value;

namespace {

class Both {
 public:
  Both() : theirs_(open()), ours_(open()) {
    REQUIRE(projections::register_bounded_functions(*ours_));
  }

  /// Whether both say the same of `call`; what they say is in `said`.
  bool agree(const std::string& call, const std::vector<Value>& values) {
    const std::string sql = "SELECT typeof(" + call + "), quote(" + call + ")";
    said = answer(*theirs_, sql, values);
    const std::string ours = answer(*ours_, sql, values);
    CAPTURE(ours);
    CAPTURE(said);
    CHECK(ours == said);
    return ours == said;
  }

  std::string said;

 private:
  static std::unique_ptr<Database> open() {
    auto opened = Database::open("", Database::Mode::memory);
    REQUIRE(opened);
    return *std::move(opened);
  }

  static std::string answer(Database& database, const std::string& sql,
                            const std::vector<Value>& values) {
    auto statement = database.prepare(sql);
    if (!statement) return statement.error().message();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (auto bound = statement->bind(static_cast<int>(i) + 1, values[i]); !bound) {
        return bound.error().message();
      }
    }
    const auto stepped = statement->step();
    if (!stepped) return "error " + database.error().context;
    return std::string(statement->text(0)) + ' ' + std::string(statement->text(1));
  }

  std::unique_ptr<Database> theirs_, ours_;
};

/// Few letters, so that what is looked for is often there, nearly.
class Letters {
 public:
  explicit Letters(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t end) { return random_() % end; }

  std::string text(const std::vector<std::string>& letters, std::size_t length_max) {
    std::string made;
    for (std::size_t length = below(length_max + 1); length > 0; --length) {
      made += letters[below(letters.size())];
    }
    return made;
  }

  Value value(const std::vector<std::string>& letters, std::size_t length_max) {
    switch (below(12)) {
      case 0: return nullptr;
      case 1: return std::int64_t(below(1'000));
      case 2: return 1.5;
      case 3:
      case 4: return Value::blob(text(letters, length_max));
      default: return text(letters, length_max);
    }
  }

 private:
  std::mt19937 random_;
};

const std::vector<std::string> kLetters = {"a", "A", "b", "1", "ä", "Ä", "€", "😀", " ", "."};

}  // namespace

TEST_CASE("bounded functions: instr, replace and trim say what SQLite's say") {
  Both both;
  Letters letters(1);
  for (int i = 0; i < 20'000; ++i) {
    const Value a = letters.value(kLetters, 12);
    const Value b = letters.value(kLetters, 3);
    const Value c = letters.value(kLetters, 3);
    REQUIRE(both.agree("instr(?1, ?2)", {a, b}));
    REQUIRE(both.agree("replace(?1, ?2, ?3)", {a, b, c}));
    for (const std::string function : {"trim", "ltrim", "rtrim"}) {
      REQUIRE(both.agree(function + "(?1)", {a}));
      REQUIRE(both.agree(function + "(?1, ?2)", {a, b}));
    }
  }
}

TEST_CASE("bounded functions: instr finds no character in the midst of one") {
  Both both;
  for (const auto* needle : {"x'a4'", "CAST(x'a4' AS TEXT)", "CAST(x'a462' AS TEXT)", "'b'"}) {
    for (const auto* text : {"'äb'", "x'c3a462'", "CAST(x'a462' AS TEXT)", "x'a462'"}) {
      CHECK(both.agree("instr(" + std::string(text) + ", " + needle + ")", {}));
    }
  }
  CHECK(both.agree("instr(char(97, 0, 98), char(98))", {}));
  CHECK(both.agree("replace(char(97, 0, 98), char(0, 98), 'c')", {}));
  CHECK(both.agree("trim(char(97, 0, 98), 'ab')", {}));
}

TEST_CASE("bounded functions: LIKE says what SQLite's says") {
  Both both;
  Letters letters(2);
  std::vector<std::string> pattern = kLetters;
  pattern.insert(pattern.end(), {"%", "%", "%", "_", "_"});
  int matched = 0;
  for (int i = 0; i < 60'000; ++i) {
    const Value text = letters.value(kLetters, 10);
    const Value like = letters.value(pattern, 7);
    REQUIRE(both.agree("?1 LIKE ?2", {text, like}));
    if (both.said == "integer 1") ++matched;
    REQUIRE(both.agree("?1 LIKE ?2 ESCAPE 'a'", {text, like}));
    REQUIRE(both.agree("?1 LIKE ?2 ESCAPE ?3", {text, like, letters.value(pattern, 2)}));
  }
  CHECK(matched > 1'500);
}

TEST_CASE("bounded functions: a BLOB matches a pattern where SQLite says so") {
  Both both;
  for (const std::string text : {"x'61'", "'a'", "NULL", "1"}) {
    for (const std::string pattern : {"x'61'", "'a'", "NULL", "1"}) {
      CHECK(both.agree(text + " LIKE " + pattern, {}));
      CHECK(both.agree(text + " GLOB " + pattern, {}));
      CHECK(both.agree(text + " LIKE " + pattern + " ESCAPE NULL", {}));
      CHECK(both.agree(text + " LIKE " + pattern + " ESCAPE x'61'", {}));
    }
  }
}

TEST_CASE("bounded functions: GLOB says what SQLite's says") {
  Both both;
  Letters letters(3);
  std::vector<std::string> pattern = kLetters;
  pattern.insert(pattern.end(), {"*", "*", "?", "[", "[", "]", "]", "^", "-", "[a", "[^", "a-c]"});
  int matched = 0;
  for (int i = 0; i < 60'000; ++i) {
    REQUIRE(both.agree("?1 GLOB ?2", {letters.value(pattern, 8), letters.value(pattern, 7)}));
    if (both.said == "integer 1") ++matched;
  }
  CHECK(matched > 1'000);
  for (const std::string glob : {"[]]", "[^]]", "[]-a]", "[a-]", "[-a]", "[a", "[", "[]", "[^]",
                                 "[a-c-e]", "a[b", "*[]a]*", "[ä-€]", "[c-a]"}) {
    for (const std::string text : {"]", "a", "b", "-", "d", "^", "a[b", "€", ""}) {
      CHECK(both.agree("?1 GLOB ?2", {text, glob}));
    }
  }
}

TEST_CASE("bounded functions: a pattern is too long where SQLite's is") {
  Both both;
  CHECK(both.agree("'a' LIKE ?1", {std::string(50'000, 'a')}));
  CHECK(both.agree("'a' LIKE ?1", {std::string(50'001, 'a')}));
  CHECK(both.said.find("too complex") != std::string::npos);
}

TEST_CASE("bounded functions: a pattern in a column is another one in each row") {
  Both both;
  CHECK(
      both.agree("(SELECT group_concat('abc' LIKE p) FROM (SELECT 'a%' AS p UNION ALL SELECT 'b%' "
                 "UNION ALL SELECT '%c'))",
                 {}));
  CHECK(both.said == "text '1,0,1'");
}

TEST_CASE("bounded functions: megabytes against megabytes") {
  auto database = Database::open("", Database::Mode::memory);
  REQUIRE(database);
  REQUIRE(projections::register_bounded_functions(**database));
  const std::string sql =
      "WITH n(a, b) AS (SELECT hex(zeroblob(500000)), hex(zeroblob(250000)) || '1') "
      "SELECT instr(a, b), length(replace(a, b, 'x')), length(rtrim(a || 'x', b)), "
      "length(trim(b || a, replace(a, '0', 'ä') || 0))"
      "FROM n";
  auto statement = (*database)->prepare(sql);
  REQUIRE(statement);
  REQUIRE(statement->step());
  CHECK(statement->integer(0) == 0);
  CHECK(statement->integer(1) == 1'000'000);
  CHECK(statement->integer(2) == 1'000'001);
  CHECK(statement->integer(3) == 1);
}

TEST_CASE("bounded functions: LIKE and GLOB stop when the time is over") {
  auto database = Database::open("", Database::Mode::memory);
  REQUIRE(database);
  REQUIRE(projections::register_bounded_functions(**database));
  const std::string zeros(90, '0');
  for (const std::string& pattern : {"LIKE '%" + zeros + "1%'", "GLOB '*" + zeros + "1*'",
                                     "LIKE '%" + zeros + "x1%' ESCAPE 'x'"}) {
    auto statement = (*database)->prepare("SELECT hex(zeroblob(500000)) " + pattern);
    REQUIRE(statement);
    // The time begins to be over once the text is made: what is stopped is the matching.
    struct Ending final : Clock {
      [[nodiscard]] TimeUs now() const override { return {}; }
      [[nodiscard]] std::chrono::nanoseconds monotonic() const override {
        return std::chrono::nanoseconds(++looks);
      }
      mutable int looks = 0;
    } clock;
    const projections::Deadline deadline{&clock, std::chrono::nanoseconds(20)};
    projections::QueryBudget budget(deadline, 1u << 30);
    CHECK_FALSE(statement->step());
    CHECK(budget.exceeded() == Errc::timeout);
    CHECK(clock.looks == 20);
  }
}
