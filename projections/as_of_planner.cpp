#include "projections/as_of_planner.h"

#include <sqlite3.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace keelson::projections {

namespace {

// Guesses, in rows, that need only stand in the right relation to one another.
constexpr double kTableRows = 100'000;
constexpr double kRowsOfKeyPrefix = 50;
constexpr double kRowsOfIndex = 200;
constexpr double kRangeFraction = 0.25;
constexpr double kValuesOfList = 5;
constexpr double kCostOfLookUp = 10;  ///< of one partition, in rows read

std::string_view operator_text(unsigned char op) {
  switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ: return "=";
    case SQLITE_INDEX_CONSTRAINT_GT: return ">";
    case SQLITE_INDEX_CONSTRAINT_GE: return ">=";
    case SQLITE_INDEX_CONSTRAINT_LT: return "<";
    case SQLITE_INDEX_CONSTRAINT_LE: return "<=";
    default: return {};
  }
}

bool is_binary(const char* collation) {
  return collation != nullptr && sqlite3_stricmp(collation, "BINARY") == 0;
}

bool bound(const Scan& scan, int column, bool by_equality) {
  return std::ranges::any_of(scan.constraints, [&](const ScanConstraint& constraint) {
    return constraint.column == column && (!by_equality || constraint.op == "=");
  });
}

bool has_list(const Scan& scan) {
  return std::ranges::any_of(scan.constraints, &ScanConstraint::list);
}

/// Whether the other side of constraint `i` is known, now, to be a text.
bool is_literal_text(sqlite3_index_info& info, int i) {
  sqlite3_value* value = nullptr;
  return sqlite3_vtab_rhs_value(&info, i, &value) == SQLITE_OK &&
         sqlite3_value_type(value) == SQLITE_TEXT;
}

void take(sqlite3_index_info& info, int i, Scan& scan, bool list) {
  const auto& offered = info.aConstraint[i];
  scan.constraints.push_back({offered.iColumn, operator_text(offered.op), list});
  info.aConstraintUsage[i].argvIndex = static_cast<int>(scan.constraints.size());
}

/// Takes one `text IN (…)` that rows can be found by. SQLite would ask for one value after another
/// and check that the row has the value, by the rules for a value, where a SELECT of numbers or of
/// json_each has others. Asked for the whole list it checks the IN itself.
void take_list(const Table& table, sqlite3_index_info& info, const std::vector<int>& lists,
               Scan& scan) {
  if (scan.constraints.size() == kScanConstraintsMax) return;
  std::size_t fixed = 0;
  while (fixed < table.key.size() && bound(scan, table.key[fixed], true)) ++fixed;
  const auto ranks_by = [&](int column) {  // the less, the better
    if (fixed < table.key.size() && column == table.key[fixed]) return 0;
    const bool indexed = std::ranges::find(table.indexed, column) != table.indexed.end();
    return fixed == 0 && indexed ? 1 : 2;
  };
  const auto best = std::ranges::min_element(
      lists, {}, [&](int i) { return ranks_by(info.aConstraint[i].iColumn); });
  if (best == lists.end() || ranks_by(info.aConstraint[*best].iColumn) == 2) return;
  sqlite3_vtab_in(&info, *best, 1);
  take(info, *best, scan, true);
}

/// Constraints keep being checked by SQLite afterwards (`omit` stays 0): what is taken here makes a
/// scan shorter and nothing else. It must not make it too short, so what a partition might compare
/// otherwise is not taken; AsOfCursor leaves out more, when it sees the values.
void take_constraints(const Table& table, const PlanContext& context, sqlite3_index_info& info,
                      Scan& scan) {
  std::vector<int> lists;
  for (int i = 0; i < info.nConstraint; ++i) {
    const auto& offered = info.aConstraint[i];
    const std::string_view op = operator_text(offered.op);
    if (scan.constraints.size() == kScanConstraintsMax) return;
    if (offered.usable == 0 || op.empty() || offered.iColumn < 0 ||
        offered.iColumn >= static_cast<int>(table.columns.size())) {
      continue;
    }
    const Column& column = table.columns[static_cast<std::size_t>(offered.iColumn)];
    if (!is_binary(column.collation.c_str()) || !is_binary(sqlite3_vtab_collation(&info, i))) {
      continue;
    }
    if (column.type == ColumnType::text) {
      if (sqlite3_vtab_in(&info, i, -1) != 0) {
        lists.push_back(i);
        continue;
      }
      if (context.texts_as_numbers && !is_literal_text(info, i)) continue;
    }
    take(info, i, scan, false);
  }
  take_list(table, info, lists, scan);
}

