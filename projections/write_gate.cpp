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
  const bool capturing = is_capture_trigger(via);
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: return true;
    case SQLITE_FUNCTION:
      return capturing || is_deterministic_function(second) || refuse(refused_function(second));
    case SQLITE_READ:
      if (capturing) return true;
      if (second == kFromColumn) {
        return refuse("column _from is the framework's: name your columns instead of *");
      }
      [[fallthrough]];
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      return capturing || !is_reserved_name(first) ||
             refuse("table " + std::string(first) + " is not one of the projection's");
    default:
      return refuse(
          "a handler may run SELECT, INSERT, UPDATE and DELETE on its projection's tables "
          "and nothing else");
  }
}

}  // namespace keelson::projections
