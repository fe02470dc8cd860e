// Several values as one, where SQL has room for one alone: a subquery's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

struct sqlite3_context;

namespace keelson::projections {

class Database;

/// SQL for the `values`, each an expression, as one BLOB, by a function that
/// `register_pack_function` has made known.
[[nodiscard]] std::string pack_sql(const std::vector<std::string>& values);

[[nodiscard]] Result<void> register_pack_function(Database& database);

/// Takes apart what `pack_sql` has put together. The bytes stay where they are and are looked at
/// again by `result`: a BLOB of a statement's row, until the statement goes on.
class PackedValues {
 public:
  /// @param bytes  made in this process, of `count` values.
  void read(std::string_view bytes, std::size_t count);
  /// Gives SQLite the `i`-th value, of its own type.
  void result(sqlite3_context* context, std::size_t i) const;

 private:
  void read_values(std::string_view bytes);

  std::vector<const char*> places_;  ///< of the values in the bytes
};

}  // namespace keelson::projections
