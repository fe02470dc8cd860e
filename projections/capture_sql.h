// The tables and triggers that keep the history of one table.
#pragma once

#include <string>

#include "projections/versioned_schema.h"

namespace keelson::projections {

/// Statements that make an empty table system-versioned; see VersionedSchema.
[[nodiscard]] std::string capture_sql(const Table& table);

/// `prefix."a", prefix."b"` for columns of `table`; `prefix` may be empty.
[[nodiscard]] std::string column_list(const Table& table, const std::vector<int>& columns,
                                      std::string_view prefix = {});

/// `a."k1" = b."k1" AND a."k2" = b."k2"` over the key of `table`.
[[nodiscard]] std::string same_key(const Table& table, std::string_view a, std::string_view b);

/// Ordinals of all columns.
[[nodiscard]] std::vector<int> all_columns(const Table& table);

}  // namespace keelson::projections
