// The SQL that reads one table of one partition: now, as of an offset, or all versions of its rows.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "projections/versioned_schema.h"

namespace keelson::projections {

/// `column op value`.
struct ScanConstraint {
  int column = 0;
  std::string_view op;  ///< one of = > >= < <=; empty: left out, its parameter is not used
  bool list = false;    ///< `column IN (…)`: the SQL is run for one value after another
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

/// The constraint by which rows as of an offset are found where the key is not bound: equality on a
/// column that an index begins with. Nothing when there is none: then it is by the key, or by all
/// keys.
[[nodiscard]] std::optional<std::size_t> indexed_constraint(
    const Table& table, const std::vector<ScanConstraint>& constraints);

/// The place in `scan.columns` of the one that is not of the key, if there is one and it is never
/// NULL.
[[nodiscard]] std::optional<std::size_t> sole_value(const Table& table, const Scan& scan);

/// Every way is one look-up in an index for each key that comes into question, so its time depends
/// on the number of keys and not on the length of their history.
///
/// As of an offset there is one column more, the last. 0: the row has not changed since. A BLOB: it
/// has, and this is the version that held, its columns that are not of the key in the order of
/// `scan.columns`, packed (`packed_values.h`). NULL: there was no such row, and this is to be left
/// out. SQL has no other way to the first row of a range for each row of another table with one
/// look-up: a subquery finds it, but gives one value. If one is all that is wanted (`sole_value`),
/// it stands in its own place, and a row where it is NULL is to be left out.
[[nodiscard]] std::string scan_sql(const Table& table, const Scan& scan, ScanMode mode);

}  // namespace keelson::projections
