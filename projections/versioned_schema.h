// A projection's tables as its author wrote them, checked, and the capture of their history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace keelson::projections {

class Database;
class WriteGate;

enum class ColumnType { integer, real, text, blob };

[[nodiscard]] std::string_view to_string(ColumnType type);

struct Column {
  std::string name;
  ColumnType type = ColumnType::text;
  bool nullable = true;
  bool key = false;
  std::string collation;  ///< BINARY, NOCASE or RTRIM
};

struct Table {
  std::string name;
  std::vector<Column> columns;
  std::vector<int> key;      ///< ordinals of columns, in the order of the primary key
  std::vector<int> indexed;  ///< first columns of indexes, by which history can be asked too

  [[nodiscard]] std::optional<int> find(std::string_view column) const;
};

struct View {
  std::string name;
  std::string sql;  ///< the CREATE VIEW statement
};

/// The design of system-versioning, one table `t` with the key `k` and a column `c`:
///
/// - `t` gets a stored generated column `_from`: the offset of the event that made the row as it
/// is.
///   SQLite computes it at each INSERT and UPDATE, so a live row costs nothing else.
/// - `t__h` holds closed versions: `c`, `_from` and `_to`, the offset of the event that ended the
///   version, by the primary key (`k`, `_to`). Triggers put a row there before it is changed,
///   unless the event itself made it: a state that began and ended within one event never was.
/// - `t__dead` holds every key that a row was deleted from or moved away from: with the live keys,
///   all keys that ever were, each once.
/// - `t__was2`, for a column that an index begins with: every key whose row had another value there
///   once, by that value. Written when the value changes, which is seldom, instead of an index on
///   `t__h`, which would be written with every version.
///
/// State at offset N: for each live row made at or below N the row itself; for every other key the
/// closed version with the smallest `_to` above N, if it was made at or below N. Each is one
/// look-up in an index, however long the history (`as_of_sql.h` writes the SQL).
class VersionedSchema {
 public:
  /// Runs `definition` in an empty database of its own and looks at what came of it.
  /// @error bad_request  what rule it breaks, and where.
  [[nodiscard]] static Result<VersionedSchema> check(const std::string& definition);

  [[nodiscard]] const std::vector<Table>& tables() const { return tables_; }
  [[nodiscard]] const std::vector<View>& views() const { return views_; }
  /// Nullptr when there is none.
  [[nodiscard]] const Table* find(std::string_view table) const;

  /// Makes the tables, and the capture of their history, in an empty database. The function
  /// `keelson_offset()` must be registered.
  [[nodiscard]] Result<void> install(Database& database, WriteGate& gate) const;

 private:
  std::string definition_;
  std::vector<Table> tables_;
  std::vector<View> views_;
};

}  // namespace keelson::projections
