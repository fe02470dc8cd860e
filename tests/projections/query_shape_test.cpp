// Which queries may compare texts as numbers.
#include "projections/query_shape.h"

#include <doctest/doctest.h>

using keelson::projections::compares_text_as_numbers;

TEST_CASE(
    "query shape: a compound within a query, or a pair in a list, may compare texts as numbers") {
  for (const auto* sql :
       {"SELECT * FROM (SELECT a FROM t UNION SELECT b FROM t)",
        "WITH k AS (VALUES (1), ('1')) SELECT 1", "SELECT (SELECT 1 Except/**/SELECT 2)",
        "SELECT 1 WHERE (a, b) IN (SELECT 1, 2)", "SELECT 1 WHERE (a, b)\n-- so\nin t",
        "SELECT ')' || (SELECT '(' INTERSECT SELECT \"u\")"}) {
    CAPTURE(sql);
    CHECK(compares_text_as_numbers(sql, false));
  }
  CHECK(compares_text_as_numbers("CREATE VIEW v AS SELECT 1 UNION ALL SELECT 2", true));
}

TEST_CASE("query shape: others compare by the types of columns and values") {
  for (const auto* sql : {"SELECT a FROM t WHERE a IN (SELECT b FROM t)",
                          "SELECT a FROM t UNION ALL SELECT b FROM (t)",
                          "SELECT ('a UNION b') FROM t", "SELECT (1 /* UNION */) FROM t",
                          "SELECT (1 -- union\n)", "SELECT (\"union\", [except], `values`)",
                          "SELECT (unions, \xc3\xa4union) FROM t", "SELECT '(", "", "(("}) {
    CAPTURE(sql);
    CHECK_FALSE(compares_text_as_numbers(sql, false));
  }
  CHECK_FALSE(compares_text_as_numbers("CREATE VIEW v AS SELECT a FROM t", true));
}
