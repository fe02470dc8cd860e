// What a query's text tells about its comparisons that SQLite does not tell a virtual table.
#pragma once

#include <string_view>

namespace keelson::projections {

/// Whether `sql` may compare a TEXT column with a text as numbers are compared: '01' equal to '1'.
/// SQLite does so when the other side counts as a number and yet holds a text, and a value in a
/// STRICT table or a CAST never is such. Two forms make one: a compound (UNION and its kin) used
/// as a table or value, which counts as what one of its SELECTs is, and `(a, b) IN (…)`, of which a
/// virtual table sees one value at a time. Looks at words outside of quotes and comments alone, so
/// it says yes too often rather than too seldom.
/// @param inner  whether all of it stands within another query, as a view does.
[[nodiscard]] bool compares_text_as_numbers(std::string_view sql, bool inner);

}  // namespace keelson::projections
