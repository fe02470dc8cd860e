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

std::string history_tables(const Table& table) {
  std::string history = "CREATE TABLE " + quoted(history_table(table.name)) + " (";
  std::string dead = "CREATE TABLE " + quoted(dead_table(table.name)) + " (";
  for (const Column& column : table.columns) history += definition_of(column) + ", ";
  for (const int ordinal : table.key) dead += definition_of(table.columns[ordinal]) + ", ";
  const std::string key = column_list(table, table.key);
  history += "_from INTEGER NOT NULL, _to INTEGER NOT NULL, PRIMARY KEY (" + key + ", _to)";
  dead += "PRIMARY KEY (" + key + ")";
  return history + ") STRICT, WITHOUT ROWID;\n" + dead + ") STRICT, WITHOUT ROWID;\n";
}

/// A look-up by an index of the table finds closed versions as well.
std::string history_indexes(const Table& table) {
  std::string sql;
  for (std::size_t i = 0; i < table.indexes.size(); ++i) {
    const std::string history = history_table(table.name);
    sql += "CREATE INDEX " + quoted(history + std::to_string(i)) + " ON " + quoted(history) + " (" +
           column_list(table, table.indexes[i]) + ", _to);\n";
  }
  return sql;
}

std::string trigger(const Table& table, std::string_view name, std::string_view on,
                    std::string_view when, std::string_view body) {
  return "CREATE TRIGGER " + quoted(capture_trigger(table.name, name)) + " AFTER " +
         std::string(on) + " ON " + quoted(table.name) + " WHEN " + std::string(when) + " BEGIN " +
         std::string(body) + "; END;\n";
}

std::string triggers(const Table& table) {
  const std::string columns = column_list(table, all_columns(table));
  const std::string key = column_list(table, table.key);
  const std::string old_key = column_list(table, table.key, "OLD");
  const std::string keep = "INSERT INTO " + quoted(history_table(table.name)) + " (" + columns +
                           ", _from, _to) VALUES (" +
                           column_list(table, all_columns(table), "OLD") + ", OLD._from, " +
                           offset_call() + ")";
  // An outer OR REPLACE would override OR IGNORE here; ON CONFLICT holds.
  const std::string bury = "INSERT INTO " + quoted(dead_table(table.name)) + " (" + key +
                           ") VALUES (" + old_key + ") ON CONFLICT DO NOTHING";
  const std::string made_before = "OLD._from <> " + offset_call();
  const std::string moved =
      "(" + old_key + ") IS NOT (" + column_list(table, table.key, "NEW") + ")";
  // Burying is unconditional: a row updated and then deleted by one event has its earlier versions
  // in the history already, and they are found through its key alone.
  return trigger(table, "update", "UPDATE", made_before, keep) +
         trigger(table, "delete", "DELETE", made_before, keep) +
         trigger(table, "bury", "DELETE", "TRUE", bury) +
         trigger(table, "move", "UPDATE OF " + key, moved, bury);
}

}  // namespace

std::string capture_sql(const Table& table) {
  return from_column(table) + history_tables(table) + history_indexes(table) + triggers(table);
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
