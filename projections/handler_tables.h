// The tables as a handler's SQL reaches them.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "projections/projection.h"
#include "projections/sqlite_database.h"
#include "projections/write_gate.h"

namespace keelson::projections {

/// Prepares each statement behind the gate, once, and keeps it: those of rules for as long as it
/// lives, those of handlers while they are used. On the applier's thread.
class HandlerTables final : public Tables {
 public:
  HandlerTables(Database& database, WriteGate& gate);

  [[nodiscard]] Result<void> run(std::string_view sql, const Parameters& parameters) override;
  [[nodiscard]] Result<void> run_one(std::string_view sql, const Parameters& parameters) override;
  [[nodiscard]] Result<std::vector<Row>> query(std::string_view sql,
                                               const Parameters& parameters) override;

  /// A statement from behind the gate, not yet bound.
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  /// Statement `number` of the projection's rules, whose text is `sql`: found without looking at
  /// the text, which costs more than binding its values. It is this object's, and holds old values.
  [[nodiscard]] Result<Statement*> prepared(std::size_t number, std::string_view sql);
  /// Takes the first statement off `sql`; an empty one when there is none. Not kept.
  [[nodiscard]] Result<Statement> prepare_first(std::string_view& sql);

 private:
  [[nodiscard]] Result<Statement> prepare_bound(std::string_view sql, const Parameters& parameters);

  Database& database_;
  WriteGate& gate_;
  StatementCache statements_;
  std::vector<Statement> numbered_;  ///< of rules; empty until first used
};

}  // namespace keelson::projections
