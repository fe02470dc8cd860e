#include "projections/as_of_planner.h"

#include <sqlite3.h>

#include <algorithm>
#include <string_view>

namespace keelson::projections {

namespace {

// Guesses, in rows, that need only stand in the right relation to one another.
constexpr double kTableRows = 100'000;
constexpr double kRowsOfKeyPrefix = 50;
constexpr double kRowsOfIndex = 200;
constexpr double kRangeFraction = 0.25;
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

/// Constraints keep being checked by SQLite afterwards (`omit` stays 0): what is taken here makes a
/// scan shorter and nothing else.
void take_constraints(const Table& table, sqlite3_index_info& info, Scan& scan) {
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
    scan.constraints.push_back({offered.iColumn, op});
    info.aConstraintUsage[i].argvIndex = static_cast<int>(scan.constraints.size());
  }
}

/// An ORDER BY along the key, columns fixed by equality skipped, all in one direction: the indexes
/// of the partitions have that order, and merging them keeps it.
void take_order(const Table& table, sqlite3_index_info& info, Scan& scan) {
  if (info.nOrderBy == 0) return;
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

/// The columns SQLite will ask for; the last bit of `colUsed` stands for all from the 64th on.
void take_columns(const Table& table, bool versions, const sqlite3_index_info& info,
                  PlannedScan& plan) {
  const std::size_t selectable = table.columns.size() + (versions ? 2 : 1);
  plan.place.assign(selectable, -1);
  for (std::size_t i = 0; i < selectable; ++i) {
    const auto bit = std::min<std::size_t>(i, 63);
    const bool ordered = std::ranges::any_of(
        plan.scan.order, [&](const ScanOrder& term) { return term.column == static_cast<int>(i); });
    if (((info.colUsed >> bit) & 1) == 0 && !ordered) continue;
    plan.place[i] = static_cast<int>(plan.scan.columns.size());
    plan.scan.columns.push_back(static_cast<int>(i));
  }
}

/// Rows that one partition will give, by the best way in.
double estimate_rows(const Table& table, bool versions, const Scan& scan) {
  std::size_t fixed = 0;
  while (fixed < table.key.size() && bound(scan, table.key[fixed], true)) ++fixed;
  if (fixed == table.key.size()) return versions ? kRowsOfKeyPrefix : 1;
  double rows = kTableRows;
  if (fixed > 0) {
    rows = kRowsOfKeyPrefix;
  } else if (indexed_constraint(table, scan.constraints)) {
    rows = kRowsOfIndex;
  }
  if (bound(scan, table.key[fixed], false)) rows *= kRangeFraction;
  return rows;
}

}  // namespace

PlannedScan plan_scan(const Table& table, bool versions, std::size_t partitions,
                      sqlite3_index_info& info) {
  PlannedScan plan;
  take_constraints(table, info, plan.scan);
  if (!versions) take_order(table, info, plan.scan);
  take_columns(table, versions, info, plan);
  const auto count = static_cast<double>(std::max<std::size_t>(partitions, 1));
  const double rows = estimate_rows(table, versions, plan.scan);
  // A key is in one partition as a rule, and is looked for in all.
  info.estimatedRows = static_cast<sqlite3_int64>(rows <= 1 ? 1 : rows * count);
  info.estimatedCost = count * (kCostOfLookUp + rows);
  if (rows <= 1 && partitions == 1) info.idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  return plan;
}

}  // namespace keelson::projections
