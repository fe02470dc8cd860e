#include "projections/write_gate.h"

#include <sqlite3.h>

#include "projections/allowed_functions.h"
#include "projections/capture_names.h"

namespace keelson::projections {

namespace {

std::string_view view_of(const char* text) { return text == nullptr ? "" : text; }

bool is_schema_table(std::string_view name) {
  return name == "sqlite_master" || name == "sqlite_schema" || name == "sqlite_temp_master";
}

std::string refused_function(std::string_view name) {
  return "function " + std::string(name) +
         "() is not allowed: SQL of a projection may use only functions that give the same answer "
         "at "
         "every replay";
}

}  // namespace

WriteGate::WriteGate(Database& database) : database_(database) {
  sqlite3_set_authorizer(database_.handle(), &WriteGate::on_action, this);
}

Result<void> WriteGate::check_text(std::string_view sql) {
  // SQLite names the trigger that does something, but in the same place also a common table
  // expression: nothing of a handler's may be called like a trigger of the framework.
  if (!is_capture_trigger(sql)) return {};
  return fail(Errc::bad_request, "names with '__capture_' are the framework's");
}

WriteGate::~WriteGate() { sqlite3_set_authorizer(database_.handle(), nullptr, nullptr); }

Error WriteGate::explain(Error error) const {
  if (refusal_.empty()) return error;
  return Error{Errc::bad_request, refusal_, std::nullopt};
}

int WriteGate::on_action(void* gate, int action, const char* first, const char* second,
                         const char* /*database*/, const char* via) {
  auto& self = *static_cast<WriteGate*>(gate);
  bool allowed = true;
  if (self.mode_ == Mode::schema) {
    allowed = self.allows_definition(action, view_of(first), view_of(second));
  } else if (self.mode_ == Mode::handler) {
    allowed = self.allows_data(action, view_of(first), view_of(second), view_of(via));
  }
  return allowed ? SQLITE_OK : SQLITE_DENY;
}

bool WriteGate::refuse(std::string why) {
  if (refusal_.empty()) refusal_ = std::move(why);
  return false;
}

bool WriteGate::allows_definition(int action, std::string_view first, std::string_view second) {
  switch (action) {
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_VIEW:
    case SQLITE_REINDEX:
    case SQLITE_SELECT:
    case SQLITE_READ: return true;
    case SQLITE_FUNCTION:
      return is_deterministic_function(second) || refuse(refused_function(second));
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      return is_schema_table(first) ||
             refuse("a schema holds definitions only; rows come from events");
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_TEMP_TRIGGER: return refuse("triggers are not allowed in a schema");
    case SQLITE_CREATE_VTABLE: return refuse("virtual tables are not allowed in a schema");
    default:
      return refuse("only CREATE TABLE, CREATE INDEX and CREATE VIEW are allowed in a schema");
  }
}

bool WriteGate::allows_data(int action, std::string_view first, std::string_view second,
                            std::string_view via) {
  if (action == SQLITE_SELECT || action == SQLITE_RECURSIVE || is_capture_trigger(via)) return true;
  const bool reads = action == SQLITE_READ;
  const bool writes = action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE;
  if (action == SQLITE_FUNCTION) {
    return is_deterministic_function(second) || refuse(refused_function(second));
  }
  if (reads && second == kFromColumn) {
    return refuse("column _from is the framework's: name your columns instead of *");
  }
  if ((reads || writes) && !is_schema_table(first)) {
    return !is_reserved_name(first) ||
           refuse("table " + std::string(first) + " is not one of the projection's");
  }
  // Statements that change the schema show themselves by writing to the schema's table first.
  return refuse(
      "a handler may run SELECT, INSERT, UPDATE and DELETE on its projection's tables and nothing "
      "else");
}

}  // namespace keelson::projections
