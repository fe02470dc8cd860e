// How a projection is defined: its tables, and what each event does to them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "projections/event_context.h"
#include "projections/value.h"

namespace keelson::projections {

/// The projection's tables in its partition, as they are after all events before this one. Valid
/// during a handler's call only.
///
/// SQL here is deterministic: anything that reads a clock or chance (`random()`, `datetime('now')`,
/// all date and time functions), changes the schema, or reaches outside the projection's tables is
/// refused. `:name` in a statement is the parameter of that name; all must be given.
class Tables {
 public:
  virtual ~Tables() = default;

  /// Runs one INSERT, UPDATE or DELETE.
  [[nodiscard]] virtual Result<void> run(std::string_view sql,
                                         const Parameters& parameters = {}) = 0;

  /// The same, and fails unless exactly one row was written: an update that meets no row is an
  /// error here and not an amount that vanishes.
  [[nodiscard]] virtual Result<void> run_one(std::string_view sql,
                                             const Parameters& parameters = {}) = 0;

  /// The rows of a SELECT. @error too_large  over 10,000 rows.
  [[nodiscard]] virtual Result<std::vector<Row>> query(std::string_view sql,
                                                       const Parameters& parameters = {}) = 0;
};

/// A read model of one topic: SQL tables and a handler per stream type and event type.
///
///     Projection balances("balances", 1);
///     balances.schema(R"sql(
///       CREATE TABLE balances (
///         account_id TEXT PRIMARY KEY,
///         balance    INTEGER NOT NULL
///       ) STRICT;
///     )sql");
///     balances.on("account", "opened", "INSERT INTO balances VALUES (@stream_id, 0)");
///     balances.on("account", "deposited", [](const EventContext& event, Tables& tables) {
///       return tables.run_one(
///           "UPDATE balances SET balance = balance + :amount WHERE account_id = :id",
///           {{"amount", event["amount"]}, {"id", event.stream_id()}});
///     });
///
/// Each partition of the topic has read models of its own, so an event is applied without looking
/// at other partitions; queries run over all of them together. All that one event does is one step:
/// state "as of an offset" is state between two events.
///
/// A handler that returns an error or throws halts the projection in that partition at that event,
/// before any of its effects, until the code is put right and the process is started again.
class Projection {
 public:
  using Handler = std::function<Result<void>(const EventContext&, Tables&)>;

  /// @param name     `[a-z][a-z0-9_]*`, in routes and as a folder.
  /// @param version  raise it when a handler changes, so that the read model is built anew.
  Projection(std::string name, std::uint32_t version);

  /// A sentence for people.
  Projection& summary(std::string text);

  /// CREATE TABLE, CREATE INDEX and CREATE VIEW statements. Tables are STRICT and have a primary
  /// key; docs/projections.md lists what else is asked of them, and why.
  Projection& schema(std::string sql);

  /// Calls `handler` for each event of `type` in streams of `stream_type` (`account-42` is of
  /// `account`); handlers of one event run in the order given. Events of other streams are not
  /// looked at, whatever their type: in a topic that others may append to, a type alone says
  /// nothing of who wrote the event.
  Projection& on(std::string stream_type, std::string type, Handler handler);

  /// Runs SQL for each such event, one statement or several. In it `:amount` is the field `amount`
  /// of the event's data and must be there, `$reference` is NULL when it is not; `@offset`,
  /// `@partition`, `@stream`, `@stream_type`, `@stream_id`, `@version`, `@type`, `@time` (RFC 3339
  /// text), `@time_us`, `@command_id` and `@data` (JSON text) tell of the event itself.
  Projection& on(std::string stream_type, std::string type, std::string sql);
  Projection& on(std::string stream_type, std::string type, const char* sql) {
    return on(std::move(stream_type), std::move(type), std::string(sql));
  }

  /// The same for events of `type` in every stream of the topic, whoever writes them. `@stream_id`
  /// names nothing here: `a-1` and `b-1` have the same one. Key rows by `@stream`.
  Projection& on_any_stream(std::string type, Handler handler);
  Projection& on_any_stream(std::string type, std::string sql);
  Projection& on_any_stream(std::string type, const char* sql) {
    return on_any_stream(std::move(type), std::string(sql));
  }

  struct Rule {
    std::optional<std::string> stream_type;  ///< nothing: every stream
    std::string type;
    std::variant<Handler, std::string> action;  ///< code, or SQL
  };

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] const std::string& summary_text() const { return summary_; }
  [[nodiscard]] const std::string& schema_text() const { return schema_; }
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

 private:
  std::string name_;
  std::uint32_t version_;
  std::string summary_;
  std::string schema_;
  std::vector<Rule> rules_;
};

/// The projections of a topic; checked when the host opens them.
class ProjectionRegistry {
 public:
  ProjectionRegistry& add(Projection projection);
  [[nodiscard]] const std::vector<Projection>& projections() const { return projections_; }

 private:
  std::vector<Projection> projections_;
};

}  // namespace keelson::projections
