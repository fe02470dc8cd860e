// Queries by chance, over the tables of as_of_oracle_test.cpp, that compare anything with anything.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace keelson::test {

/// What SQLite answers depends on the types of both sides of a comparison, on their affinities and
/// collations, and on none of the ways to find the rows. Here all of them meet.
class RandomQueries {
 public:
  explicit RandomQueries(unsigned seed) : random_(seed) {}

  /// Rows in no order.
  std::string next() {
    switch (below(8)) {
      case 0: return "SELECT p.a, p.b FROM pair p WHERE " + where({"p"});
      case 1: return "SELECT " + column("p") + " FROM pair p WHERE " + where({"p"});
      case 2: return "SELECT i.id FROM item i WHERE " + where({"i"});
      case 3:
        return "SELECT DISTINCT p." + pick({"a", "b", "c"}) + " FROM pair p WHERE " + where({"p"});
      case 4: return "SELECT k.name, k.parent FROM child k WHERE " + where({"k"});
      case 5: return compound_join();
      default: return join();
    }
  }

 private:
  using Names = std::vector<std::string>;

  int below(int n) { return std::uniform_int_distribution(0, n - 1)(random_); }
  std::string pick(const Names& names) {
    return names[static_cast<std::size_t>(below(static_cast<int>(names.size())))];
  }

  std::string column(const std::string& alias) {
    if (alias == "p") return "p." + pick({"a", "a", "b", "c", "d"});
    if (alias == "i") return "i." + pick({"id", "ref", "x", "y", "n"});
    if (alias == "k") return "k." + pick({"parent", "name", "v"});
    return "u.v";
  }
  std::string keys(const std::string& alias) {
    if (alias == "p") return "p.a, p.b";
    if (alias == "i") return "i.id";
    return "k.name, k.parent";
  }
  std::string table(const std::string& alias) {
    if (alias == "p") return "pair p";
    if (alias == "i") return "item i";
    return "child k";
  }

  std::string literal() {
    return pick({"0",
                 "1",
                 "2",
                 "3",
                 "5",
                 "-1",
                 "2.0",
                 "2.5",
                 "1e0",
                 "NULL",
                 "1 = 1",
                 "9e999",
                 "9007199254740992",
                 "9007199254740993",
                 "9007199254740992.0",
                 "1e19",
                 "'0'",
                 "'1'",
                 "'2'",
                 "'01'",
                 "' 1'",
                 "'1.0'",
                 "'2.5'",
                 "'1e0'",
                 "'k1'",
                 "'K1'",
                 "'k2'",
                 "'c1'",
                 "'d4'",
                 "'name1'",
                 "''",
                 "'abc'",
                 "'!'",
                 "'9007199254740993'",
                 "'Inf'",
                 "x''",
                 "x'01'",
                 "x'31'",
                 "x'6b31'"});
  }
  std::string cast(const std::string& expression) {
    return "CAST(" + expression + " AS " + pick({"TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"}) +
           ")";
  }
  /// Something to compare with, that may look at the row of `alias`.
  std::string operand(const std::string& alias) {
    switch (below(12)) {
      case 0: return cast(literal());
      case 1: return literal() + " COLLATE " + pick({"NOCASE", "BINARY", "RTRIM"});
      case 2: return column(alias);
      case 3: return below(2) == 0 ? "+" + column(alias) : cast(column(alias));
      case 4:
        return "(SELECT " + pick({"max(c)", "min(a)", "c", "a", "b"}) +
               " FROM pair ORDER BY a, b LIMIT 1)";
      case 5:
        return "(SELECT " + pick({"max(x)", "id", "ref", "y"}) + " FROM item ORDER BY id LIMIT 1)";
      default: return literal();
    }
  }
  std::string comparison() { return pick({"=", "=", "=", "<", "<=", ">", ">=", "<>", "IS"}); }

