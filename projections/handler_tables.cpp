#include "projections/handler_tables.h"

#include <sqlite3.h>

namespace keelson::projections {

namespace {

constexpr std::size_t kStatementsKept = 256;
constexpr std::size_t kQueryRowsMax = 10'000;

/// Without the blanks around it, and so one text however it is laid out in the source.
std::string_view trimmed(std::string_view sql) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  while (!sql.empty() && blank(sql.front())) sql.remove_prefix(1);
  while (!sql.empty() && blank(sql.back())) sql.remove_suffix(1);
  return sql;
}

const Value* find(const Parameters& parameters, std::string_view name) {
  for (const Parameter& parameter : parameters) {
    if (parameter.name == name) return &parameter.value;
  }
  return nullptr;
}

Result<void> bind_all(Statement& statement, const Parameters& parameters) {
  const int count = sqlite3_bind_parameter_count(statement.handle());
  for (int i = 1; i <= count; ++i) {
    const char* const written = sqlite3_bind_parameter_name(statement.handle(), i);
    if (written == nullptr || *written == '?') {
      return fail(Errc::bad_request, "parameters of a handler's SQL have names, as in :amount");
    }
    const Value* const value = find(parameters, written + 1);
    if (value == nullptr) {
      return fail(Errc::bad_request, std::string("no value for parameter ") + written);
    }
    if (auto bound = statement.bind(i, *value); !bound) {
      return fail(Errc::bad_request, std::string(written) + ": " + bound.error().context);
    }
  }
  if (static_cast<std::size_t>(count) == parameters.size()) return {};
  for (const Parameter& parameter : parameters) {
    if (sqlite3_bind_parameter_index(statement.handle(), (":" + parameter.name).c_str()) == 0) {
      return fail(Errc::bad_request, "the SQL has no parameter :" + parameter.name);
    }
  }
  return fail(Errc::bad_request, "a parameter is given twice");
}

}  // namespace

HandlerTables::HandlerTables(Database& database, WriteGate& gate)
    : database_(database), gate_(gate), statements_(database, kStatementsKept) {}

Result<Statement> HandlerTables::prepare(std::string_view sql) {
  KEELSON_TRY(WriteGate::check_text(sql));
  const WriteGate::Scope scope(gate_, WriteGate::Mode::handler);
  auto statement = statements_.prepare(trimmed(sql));
  if (statement) return statement;
  const Error error = gate_.explain(statement.error());
  return fail(error.code, error.context + " in: " + std::string(trimmed(sql)));
}

Result<Statement*> HandlerTables::prepared(std::size_t number, std::string_view sql) {
  if (number >= numbered_.size()) numbered_.resize(number + 1);
  Statement& statement = numbered_[number];
  if (statement.handle() == nullptr) {
    KEELSON_TRY_ASSIGN(statement, prepare(sql));
  }
  return &statement;
}

Result<Statement> HandlerTables::prepare_first(std::string_view& sql) {
  KEELSON_TRY(WriteGate::check_text(sql));
  const WriteGate::Scope scope(gate_, WriteGate::Mode::handler);
  auto statement = database_.prepare_first(sql);
  if (!statement) return std::unexpected(gate_.explain(statement.error()));
  return statement;
}

Result<Statement> HandlerTables::prepare_bound(std::string_view sql, const Parameters& parameters) {
  KEELSON_TRY_ASSIGN(Statement statement, prepare(sql));
  if (auto bound = bind_all(statement, parameters); !bound) {
    return fail(bound.error().code, bound.error().context + " in: " + std::string(trimmed(sql)));
  }
  return statement;
}

Result<void> HandlerTables::run(std::string_view sql, const Parameters& parameters) {
  KEELSON_TRY_ASSIGN(Statement statement, prepare_bound(sql, parameters));
  return statement.run();
}

Result<void> HandlerTables::run_one(std::string_view sql, const Parameters& parameters) {
  KEELSON_TRY_ASSIGN(Statement statement, prepare_bound(sql, parameters));
  if (sqlite3_stmt_readonly(statement.handle()) != 0) {
    return fail(Errc::bad_request,
                "run_one of a statement that writes nothing: " + std::string(trimmed(sql)));
  }
  KEELSON_TRY(statement.run());
  if (const auto rows = database_.changes(); rows != 1) {
    return fail(Errc::bad_request, "wrote " + std::to_string(rows) +
                                       " rows where one was meant: " + std::string(trimmed(sql)));
  }
  return {};
}

Result<std::vector<Row>> HandlerTables::query(std::string_view sql, const Parameters& parameters) {
  KEELSON_TRY_ASSIGN(Statement statement, prepare_bound(sql, parameters));
  std::vector<Row> rows;
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, statement.step());
    if (!more) return rows;
    if (rows.size() == kQueryRowsMax) {
      return fail(Errc::too_large, "over 10000 rows: " + std::string(trimmed(sql)));
    }
    Row row;
    for (int column = 0; column < statement.column_count(); ++column) {
      row.push_back(statement.value(column));
    }
    rows.push_back(std::move(row));
  }
}

}  // namespace keelson::projections
