#include "projections/versioned_schema.h"

#include <sqlite3.h>

#include <algorithm>

#include "projections/capture_names.h"
#include "projections/capture_sql.h"
#include "projections/offset_function.h"
#include "projections/sqlite_database.h"
#include "projections/write_gate.h"

namespace keelson::projections {

namespace {

constexpr std::size_t kColumnsMax = 256;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         sqlite3_strnicmp(a.data(), b.data(), static_cast<int>(a.size())) == 0;
}

std::unexpected<Error> broken(std::string_view table, std::string_view rule) {
  return fail(Errc::bad_request, "table " + std::string(table) + ": " + std::string(rule));
}

std::unexpected<Error> broken(const Table& table, const Column& column, std::string_view rule) {
  return broken(table.name, "column " + column.name + " " + std::string(rule));
}

Result<void> run_definition(Database& database, WriteGate& gate, std::string_view definition) {
  const WriteGate::Scope scope(gate, WriteGate::Mode::schema);
  while (true) {
    auto statement = database.prepare_first(definition);
    if (!statement) return std::unexpected(gate.explain(statement.error()));
    if (statement->handle() == nullptr) return {};
    KEELSON_TRY(statement->run());
  }
}

Result<ColumnType> type_of(const Table& table, const Column& column, std::string_view declared) {
  if (same_name(declared, "INTEGER") || same_name(declared, "INT")) return ColumnType::integer;
  if (same_name(declared, "REAL")) return ColumnType::real;
  if (same_name(declared, "TEXT")) return ColumnType::text;
  if (same_name(declared, "BLOB")) return ColumnType::blob;
  return broken(table, column,
                "has the type " + std::string(declared) + "; use INTEGER, REAL, TEXT or BLOB");
}

/// A DEFAULT is not seen by the gate when a handler's INSERT uses it, so it may hold nothing that
/// the gate would refuse: a constant expression without functions.
Result<void> check_default(const Table& table, const Column& column, std::string_view expression) {
  struct Refusing {
    explicit Refusing(Database& database) : handle(database.handle()) {
      sqlite3_set_authorizer(
          handle,
          [](void*, int action, const char*, const char*, const char*, const char*) {
            return action == SQLITE_SELECT ? SQLITE_OK : SQLITE_DENY;
          },
          nullptr);
    }
    ~Refusing() { sqlite3_set_authorizer(handle, nullptr, nullptr); }
    sqlite3* handle;
  };
  KEELSON_TRY_ASSIGN(auto scratch, Database::open("", Database::Mode::memory));
  const Refusing refusing(*scratch);
  if (scratch->prepare("SELECT " + std::string(expression))) return {};
  return broken(table, column, "has a DEFAULT that is not a constant");
}

Result<void> read_columns(Database& database, Table& table) {
  KEELSON_TRY_ASSIGN(auto rows,
                     database.prepare("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM "
                                      "pragma_table_xinfo(?) ORDER BY cid"));
  KEELSON_TRY(rows.bind(1, table.name));
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, rows.step());
    if (!more) break;
    Column column;
    column.name = rows.text(0);
    if (rows.integer(5) != 0) return broken(table, column, "is generated, which is not allowed");
    if (is_reserved_name(column.name)) return broken(table, column, "has a reserved name");
    KEELSON_TRY_ASSIGN(column.type, type_of(table, column, rows.text(1)));
    if (!rows.is_null(3)) KEELSON_TRY(check_default(table, column, rows.text(3)));
    const auto place = static_cast<std::size_t>(rows.integer(4));  // from 1; 0: not of the key
    column.key = place != 0;
    column.nullable = rows.integer(2) == 0 && !column.key;
    if (place != 0) {
      if (table.key.size() < place) table.key.resize(place);
      table.key[place - 1] = static_cast<int>(table.columns.size());
    }
    const char* collation = nullptr;
    sqlite3_table_column_metadata(database.handle(), "main", table.name.c_str(),
                                  column.name.c_str(), nullptr, &collation, nullptr, nullptr,
                                  nullptr);
    column.collation = collation == nullptr ? "BINARY" : collation;
    table.columns.push_back(std::move(column));
  }
  if (table.columns.size() > kColumnsMax) {
    return broken(table.name, "over " + std::to_string(kColumnsMax) + " columns");
  }
  return {};
}

Result<void> check_key(const Table& table) {
  if (table.key.empty()) return broken(table.name, "there is no PRIMARY KEY");
  for (const int ordinal : table.key) {
    const Column& column = table.columns[ordinal];
    // History is looked up by the key's bytes: two keys must be the same when they are equal.
    if (column.type == ColumnType::real) return broken(table, column, "is REAL in the primary key");
    if (!same_name(column.collation, "BINARY")) {
      return broken(table, column,
                    "of the primary key has the collation " + column.collation + "; use BINARY");
    }
  }
  return {};
}

/// The column that `index` begins with, or nothing when that is an expression or in another
/// collation than the column's.
Result<std::optional<int>> first_column(Database& database, const Table& table,
                                        std::string_view index) {
  KEELSON_TRY_ASSIGN(auto rows, database.prepare("SELECT cid, coll FROM pragma_index_xinfo(?) "
                                                 "WHERE key ORDER BY seqno LIMIT 1"));
  KEELSON_TRY(rows.bind(1, index));
  KEELSON_TRY_ASSIGN(const bool found, rows.step());
  const auto column = found ? rows.integer(0) : -1;
  if (column < 0 || !same_name(rows.text(1), table.columns[column].collation)) {
    return std::nullopt;
  }
  return static_cast<int>(column);
}

