#include "projections/capture_sql.h"

#include <numeric>

#include "projections/capture_names.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

namespace {

std::string definition_of(const Column& column) {
  std::string upper(to_string(column.type));
  return quoted(column.name) + " " + upper + (column.key ? " NOT NULL" : "") + " COLLATE " +
         column.collation;
}

std::string offset_call() { return std::string(kOffsetFunction) + "()"; }

std::string from_column(const Table& table) {
  return "ALTER TABLE " + quoted(table.name) + " ADD COLUMN " + std::string(kFromColumn) +
         " INTEGER GENERATED ALWAYS AS (" + offset_call() + ") STORED;\n";
}

/// `("a" TEXT NOT NULL …, …` for `columns`, without the closing parenthesis.
std::string create_table(const std::string& name, const Table& table,
                         const std::vector<int>& columns) {
  std::string sql = "CREATE TABLE " + quoted(name) + " (";
  for (const int ordinal : columns) sql += definition_of(table.columns[ordinal]) + ", ";
  return sql;
}

std::string primary_key(const std::string& columns) {
  return "PRIMARY KEY (" + columns + ")) STRICT, WITHOUT ROWID;\n";
}

std::string trigger(const Table& table, std::string_view name, std::string_view on,
                    std::string_view when, std::string_view body) {
  return "CREATE TRIGGER " + quoted(capture_trigger(table.name, name)) + " AFTER " +
         std::string(on) + " ON " + quoted(table.name) + " WHEN " + std::string(when) + " BEGIN " +
         std::string(body) + "; END;\n";
}

/// Closed versions, and the triggers that put them there.
std::string keep_versions(const Table& table) {
  const std::string name = history_table(table.name);
  const std::string columns = column_list(table, all_columns(table));
  const std::string keep =
      "INSERT INTO " + quoted(name) + " (" + columns + ", _from, _to) VALUES (" +
      column_list(table, all_columns(table), "OLD") + ", OLD._from, " + offset_call() + ")";
  const std::string made_before = "OLD._from <> " + offset_call();
  return create_table(name, table, all_columns(table)) +
         "_from INTEGER NOT NULL, _to INTEGER NOT NULL, " +
         primary_key(column_list(table, table.key) + ", _to") +
         trigger(table, "update", "UPDATE", made_before, keep) +
         trigger(table, "delete", "DELETE", made_before, keep);
}

/// Whether an UPDATE gives the row another key.
std::string moved(const Table& table) {
  return "(" + column_list(table, table.key, "OLD") + ") IS NOT (" +
         column_list(table, table.key, "NEW") + ")";
}

/// An insert of the old row's `columns`. An outer OR REPLACE would override an OR IGNORE here; ON
/// CONFLICT holds.
std::string remember(const std::string& name, const Table& table, const std::vector<int>& columns) {
  return "INSERT INTO " + quoted(name) + " (" + column_list(table, columns) + ") VALUES (" +
         column_list(table, columns, "OLD") + ") ON CONFLICT DO NOTHING";
}

/// Keys that are no more. Unconditional: a row updated and then deleted by one event has its
/// earlier versions in the history already, and they are found through its key alone.
std::string keep_dead_keys(const Table& table) {
  const std::string name = dead_table(table.name);
  const std::string key = column_list(table, table.key);
  const std::string bury = remember(name, table, table.key);
  return create_table(name, table, table.key) + primary_key(key) +
         trigger(table, "bury", "DELETE", "TRUE", bury) +
         trigger(table, "move", "UPDATE OF " + key, moved(table), bury);
}

/// Keys whose row had another value in an indexed column, by that value.
std::string keep_former_values(const Table& table, int column) {
  const std::string name = former_table(table.name, column);
  std::vector<int> columns = {column};
  for (const int key : table.key) {
    if (key != column) columns.push_back(key);
  }
  const std::string value = quoted(table.columns[column].name);
  const std::string keep = remember(name, table, columns);
  const std::string known = "OLD." + value + " IS NOT NULL";
  const std::string trigger_name = "former" + std::to_string(column);
  return create_table(name, table, columns) + primary_key(column_list(table, columns)) +
         trigger(table, trigger_name + "_deleted", "DELETE", known, keep) +
         trigger(
             table, trigger_name + "_changed",
             "UPDATE OF " + value + ", " + column_list(table, table.key),
             known + " AND (OLD." + value + " IS NOT NEW." + value + " OR " + moved(table) + ")",
             keep);
}

}  // namespace

std::string capture_sql(const Table& table) {
  std::string sql = from_column(table) + keep_versions(table) + keep_dead_keys(table);
  for (const int column : table.indexed) sql += keep_former_values(table, column);
  return sql;
}

std::string column_list(const Table& table, const std::vector<int>& columns,
                        std::string_view prefix) {
  std::string list;
  for (const int ordinal : columns) {
    if (!list.empty()) list += ", ";
    if (!prefix.empty()) list += std::string(prefix) + ".";
    list += quoted(table.columns[ordinal].name);
  }
  return list;
}

std::string same_key(const Table& table, std::string_view a, std::string_view b) {
  std::string condition;
  for (const int ordinal : table.key) {
    if (!condition.empty()) condition += " AND ";
    const std::string name = quoted(table.columns[ordinal].name);
    condition += std::string(a) + "." + name + " = " + std::string(b) + "." + name;
  }
  return condition;
}

std::vector<int> all_columns(const Table& table) {
  std::vector<int> ordinals(table.columns.size());
  std::iota(ordinals.begin(), ordinals.end(), 0);
  return ordinals;
}

}  // namespace keelson::projections
