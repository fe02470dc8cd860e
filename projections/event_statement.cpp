#include "projections/event_statement.h"

#include <sqlite3.h>

#include <array>
#include <utility>

#include "projections/handler_tables.h"

namespace keelson::projections {

namespace {

using Source = Value (*)(const EventContext&, std::string_view);

constexpr auto kProperties = std::to_array<std::pair<std::string_view, Source>>({
    {"command_id", [](const EventContext& e, std::string_view) { return Value(e.command_id()); }},
    {"data", [](const EventContext& e, std::string_view) { return Value(e.data_text()); }},
    {"offset", [](const EventContext& e, std::string_view) { return Value(e.offset()); }},
    {"partition", [](const EventContext& e, std::string_view) { return Value(e.partition()); }},
    {"stream", [](const EventContext& e, std::string_view) { return Value(e.stream()); }},
    {"stream_id", [](const EventContext& e, std::string_view) { return Value(e.stream_id()); }},
    {"stream_type", [](const EventContext& e, std::string_view) { return Value(e.stream_type()); }},
    {"time", [](const EventContext& e, std::string_view) { return Value(e.time_text()); }},
    {"time_us", [](const EventContext& e, std::string_view) { return Value(e.time()); }},
    {"type", [](const EventContext& e, std::string_view) { return Value(e.type()); }},
    {"version", [](const EventContext& e, std::string_view) { return Value(e.version()); }},
});

}  // namespace

Result<EventStatement::Binding> EventStatement::binding_of(std::string_view parameter) {
  const char kind = parameter.empty() ? '?' : parameter.front();
  const std::string_view name = parameter.substr(parameter.empty() ? 0 : 1);
  if (kind == ':') {
    return Binding{[](const EventContext& event, std::string_view field) { return event[field]; },
                   std::string(name)};
  }
  if (kind == '$') {
    return Binding{
        [](const EventContext& event, std::string_view field) { return event.optional(field); },
        std::string(name)};
  }
  std::string known;
  for (const auto& [property, source] : kProperties) {
    if (kind == '@' && property == name) return Binding{source, std::string(name)};
    known += (known.empty() ? "@" : ", @") + std::string(property);
  }
  return fail(Errc::bad_request, "parameter " + std::string(parameter) +
                                     " is none of :field, $optional_field, " + known);
}

Result<std::vector<EventStatement>> EventStatement::compile(std::string_view sql,
                                                            std::size_t number,
                                                            HandlerTables& tables) {
  std::vector<EventStatement> statements;
  while (true) {
    KEELSON_TRY_ASSIGN(const Statement prepared, tables.prepare_first(sql));
    if (prepared.handle() == nullptr) break;
    EventStatement statement;
    statement.sql_ = std::string(prepared.sql());
    statement.number_ = number + statements.size();
    const int count = sqlite3_bind_parameter_count(prepared.handle());
    for (int i = 1; i <= count; ++i) {
      const char* const name = sqlite3_bind_parameter_name(prepared.handle(), i);
      KEELSON_TRY_ASSIGN(Binding binding, binding_of(name == nullptr ? "" : name));
      statement.bindings_.push_back(std::move(binding));
    }
    statements.push_back(std::move(statement));
  }
  if (statements.empty()) return fail(Errc::bad_request, "there is no SQL statement");
  return statements;
}

Result<void> EventStatement::run(const EventContext& event, HandlerTables& tables) const {
  KEELSON_TRY_ASSIGN(Statement* const statement, tables.prepared(number_, sql_));
  for (std::size_t i = 0; i < bindings_.size(); ++i) {
    const Binding& binding = bindings_[i];
    if (auto bound = statement->bind(static_cast<int>(i) + 1, binding.source(event, binding.name));
        !bound) {
      return fail(bound.error().code, bound.error().context + " in: " + sql_);
    }
  }
  return statement->run();
}

}  // namespace keelson::projections