  /// What can stand behind IN, of one column.
  std::string set() {
    switch (below(7)) {
      case 0: return "SELECT " + pick({"a", "b", "c", "d"}) + " FROM pair";
      case 1: return "SELECT " + pick({"id", "ref", "x", "y", "n"}) + " FROM item";
      case 2: return R"(SELECT value FROM json_each('[1,"1","k1",2.5,null,"01",2,"d4"]'))";
      case 3: return compound();
      case 4: return literal();
      default: {
        std::string list = literal();
        for (int i = 1 + below(3); i > 0; --i) list += ", " + literal();
        return list;
      }
    }
  }
  std::string compound(const std::string& name = "one") {
    const Names values = {"c FROM pair",   "a FROM pair", "d FROM pair",         "x FROM item",
                          "ref FROM item", "'01'",        "CAST('2' AS INTEGER)"};
    const auto select = [&] {
      std::string value = pick(values);
      const auto from = value.find(" FROM ");
      return "SELECT " + value.insert(std::min(from, value.size()), " AS " + name);
    };
    const std::string first = select();
    return first + pick({" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT "}) + select();
  }

  std::string predicate(const std::string& alias) {
    const std::string left = column(alias);
    switch (below(16)) {
      case 0: return operand(alias) + " " + comparison() + " " + left;
      case 1: return left + " BETWEEN " + operand(alias) + " AND " + operand(alias);
      case 2:
      case 3: return left + " IN (" + set() + ")";
      case 4: return left + " NOT IN (" + set() + ")";
      case 5:
        return left + pick({" LIKE ", " GLOB "}) +
               pick({"'k%'", "'K1%'", "'k*'", "'1%'", "'1*'", "'I*'", "'0_'", "1", "'_'"});
      case 6:  // SQLite 3.40 looks such pairs up in an index of other affinity; a LIMIT forbids
               // that
        return "(" + left + ", " + column(alias) + ") IN (SELECT " +
               pick({"a, b", "c, c", "b, a", "d, c"}) + " FROM pair LIMIT 1000)";
      case 7:
        return "(" + left + ", " + column(alias) + ") " + pick({"=", "<", ">=", ">"}) + " (" +
               literal() + ", " + literal() + ")";
      case 8: return left + pick({" IS NULL", " IS NOT NULL"});
      case 9:
        return "EXISTS (SELECT 1 FROM " + pick({"pair q WHERE q.a", "pair q WHERE q.c"}) + " " +
               comparison() + " " + left + ")";
      case 10: return "+" + left + " " + comparison() + " " + operand(alias);
      default: return left + " " + comparison() + " " + operand(alias);
    }
  }
  std::string where(const Names& aliases) {
    std::string sql = predicate(pick(aliases));
    for (int i = below(3); i > 0; --i) {
      sql += pick({" AND ", " OR "}) + predicate(pick(aliases));
    }
    return sql;
  }

  std::string join() {
    const std::string left = pick({"p", "i", "k"});
    std::string right = pick({"p", "i", "k"});
    while (right == left) right = pick({"p", "i", "k"});
    std::string sql = "SELECT " + keys(left) + ", " + keys(right) + " FROM " + table(left) +
                      pick({" JOIN ", " CROSS JOIN ", " LEFT JOIN "}) + table(right) + " ON " +
                      column(left) + " " + pick({"=", "=", "=", "<", ">="}) + " " + column(right);
    if (below(4) == 0) sql += pick({" AND ", " OR "}) + predicate(right);
    if (below(2) == 0) sql += " WHERE " + where({left, right});
    return sql;
  }
  std::string compound_join() {
    const std::string right = pick({"p", "i"});
    return "SELECT u.v, typeof(u.v), " + keys(right) + " FROM (" + compound("v") + ") u" +
           pick({" JOIN ", " CROSS JOIN ", " LEFT JOIN "}) + table(right) + " ON " + column(right) +
           " " + pick({"=", "=", "<", ">="}) + " u.v";
  }

  std::mt19937 random_;
};

}  // namespace keelson::test
