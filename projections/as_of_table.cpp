#include "projections/as_of_table.h"

#include <sqlite3.h>

#include <charconv>
#include <deque>
#include <new>
#include <string>

#include "projections/as_of_cursor.h"
#include "projections/as_of_planner.h"
#include "projections/capture_names.h"

// The functions SQLite calls have its signatures and its conventions: a result code, never an
// exception. Their names are those of https://www.sqlite.org/vtab.html.

namespace keelson::projections {

namespace {

constexpr const char* kModuleName = "keelson_as_of";

/// Shared by the virtual tables of one connection.
struct Module {
  const VersionedSchema& schema;
  QuerySnapshot& snapshot;
};

struct AsOfTable : sqlite3_vtab {
  const Table* table = nullptr;
  const Module* module = nullptr;
  bool versions = false;
  std::deque<PlannedScan> plans;  ///< by `idxNum`
};

struct Cursor : sqlite3_vtab_cursor {
  std::unique_ptr<AsOfCursor> rows;
};

AsOfTable& table_of(sqlite3_vtab* table) { return *static_cast<AsOfTable*>(table); }
AsOfCursor& rows_of(sqlite3_vtab_cursor* cursor) { return *static_cast<Cursor*>(cursor)->rows; }

template <class Body>
int guarded(Body body) {
  try {
    return body();
  } catch (...) {  // nothing here throws but an allocation
    return SQLITE_NOMEM;
  }
}

/// The declaration of the virtual table: the user's columns, then hidden ones. The key includes the
/// partition, because the same key may be in several; SQLite relies on it being unique.
std::string declaration(const Table& table, bool versions) {
  std::string sql = "CREATE TABLE t(";
  for (const Column& column : table.columns) {
    sql += quoted(column.name) + " " + std::string(to_string(column.type)) + " COLLATE " +
           column.collation + (column.nullable ? "" : " NOT NULL") + ", ";
  }
  const std::string hidden = versions ? "" : " HIDDEN";
  sql += "_from INTEGER" + hidden + " NOT NULL, ";
  if (versions) sql += "_to INTEGER, ";
  sql += "_partition INTEGER HIDDEN NOT NULL, PRIMARY KEY (_partition";
  for (const int key : table.key) sql += ", " + quoted(table.columns[key].name);
  if (versions) sql += ", _from";
  return sql + ")) WITHOUT ROWID";
}

/// Arguments of the module: the table's ordinal in the schema, and whether it shows versions.
int connect(sqlite3* database, void* aux, int argc, const char* const* argv, sqlite3_vtab** made,
            char**) {
  return guarded([&] {
    if (argc != 5) return SQLITE_MISUSE;
    const auto* module = static_cast<const Module*>(aux);
    std::size_t ordinal = 0;
    const std::string_view text(argv[3]);
    std::from_chars(text.data(), text.data() + text.size(), ordinal);
    auto table = std::make_unique<AsOfTable>();
    *static_cast<sqlite3_vtab*>(table.get()) = {};
    table->table = &module->schema.tables().at(ordinal);
    table->module = module;
    table->versions = std::string_view(argv[4]) == "versions";
    const int code =
        sqlite3_declare_vtab(database, declaration(*table->table, table->versions).c_str());
    if (code != SQLITE_OK) return code;
    // Reads nothing but this module's own data, so views may use it without a trusted schema.
    sqlite3_vtab_config(database, SQLITE_VTAB_INNOCUOUS);
    *made = table.release();
    return SQLITE_OK;
  });
}

int disconnect(sqlite3_vtab* table) {
  delete &table_of(table);
  return SQLITE_OK;
}

int best_index(sqlite3_vtab* table, sqlite3_index_info* info) {
  return guarded([&] {
    AsOfTable& self = table_of(table);
    const QuerySnapshot& snapshot = self.module->snapshot;
    PlannedScan plan = plan_scan(
        *self.table, {self.versions, snapshot.texts_as_numbers, snapshot.partitions.size()}, *info);
    for (std::size_t i = 0; i < self.plans.size(); ++i) {
      if (self.plans[i].scan == plan.scan) {
        info->idxNum = static_cast<int>(i);
        return SQLITE_OK;
      }
    }
    info->idxNum = static_cast<int>(self.plans.size());
    self.plans.push_back(std::move(plan));
    ++self.module->snapshot.plans_kept;
    return SQLITE_OK;
  });
}

int open(sqlite3_vtab*, sqlite3_vtab_cursor** opened) {
  return guarded([&] {
    auto cursor = std::make_unique<Cursor>();
    *static_cast<sqlite3_vtab_cursor*>(cursor.get()) = {};
    cursor->rows = std::make_unique<AsOfCursor>();
    *opened = cursor.release();
    return SQLITE_OK;
  });
}

int close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int plan, const char*, int argc, sqlite3_value** argv) {
  return guarded([&] {
    AsOfTable& self = table_of(cursor->pVtab);
    return rows_of(cursor).start(*self.table, self.versions, self.plans.at(plan),
                                 self.module->snapshot, {argv, static_cast<std::size_t>(argc)});
  });
}

int next(sqlite3_vtab_cursor* cursor) {
  return guarded([&] { return rows_of(cursor).next(); });
}

int at_end(sqlite3_vtab_cursor* cursor) { return rows_of(cursor).at_end() ? 1 : 0; }

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int ordinal) {
  rows_of(cursor).column(context, ordinal);
  return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor*, sqlite3_int64*) { return SQLITE_MISUSE; }  // WITHOUT ROWID

sqlite3_module make_module() {
  sqlite3_module module{};
  module.iVersion = 1;
  module.xCreate = connect;
  module.xConnect = connect;
  module.xBestIndex = best_index;
  module.xDisconnect = disconnect;
  module.xDestroy = disconnect;
  module.xOpen = open;
  module.xClose = close;
  module.xFilter = filter;
  module.xNext = next;
  module.xEof = at_end;
  module.xColumn = column;
  module.xRowid = row_id;
  return module;
}

const sqlite3_module kModule = make_module();

}  // namespace

Result<void> make_as_of_tables(Database& database, const VersionedSchema& schema,
                               QuerySnapshot& snapshot) {
  const int code = sqlite3_create_module_v2(
      database.handle(), kModuleName, &kModule, new Module{schema, snapshot},
      [](void* module) { delete static_cast<Module*>(module); });
  if (code != SQLITE_OK) return std::unexpected(database.error(code, "register virtual tables"));
  for (std::size_t i = 0; i < schema.tables().size(); ++i) {
    const std::string& name = schema.tables()[i].name;
    const std::string arguments = " USING keelson_as_of(" + std::to_string(i);
    KEELSON_TRY(database.execute("CREATE VIRTUAL TABLE " + quoted(name) + arguments + ", rows)"));
    KEELSON_TRY(database.execute("CREATE VIRTUAL TABLE " + quoted(versions_table(name)) +
                                 arguments + ", versions)"));
  }
  for (const View& view : schema.views()) KEELSON_TRY(database.execute(view.sql));
  return {};
}

}  // namespace keelson::projections
