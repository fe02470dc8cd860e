#include "projections/rules.h"

#include <exception>

#include "projections/handler_tables.h"
#include "projections/offset_function.h"
#include "projections/sqlite_database.h"
#include "projections/write_gate.h"

namespace keelson::projections {

namespace {

constexpr std::size_t kNameBytesMax = 64;

Result<void> check_name(const std::string& name) {
  bool good = !name.empty() && name.size() <= kNameBytesMax && name[0] >= 'a' && name[0] <= 'z';
  for (const char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
  }
  if (good) return {};
  return fail(Errc::bad_request,
              "projection '" + name + "': a name matches [a-z][a-z0-9_]* and has up to 64 letters");
}

std::unexpected<Error> in_projection(const std::string& name, const Error& error) {
  return fail(error.code, "projection " + name + ": " + error.context);
}

}  // namespace

Result<std::shared_ptr<const Rules>> Rules::compile(const Projection& projection) {
  KEELSON_TRY(check_name(projection.name()));
  if (projection.version() == 0) {
    return fail(Errc::bad_request, "projection " + projection.name() + ": versions begin at 1");
  }
  auto rules = std::make_shared<Rules>();
  rules->name_ = projection.name();
  rules->version_ = projection.version();
  auto schema = VersionedSchema::check(projection.schema_text());
  if (!schema) return in_projection(projection.name(), schema.error());
  rules->schema_ = std::move(*schema);
  rules->code_ = projection.schema_text();
  if (auto compiled = rules->compile_rules(projection); !compiled) {
    return in_projection(projection.name(), compiled.error());
  }
  return rules;
}

Result<void> Rules::compile_rules(const Projection& projection) {
  EventOffset offset;
  KEELSON_TRY_ASSIGN(const auto scratch, Database::open("", Database::Mode::memory));
  KEELSON_TRY(register_offset_function(*scratch, offset));
  WriteGate gate(*scratch);
  KEELSON_TRY(schema_.install(*scratch, gate));
  HandlerTables tables(*scratch, gate);
  for (const Projection::Rule& rule : projection.rules()) {
    auto& actions = actions_[rule.type];
    if (const auto* handler = std::get_if<Projection::Handler>(&rule.action)) {
      if (!*handler) return fail(Errc::bad_request, "on " + rule.type + ": the handler is empty");
      actions.emplace_back(*handler);
      continue;
    }
    const auto& sql = std::get<std::string>(rule.action);
    auto statements = EventStatement::compile(sql, tables);
    if (!statements) {
      return fail(Errc::bad_request, "on " + rule.type + ": " + statements.error().context);
    }
    actions.emplace_back(std::move(*statements));
    code_ += "\n-- on " + rule.type + "\n" + sql;
  }
  return {};
}

Result<void> Rules::apply(const EventView& event, HandlerTables& tables) const {
  const auto found = actions_.find(std::string(event.type));
  if (found == actions_.end()) return {};
  const EventContext context(event);
  try {
    for (const Action& action : found->second) {
      if (const auto* handler = std::get_if<Projection::Handler>(&action)) {
        KEELSON_TRY((*handler)(context, tables));
        continue;
      }
      for (const auto& statement : std::get<std::vector<EventStatement>>(action)) {
        KEELSON_TRY(statement.run(context, tables));
      }
    }
  } catch (const std::exception& thrown) {
    return fail(Errc::bad_request, std::string("the handler threw: ") + thrown.what());
  } catch (...) {
    return fail(Errc::bad_request, "the handler threw something that is no std::exception");
  }
  return {};
}

}  // namespace keelson::projections
