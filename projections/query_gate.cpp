#include "projections/query_gate.h"

#include <sqlite3.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "projections/allowed_functions.h"
#include "projections/bounded_functions.h"
#include "projections/capture_names.h"
#include "projections/query_shape.h"

namespace keelson::projections {

namespace {

constexpr std::size_t kPlansKept = 1'024;

/// The longest steps are calls of JSON functions with many paths into a large value, a tenth of a
/// second or two each; some of them can follow one another.
constexpr int kStepsBetweenLooks = 16;

constexpr std::pair<int, int> kLimits[] = {
    {SQLITE_LIMIT_SQL_LENGTH, 64 << 10},
    {SQLITE_LIMIT_COLUMN, 512},
    {SQLITE_LIMIT_EXPR_DEPTH, 100},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
    {SQLITE_LIMIT_VDBE_OP, 250'000},
    {SQLITE_LIMIT_FUNCTION_ARG, 64},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100},
    {SQLITE_LIMIT_VARIABLE_NUMBER, 1'000},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

std::string_view view_of(const char* text) { return text == nullptr ? "" : text; }

std::unexpected<Error> unknown_parameter(std::string_view what) {
  return fail(Errc::bad_request, "params: " + std::string(what));
}

}  // namespace

Result<std::unique_ptr<QueryGate>> QueryGate::open(const VersionedSchema& schema,
                                                   const Deadline& deadline) {
  std::unique_ptr<QueryGate> gate(new QueryGate());
  KEELSON_TRY_ASSIGN(gate->database_, Database::open("", Database::Mode::memory));
  KEELSON_TRY(make_as_of_tables(*gate->database_, schema, gate->snapshot_));
  for (const Table& table : schema.tables()) {
    gate->readable_.insert(lower(table.name));
    gate->readable_.insert(lower(versions_table(table.name)));
  }
  for (const View& view : schema.views()) {
    gate->readable_.insert(lower(view.name));
    if (compares_text_as_numbers(view.sql, true)) gate->mixed_views_.insert(lower(view.name));
  }
  gate->readable_.insert({"json_each", "json_tree"});
  KEELSON_TRY(gate->database_->execute("PRAGMA query_only = ON;"));
  // Made known now: to make itself known, a table-valued function does what the gate refuses.
  KEELSON_TRY(gate->database_->prepare("SELECT 1 FROM json_each('[]'), json_tree('[]')"));
  KEELSON_TRY(register_bounded_functions(*gate->database_));
  gate->set_limits();
  deadline.watch(*gate->database_, kStepsBetweenLooks);
  sqlite3_set_authorizer(gate->database_->handle(), &QueryGate::on_action, gate.get());
  return gate;
}

QueryGate::~QueryGate() = default;

void QueryGate::set_limits() {
  for (const auto& [limit, value] : kLimits) {
    sqlite3_limit(database_->handle(), limit, value);
  }
}

bool QueryGate::worn() const { return snapshot_.plans_kept > kPlansKept; }

int QueryGate::on_action(void* gate, int action, const char* first, const char* second,
                         const char* /*database*/, const char* /*via*/) {
  auto& self = *static_cast<QueryGate*>(gate);
  return self.allows(action, view_of(first), view_of(second)) ? SQLITE_OK : SQLITE_DENY;
}

bool QueryGate::allows(int action, std::string_view first, std::string_view second) {
  const auto refuse = [this](std::string why) {
    if (refusal_.empty()) refusal_ = std::move(why);
    return false;
  };
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: return true;
    case SQLITE_FUNCTION:
      if (is_unbounded_function(second)) {
        return refuse("function " + std::string(second) +
                      "() is not allowed in a query: its time grows with the product of its "
                      "arguments' sizes");
      }
      return is_deterministic_function(second) ||
             refuse("function " + std::string(second) +
                    "() is not allowed: a query may use only functions that depend on their "
                    "arguments alone, and none of date and time");
    case SQLITE_READ: {
      // Counting the rows of a common table expression reads no column, of a table that is none.
      const std::string name = lower(first);
      // Names are asked about before anything is planned.
      if (mixed_views_.contains(name)) snapshot_.texts_as_numbers = true;
      const bool counted = second.empty() && !is_reserved_name(name);
      return readable_.contains(name) || counted ||
             refuse("table " + std::string(first) + " is not one of the projection's");
    }
    default: return refuse("only a SELECT is allowed here");
  }
}

Result<Statement> QueryGate::prepare(std::string_view sql, const QueryLimits& limits) {
  refusal_.clear();
  snapshot_.texts_as_numbers = compares_text_as_numbers(sql, false);
  sqlite3_limit(database_->handle(), SQLITE_LIMIT_LENGTH,
                static_cast<int>(std::min<std::uint64_t>(limits.value_bytes_max, INT32_MAX)));
  auto statement = database_->prepare(sql);
  if (!statement) {
    if (!refusal_.empty()) return fail(Errc::bad_request, refusal_);
    const QueryBudget* const budget = QueryBudget::current();
    if (budget != nullptr && budget->exceeded()) return std::unexpected(error(limits));
    return std::unexpected(std::move(statement).error());
  }
  if (sqlite3_stmt_readonly(statement->handle()) == 0 ||
      sqlite3_stmt_isexplain(statement->handle()) != 0 || statement->column_count() == 0) {
    return fail(Errc::bad_request, "only a SELECT is allowed here");
  }
  return statement;
}

Error QueryGate::error(const QueryLimits& limits) const {
  Error error = database_->error();
  // What SQLite met is then a refused allocation, whatever it calls it.
  const QueryBudget* const budget = QueryBudget::current();
  if (budget != nullptr && budget->exceeded() == Errc::too_large) {
    return Error{
        Errc::too_large,
        "the query takes more than " + std::to_string(limits.memory_bytes_max) + " bytes of memory",
        std::nullopt};
  }
  if (budget != nullptr && budget->exceeded()) error.code = Errc::timeout;
  if (error.code == Errc::timeout) {
    error.context = "the query took longer than " + std::to_string(limits.time_max.count()) + " ms";
  } else if (error.code == Errc::too_large) {
    error.context = "the query makes a value that is too large: " + error.context;
  }
  return error;
}

Result<void> bind_parameters(Statement& statement, const nlohmann::json& parameters) {
  if (!parameters.is_null() && !parameters.is_array() && !parameters.is_object()) {
    return unknown_parameter("expected an array, for ?, or an object, for :name");
  }
  const int count = sqlite3_bind_parameter_count(statement.handle());
  std::set<std::string> used;
  for (int i = 1; i <= count; ++i) {
    const char* const written = sqlite3_bind_parameter_name(statement.handle(), i);
    const bool named = written != nullptr && *written != '?';
    const nlohmann::json* json = nullptr;
    if (named && parameters.is_object()) {
      const auto found = parameters.find(written + 1);
      if (found != parameters.end()) json = &*found;
      used.insert(written + 1);
    } else if (!named && parameters.is_array() &&
               static_cast<std::size_t>(i) <= parameters.size()) {
      json = &parameters[static_cast<std::size_t>(i) - 1];
    }
    const std::string name = written == nullptr ? "?" + std::to_string(i) : written;
    if (json == nullptr) return unknown_parameter("no value for " + name);
    if (json->is_structured()) return unknown_parameter(name + " is an array or object");
    if (auto bound = statement.bind(i, Value(*json)); !bound) {
      return unknown_parameter(name + ": " + bound.error().context);
    }
  }
  if (parameters.is_array() && parameters.size() != static_cast<std::size_t>(count)) {
    return unknown_parameter(std::to_string(parameters.size()) + " values for " +
                             std::to_string(count) + " parameters");
  }
  if (parameters.is_object() && parameters.size() != used.size()) {
    for (const auto& item : parameters.items()) {
      if (!used.contains(item.key())) return unknown_parameter("the SQL has no :" + item.key());
    }
  }
  return {};
}

}  // namespace keelson::projections
