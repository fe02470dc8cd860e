// The SQL that reads one table of one partition: now, as of an offset, or all versions of its rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "projections/versioned_schema.h"

namespace keelson::projections {

/// `column op value`.
struct ScanConstraint {
  int column = 0;
  std::string_view op;  ///< one of = > >= < <=; empty: left out, its parameter is not used
  bool operator==(const ScanConstraint&) const = default;
};

struct ScanOrder {
  int column = 0;
  bool descending = false;
  bool operator==(const ScanOrder&) const = default;
};

/// What is wanted of a table. Columns are ordinals; two more than the table has can be selected:
/// `_from`, and in a scan of versions `_to`.
struct Scan {
  std::vector<int> columns;                 ///< to select, in this order
  std::vector<ScanConstraint> constraints;  ///< values are parameters 2, 3, …
  std::vector<ScanOrder> order;             ///< columns that are selected
  bool operator==(const Scan&) const = default;
};

enum class ScanMode {
  live,      ///< the rows as they are
  as_of,     ///< the rows as they were after the event at parameter 1
  versions,  ///< every version that began at or before parameter 1; `_to` is NULL if it ended later
};

/// How rows as of an offset are found.
enum class AsOfPath {
  by_key,    ///< for each key that fits: one look-up. Time does not depend on the history's length
  by_index,  ///< versions that fit an index of the table's, sorted out by offset
};

/// The better path for `constraints`: by an index when one is bound by equality and the key is not.
[[nodiscard]] AsOfPath as_of_path(const Table& table,
                                  const std::vector<ScanConstraint>& constraints);

[[nodiscard]] std::string scan_sql(const Table& table, const Scan& scan, ScanMode mode);

}  // namespace keelson::projections
