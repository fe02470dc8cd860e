// How SQLite's planner is told what a scan costs, and what it then asks for.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "projections/as_of_sql.h"
#include "projections/versioned_schema.h"

struct sqlite3_index_info;

namespace keelson::projections {

/// Constraints that a scan takes at most; SQLite checks the others.
inline constexpr std::size_t kScanConstraintsMax = 24;

/// A way to read a table that SQLite has chosen or may choose, with its SQL once that is written.
struct PlannedScan {
  Scan scan;
  std::vector<int> place;  ///< of each column of the virtual table in `scan.columns`, or -1
  /// Of each of `scan.columns` in a packed version of a row, or -1: it is of the key.
  std::vector<int> packed;
  int packed_count = 0;
  std::optional<std::size_t> sole;  ///< `sole_value`: then nothing is packed

  /// SQL by mode and by constraints left out; see AsOfCursor.
  std::unordered_map<std::uint64_t, std::string> sql;
};

/// What a plan depends on besides the table and what SQLite asks.
struct PlanContext {
  bool versions = false;
  bool texts_as_numbers = false;  ///< see QuerySnapshot
  std::size_t partitions = 1;
};

/// Answers xBestIndex for `table`: takes the constraints that SQL on a partition can take over,
/// and an ORDER BY along the key; sets `info`'s usage, cost, rows and order. Columns of the virtual
/// table are the user's, then `_from`, then (of versions) `_to`, then `_partition`.
[[nodiscard]] PlannedScan plan_scan(const Table& table, const PlanContext& context,
                                    sqlite3_index_info& info);

}  // namespace keelson::projections