/// An ORDER BY along the key, columns fixed by equality skipped, all in one direction: the indexes
/// of the partitions have that order, and merging them keeps it.
void take_order(const Table& table, sqlite3_index_info& info, Scan& scan) {
  if (info.nOrderBy == 0 || has_list(scan)) return;
  std::vector<ScanOrder> order;
  auto key = table.key.begin();
  for (int i = 0; i < info.nOrderBy; ++i) {
    const auto& term = info.aOrderBy[i];
    while (key != table.key.end() && *key != term.iColumn && bound(scan, *key, true)) ++key;
    if (key == table.key.end() || *key != term.iColumn) return;
    if (!order.empty() && order.front().descending != (term.desc != 0)) return;
    order.push_back({term.iColumn, term.desc != 0});
    ++key;
  }
  scan.order = std::move(order);
  info.orderByConsumed = 1;
}

/// Whether column `i` is of the virtual table's primary key.
bool is_key(const Table& table, bool versions, std::size_t i) {
  return i < table.columns.size() ? table.columns[i].key : versions && i == table.columns.size();
}

/// The columns SQLite will ask for; the last bit of `colUsed` stands for all from the 64th on. The
/// key is asked for as well, and not said to be, to know a row again that an OR has found before.
void take_columns(const Table& table, bool versions, const sqlite3_index_info& info,
                  PlannedScan& plan) {
  const std::size_t selectable = table.columns.size() + (versions ? 2 : 1);
  plan.place.assign(selectable, -1);
  for (std::size_t i = 0; i < selectable; ++i) {
    const auto bit = std::min<std::size_t>(i, 63);
    const bool ordered = std::ranges::any_of(
        plan.scan.order, [&](const ScanOrder& term) { return term.column == static_cast<int>(i); });
    const bool used = ((info.colUsed >> bit) & 1) != 0;
    if (!used && !ordered && !is_key(table, versions, i)) continue;
    plan.place[i] = static_cast<int>(plan.scan.columns.size());
    plan.scan.columns.push_back(static_cast<int>(i));
    const bool key = i < table.columns.size() && table.columns[i].key;
    plan.packed.push_back(key ? -1 : plan.packed_count++);
  }
}

/// Rows that one partition will give, by the best way in.
double estimate_rows(const Table& table, bool versions, const Scan& scan) {
  std::size_t fixed = 0;
  while (fixed < table.key.size() && bound(scan, table.key[fixed], true)) ++fixed;
  const double values = has_list(scan) ? kValuesOfList : 1;
  if (fixed == table.key.size()) return values * (versions ? kRowsOfKeyPrefix : 1);
  double rows = kTableRows;
  if (fixed > 0) {
    rows = kRowsOfKeyPrefix;
  } else if (indexed_constraint(table, scan.constraints)) {
    rows = kRowsOfIndex;
  }
  if (bound(scan, table.key[fixed], false)) rows *= kRangeFraction;
  return values * rows;
}

/// Several texts are equal to one number, so that a key of texts may be found more than once.
bool is_key_of_numbers(const Table& table) {
  return std::ranges::all_of(table.key, [&](int column) {
    return table.columns[static_cast<std::size_t>(column)].type == ColumnType::integer;
  });
}

}  // namespace

PlannedScan plan_scan(const Table& table, const PlanContext& context, sqlite3_index_info& info) {
  PlannedScan plan;
  take_constraints(table, context, info, plan.scan);
  if (!context.versions) take_order(table, info, plan.scan);
  take_columns(table, context.versions, info, plan);
  plan.sole = sole_value(table, plan.scan);
  const auto count = static_cast<double>(std::max<std::size_t>(context.partitions, 1));
  const double rows = estimate_rows(table, context.versions, plan.scan);
  // A key is in one partition as a rule, and is looked for in all.
  info.estimatedRows = static_cast<sqlite3_int64>(rows <= 1 ? 1 : rows * count);
  info.estimatedCost = count * (kCostOfLookUp + rows);
  if (rows <= 1 && context.partitions == 1 && is_key_of_numbers(table)) {
    info.idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  }
  return plan;
}

}  // namespace keelson::projections
