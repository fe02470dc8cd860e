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

/// How a rule is called in errors and in `code`.
std::string title_of(const Projection::Rule& rule) {
  if (!rule.stream_type) return "on any stream, " + rule.type;
  return "on " + *rule.stream_type + ", " + rule.type;
}

/// A rule that no event could meet is a mistake, and the likeliest is a stream where its type is
/// wanted.
Result<void> check_rule(const Projection::Rule& rule, const std::string& title) {
  if (rule.type.empty()) return fail(Errc::bad_request, title + ": the event's type is empty");
  if (!rule.stream_type) return {};
  if (rule.stream_type->empty() || rule.stream_type->find('-') != std::string::npos) {
    return fail(Errc::bad_request,
                title + ": the type of a stream is what stands before the first '-' of its name");
  }
  return {};
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
  std::size_t statements_before = 0;
  for (const Projection::Rule& rule : projection.rules()) {
    const std::string title = title_of(rule);
    KEELSON_TRY(check_rule(rule, title));
    code_ += "\n-- " + title + '\n';
    Rule compiled{rule.stream_type, {}};
    if (const auto* handler = std::get_if<Projection::Handler>(&rule.action)) {
      if (!*handler) return fail(Errc::bad_request, title + ": the handler is empty");
      compiled.action = *handler;
    } else {
      const auto& sql = std::get<std::string>(rule.action);
      auto statements = EventStatement::compile(sql, statements_before, tables);
      if (!statements) return fail(Errc::bad_request, title + ": " + statements.error().context);
      statements_before += statements->size();
      compiled.action = std::move(*statements);
      code_ += sql;
    }
    rules_[rule.type].push_back(std::move(compiled));
  }
  return {};
}

Result<void> Rules::apply(const EventView& event, HandlerTables& tables) const {
  const auto found = rules_.find(event.type);
  if (found == rules_.end()) return {};
  const EventContext context(event);
  const std::string_view type_of_stream = context.stream_type();
  try {
    for (const Rule& rule : found->second) {
      if (rule.takes(type_of_stream)) KEELSON_TRY(rule.apply(context, tables));
    }
  } catch (const std::exception& thrown) {
    return fail(Errc::bad_request, std::string("the handler threw: ") + thrown.what());
  } catch (...) {
    return fail(Errc::bad_request, "the handler threw something that is no std::exception");
  }
  return {};
}

Result<void> Rules::Rule::apply(const EventContext& event, HandlerTables& tables) const {
  if (const auto* handler = std::get_if<Projection::Handler>(&action)) {
    return (*handler)(event, tables);
  }
  for (const auto& statement : std::get<std::vector<EventStatement>>(action)) {
    KEELSON_TRY(statement.run(event, tables));
  }
  return {};
}

}  // namespace keelson::projections
