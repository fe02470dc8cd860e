#include "projections/as_of_sql.h"

#include <algorithm>

#include "projections/capture_names.h"
#include "projections/capture_sql.h"
#include "projections/packed_values.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

namespace {

/// Where the columns of one arm of a query come from: the key's from `key`, the others from `rest`,
/// or from nowhere if that is empty.
struct Source {
  std::string_view key;
  std::string_view rest;
  std::string_view to = "NULL";  ///< the expression of `_to`
};

bool is_key(const Table& table, int ordinal) {
  return ordinal < static_cast<int>(table.columns.size()) &&
         table.columns[static_cast<std::size_t>(ordinal)].key;
}

std::string column_sql(const Table& table, int ordinal, const Source& source) {
  const auto count = static_cast<int>(table.columns.size());
  if (ordinal > count) return std::string(source.to);
  const std::string_view from = is_key(table, ordinal) ? source.key : source.rest;
  if (from.empty()) return "NULL";
  if (ordinal == count) return std::string(from) + "." + std::string(kFromColumn);
  return std::string(from) + "." + quoted(table.columns[static_cast<std::size_t>(ordinal)].name);
}

std::string select_list(const Table& table, const Scan& scan, const Source& source) {
  std::string list;
  for (const int ordinal : scan.columns) {
    if (!list.empty()) list += ", ";
    list += column_sql(table, ordinal, source);
  }
  return list;
}

enum class Of { all, key, others };

/// ` AND column op ?` for each constraint on such columns.
std::string conditions(const Table& table, const Scan& scan, const Source& source,
                       Of which = Of::all) {
  std::string sql;
  for (std::size_t i = 0; i < scan.constraints.size(); ++i) {
    const ScanConstraint& constraint = scan.constraints[i];
    if (constraint.op.empty()) continue;
    if (which != Of::all && is_key(table, constraint.column) != (which == Of::key)) continue;
    sql += " AND " + column_sql(table, constraint.column, source) + " " +
           std::string(constraint.op) + " ?" + std::to_string(i + 2);
  }
  return sql;
}

std::string order_by(const Scan& scan) {
  std::string sql;
  for (const ScanOrder& term : scan.order) {
    const auto place = std::find(scan.columns.begin(), scan.columns.end(), term.column);
    sql += (sql.empty() ? " ORDER BY " : ", ") + std::to_string(place - scan.columns.begin() + 1) +
           (term.descending ? " DESC" : "");
  }
  return sql;
}

/// Rows that have not changed since.
std::string unchanged(const Table& table, const Scan& scan) {
  const Source source{"t", "t"};
  return "SELECT " + select_list(table, scan, source) + " FROM " + quoted(table.name) +
         " AS t WHERE t._from <= ?1" + conditions(table, scan, source);
}

/// What is wanted of the version of the key in `keys` that held at the offset: the one that ended
/// first after it, if it had begun. NULL if there is none, or none that the constraints let
/// through. ORDER BY says which row the subquery's value is of; the first is all that SQLite reads.
std::string version_then(const Table& table, const Scan& scan, std::string_view keys) {
  const Source source{"v", "v"};
  std::vector<std::string> values;
  for (const int ordinal : scan.columns) {
    if (!is_key(table, ordinal)) values.push_back(column_sql(table, ordinal, source));
  }
  return "(SELECT CASE WHEN v._from <= ?1" + conditions(table, scan, source, Of::others) +
         " THEN " + (sole_value(table, scan) ? values.front() : pack_sql(values)) + " END FROM " +
         quoted(history_table(table.name)) + " AS v WHERE " + same_key(table, "v", keys) +
         " AND v._to > ?1 ORDER BY v._to)";
}

/// SELECT and its list, where the keys come from `keys`: the table itself, whose rows may not have
/// changed since, or keys alone.
std::string select_then(const Table& table, const Scan& scan, std::string_view keys) {
  const bool live = keys == "t";
  const auto then = [&](const std::string& unchanged) {
    const std::string version = version_then(table, scan, keys);
    return live ? "CASE WHEN t._from > ?1 THEN " + version + " ELSE " + unchanged + " END"
                : version;
  };
  const auto sole = sole_value(table, scan);
  std::string sql;
  for (std::size_t i = 0; i < scan.columns.size(); ++i) {
    const std::string column = column_sql(table, scan.columns[i], {keys, live ? keys : ""});
    sql += (i == 0 ? "SELECT " : ", ") + (sole == i ? then(column) : column);
  }
  return sole ? sql : sql + ", " + then("0");
}

/// ` AND source."column" = ?` for the constraint by which keys are found.
std::string found_by(const Table& table, const Scan& scan, std::optional<std::size_t> indexed,
                     std::string_view source) {
  if (!indexed) return "";
  const auto column = static_cast<std::size_t>(scan.constraints[*indexed].column);
  return " AND " + std::string(source) + "." + quoted(table.columns[column].name) + " = ?" +
         std::to_string(*indexed + 2);
}

/// Rows whose keys there are now, as they are or as they were.
std::string present(const Table& table, const Scan& scan, std::optional<std::size_t> indexed) {
  const Source source{"t", "t"};
  const std::string others = conditions(table, scan, source, Of::others);
  return select_then(table, scan, "t") + " FROM " + quoted(table.name) + " AS t WHERE TRUE" +
         found_by(table, scan, indexed, "t") + conditions(table, scan, source, Of::key) +
         (others.empty() ? "" : " AND (t._from > ?1 OR (TRUE" + others + "))");
}

/// Versions of keys that no row has now, or, asked by an index, that no row with this value has. A
/// key whose row has not changed since, or has the value now, is found above.
std::string ended(const Table& table, const Scan& scan, std::optional<std::size_t> indexed) {
  const std::string keys = indexed ? former_table(table.name, scan.constraints[*indexed].column)
                                   : dead_table(table.name);
  const std::string found_above =
      indexed ? " AND (t._from <= ?1 OR (TRUE" + found_by(table, scan, indexed, "t") + "))" : "";
  return select_then(table, scan, "d") + " FROM " + quoted(keys) +
         " AS d WHERE NOT EXISTS (SELECT 1 FROM " + quoted(table.name) + " AS t WHERE " +
         same_key(table, "t", "d") + found_above + ")" + found_by(table, scan, indexed, "d") +
         conditions(table, scan, {"d", ""}, Of::key);
}

std::string live_sql(const Table& table, const Scan& scan) {
  const Source source{"t", "t"};
  return "SELECT " + select_list(table, scan, source) + " FROM " + quoted(table.name) +
         " AS t WHERE TRUE" + conditions(table, scan, source) + order_by(scan);
}

std::string versions_sql(const Table& table, const Scan& scan) {
  const Source closed{"h", "h", "CASE WHEN h._to <= ?1 THEN h._to END"};
  return unchanged(table, scan) + " UNION ALL SELECT " + select_list(table, scan, closed) +
         " FROM " + quoted(history_table(table.name)) + " AS h WHERE h._from <= ?1" +
         conditions(table, scan, closed) + order_by(scan);
}

bool bound(const std::vector<ScanConstraint>& constraints, int column) {
  return std::ranges::any_of(constraints, [column](const ScanConstraint& constraint) {
    return constraint.column == column && !constraint.op.empty();
  });
}

}  // namespace

std::optional<std::size_t> indexed_constraint(const Table& table,
                                              const std::vector<ScanConstraint>& constraints) {
  if (bound(constraints, table.key.front())) return std::nullopt;
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    if (constraints[i].op != "=") continue;
    if (std::ranges::find(table.indexed, constraints[i].column) != table.indexed.end()) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> sole_value(const Table& table, const Scan& scan) {
  std::optional<std::size_t> sole;
  for (std::size_t i = 0; i < scan.columns.size(); ++i) {
    const int ordinal = scan.columns[i];
    if (is_key(table, ordinal)) continue;
    const auto column = static_cast<std::size_t>(ordinal);
    if (sole || (column < table.columns.size() && table.columns[column].nullable)) {
      return std::nullopt;
    }
    sole = i;
  }
  return sole;
}

std::string scan_sql(const Table& table, const Scan& scan, ScanMode mode) {
  if (mode == ScanMode::live) return live_sql(table, scan);
  if (mode == ScanMode::versions) return versions_sql(table, scan);
  const auto indexed = indexed_constraint(table, scan.constraints);
  return present(table, scan, indexed) + " UNION ALL " + ended(table, scan, indexed) +
         order_by(scan);
}

}  // namespace keelson::projections