Result<void> read_indexes(Database& database, Table& table) {
  KEELSON_TRY_ASSIGN(auto rows, database.prepare("SELECT name, origin, partial FROM "
                                                 "pragma_index_list(?) ORDER BY name"));
  KEELSON_TRY(rows.bind(1, table.name));
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, rows.step());
    if (!more) return {};
    const std::string name(rows.text(0));
    if (rows.text(1) == "c" && is_reserved_name(name)) {
      return broken(table.name, "index " + name + " has a reserved name");
    }
    if (rows.text(1) == "pk" || rows.integer(2) != 0) continue;
    KEELSON_TRY_ASSIGN(const auto column, first_column(database, table, name));
    const bool useful = column && *column != table.key.front() &&
                        same_name(table.columns[*column].collation, "BINARY");
    if (useful && std::ranges::find(table.indexed, *column) == table.indexed.end()) {
      table.indexed.push_back(*column);
    }
  }
}

Result<Table> read_table(Database& database, std::string name) {
  Table table;
  table.name = std::move(name);
  if (is_reserved_name(table.name)) return broken(table.name, "this name is reserved");
  KEELSON_TRY_ASSIGN(
      auto strict, database.prepare("SELECT strict FROM pragma_table_list(?) WHERE schema='main'"));
  KEELSON_TRY(strict.bind(1, table.name));
  KEELSON_TRY_ASSIGN(const bool found, strict.step());
  if (!found || strict.integer(0) == 0) {
    // Otherwise a column's type is a hint: an INTEGER that overflows would be stored as a REAL.
    return broken(table.name, "it is not STRICT");
  }
  KEELSON_TRY(read_columns(database, table));
  KEELSON_TRY(check_key(table));
  KEELSON_TRY(read_indexes(database, table));
  return table;
}

Result<View> read_view(Database& database, WriteGate& gate, std::string name, std::string sql) {
  if (is_reserved_name(name)) return broken(name, "this name of a view is reserved");
  KEELSON_TRY(WriteGate::check_text(sql));
  const WriteGate::Scope scope(gate, WriteGate::Mode::handler);
  const auto used = database.prepare("SELECT * FROM " + quoted(name));
  if (!used) {
    return fail(Errc::bad_request, "view " + name + ": " + gate.explain(used.error()).context);
  }
  return View{std::move(name), std::move(sql)};
}

}  // namespace

std::string_view to_string(ColumnType type) {
  switch (type) {
    case ColumnType::integer: return "INTEGER";
    case ColumnType::real: return "REAL";
    case ColumnType::text: return "TEXT";
    case ColumnType::blob: return "BLOB";
  }
  return "BLOB";
}

std::optional<int> Table::find(std::string_view column) const {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (same_name(columns[i].name, column)) return static_cast<int>(i);
  }
  return std::nullopt;
}

const Table* VersionedSchema::find(std::string_view table) const {
  for (const Table& each : tables_) {
    if (same_name(each.name, table)) return &each;
  }
  return nullptr;
}

Result<VersionedSchema> VersionedSchema::check(const std::string& definition) {
  VersionedSchema schema;
  schema.definition_ = definition;
  KEELSON_TRY_ASSIGN(const auto scratch, Database::open("", Database::Mode::memory));
  WriteGate gate(*scratch);
  KEELSON_TRY(run_definition(*scratch, gate, definition));
  KEELSON_TRY_ASSIGN(auto objects,
                     scratch->prepare("SELECT type, name, sql FROM sqlite_schema WHERE type IN "
                                      "('table', 'view') ORDER BY rowid"));
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, objects.step());
    if (!more) break;
    std::string name(objects.text(1));
    if (name == "sqlite_sequence") {
      return fail(Errc::bad_request,
                  "AUTOINCREMENT is not allowed in a schema: its counter would "
                  "not be part of the history");
    }
    if (objects.text(0) == "table") {
      KEELSON_TRY_ASSIGN(auto table, read_table(*scratch, std::move(name)));
      schema.tables_.push_back(std::move(table));
    } else {
      KEELSON_TRY_ASSIGN(auto view,
                         read_view(*scratch, gate, std::move(name), std::string(objects.text(2))));
      schema.views_.push_back(std::move(view));
    }
  }
  if (schema.tables_.empty()) return fail(Errc::bad_request, "the schema has no table");
  // What capture adds must fit what the author wrote (say, an index of a name that it needs).
  KEELSON_TRY_ASSIGN(const auto rehearsal, Database::open("", Database::Mode::memory));
  EventOffset offset;
  KEELSON_TRY(register_offset_function(*rehearsal, offset));
  WriteGate rehearsal_gate(*rehearsal);
  KEELSON_TRY(schema.install(*rehearsal, rehearsal_gate));
  return schema;
}

Result<void> VersionedSchema::install(Database& database, WriteGate& gate) const {
  KEELSON_TRY(run_definition(database, gate, definition_));
  for (const Table& table : tables_) KEELSON_TRY(database.execute(capture_sql(table)));
  return {};
}

}  // namespace keelson::projections
