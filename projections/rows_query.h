// The SQL behind the rows route: filters and order by column, without SQL from outside.
#pragma once

#include <string>
#include <vector>

#include "projections/projection_host.h"
#include "projections/value.h"
#include "projections/versioned_schema.h"

namespace keelson::projections {

struct RowsQuery {
  std::string sql;
  std::vector<Value> values;  ///< of its parameters, in order
};

/// Rows of `table` that `request` asks for, in a fixed order.
/// @error bad_request  an unknown column, a value not of the column's type, a limit over
/// `rows_max`.
[[nodiscard]] Result<RowsQuery> rows_query(const Table& table, const RowsRequest& request,
                                           std::uint64_t rows_max);

/// Their versions, oldest first.
[[nodiscard]] Result<RowsQuery> history_query(const Table& table, const RowsRequest& request,
                                              std::uint64_t rows_max);

}  // namespace keelson::projections
