#include "projections/rows_query.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "projections/capture_names.h"
#include "projections/capture_sql.h"
#include "projections/json_rows.h"
#include "projections/sqlite_database.h"

namespace keelson::projections {

namespace {

struct OrderTerm {
  int column = 0;
  bool descending = false;
};

std::unexpected<Error> unknown_column(const Table& table, std::string_view name) {
  std::string known;
  for (const Column& column : table.columns) known += (known.empty() ? "" : ", ") + column.name;
  return fail(Errc::bad_request, "table " + table.name + " has no column '" + std::string(name) +
                                     "'; it has " + known);
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// `text` as a value of the column's type.
Result<Value> typed(const Column& column, const std::string& text) {
  const auto not_a = [&](std::string_view what) {
    return fail(Errc::bad_request,
                "column " + column.name + ": '" + text + "' is not " + std::string(what));
  };
  switch (column.type) {
    case ColumnType::integer: {
      const auto number = parse_number<std::int64_t>(text);
      if (!number) return not_a("a 64-bit integer");
      return Value(*number);
    }
    case ColumnType::real: {
      const auto number = parse_number<double>(text);
      if (!number) return not_a("a number");
      return Value(*number);
    }
    case ColumnType::text: return Value(text);
    case ColumnType::blob: {
      auto bytes = from_base64(text);
      if (!bytes) return not_a("base64");
      return Value::blob(std::move(*bytes));
    }
  }
  return not_a("of a known type");
}

/// ` WHERE "a" = ? AND …`, adding the values.
Result<std::string> where(const Table& table, const RowsRequest& request,
                          std::vector<Value>& values) {
  std::string sql;
  for (const ColumnFilter& filter : request.filters) {
    const auto ordinal = table.find(filter.column);
    if (!ordinal) return unknown_column(table, filter.column);
    const Column& column = table.columns[static_cast<std::size_t>(*ordinal)];
    KEELSON_TRY_ASSIGN(Value value, typed(column, filter.value));
    values.push_back(std::move(value));
    sql += (sql.empty() ? " WHERE " : " AND ") + quoted(column.name) + " = ?";
  }
  return sql;
}

Result<std::vector<OrderTerm>> parse_order(const Table& table, std::string_view order) {
  std::vector<OrderTerm> terms;
  while (!order.empty()) {
    const auto comma = order.find(',');
    std::string_view name = order.substr(0, comma);
    order.remove_prefix(comma == std::string_view::npos ? order.size() : comma + 1);
    OrderTerm term;
    if (name.starts_with('-')) {
      term.descending = true;
      name.remove_prefix(1);
    }
    const auto ordinal = table.find(name);
    if (!ordinal) return unknown_column(table, name);
    term.column = *ordinal;
    terms.push_back(term);
  }
  return terms;
}

/// The order asked for, and the rest of the key after it, so that equal rows have an order too.
/// Where that is the key itself, the partitions' indexes have it and nothing is sorted.
Result<std::string> order_by(const Table& table, std::string_view order) {
  KEELSON_TRY_ASSIGN(auto terms, parse_order(table, order));
  const bool descending = !terms.empty() && terms.back().descending;
  for (const int key : table.key) {
    const bool given =
        std::ranges::any_of(terms, [key](const OrderTerm& term) { return term.column == key; });
    if (!given) terms.push_back({key, descending});
  }
  std::string sql;
  for (const OrderTerm& term : terms) {
    sql += (sql.empty() ? " ORDER BY " : ", ") +
           quoted(table.columns[static_cast<std::size_t>(term.column)].name) +
           (term.descending ? " DESC" : "");
  }
  const bool by_key = std::ranges::equal(terms, table.key, {}, &OrderTerm::column);
  return by_key ? sql : sql + ", _partition";
}

Result<std::string> limited(std::uint64_t limit, std::uint64_t rows_max) {
  if (limit > rows_max) {
    return fail(Errc::bad_request, "limit is at most " + std::to_string(rows_max));
  }
  return " LIMIT " + std::to_string(limit);
}

}  // namespace

Result<RowsQuery> rows_query(const Table& table, const RowsRequest& request,
                             std::uint64_t rows_max) {
  RowsQuery query;
  KEELSON_TRY_ASSIGN(const std::string filter, where(table, request, query.values));
  KEELSON_TRY_ASSIGN(const std::string order, order_by(table, request.order));
  KEELSON_TRY_ASSIGN(const std::string limit, limited(request.limit, rows_max));
  query.sql = "SELECT * FROM " + quoted(table.name) + filter + order + limit;
  return query;
}

Result<RowsQuery> history_query(const Table& table, const RowsRequest& request,
                                std::uint64_t rows_max) {
  RowsQuery query;
  KEELSON_TRY_ASSIGN(const std::string filter, where(table, request, query.values));
  std::string order = " ORDER BY _from, _partition, " + column_list(table, table.key);
  if (!request.order.empty()) {
    KEELSON_TRY_ASSIGN(const std::string given, order_by(table, request.order));
    order = given + ", _partition, _from";
  }
  KEELSON_TRY_ASSIGN(const std::string limit, limited(request.limit, rows_max));
  query.sql =
      "SELECT *, _partition FROM " + quoted(versions_table(table.name)) + filter + order + limit;
  return query;
}

}  // namespace keelson::projections
