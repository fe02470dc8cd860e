// The one way in for SQL from outside: a connection that can read a projection's tables and no
// more.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>

#include "projections/as_of_table.h"
#include "projections/projection_host.h"
#include "projections/query_budget.h"
#include "projections/sqlite_database.h"
#include "projections/versioned_schema.h"

namespace keelson::projections {

/// An empty database in memory that holds the as-of tables alone, so there is nothing else to
/// reach. While a statement is prepared SQLite asks about each thing it does, through views as
/// well, and what is not named here is refused: only SELECT, on the projection's tables, with
/// functions that depend on their arguments alone and take time in proportion to them. Length,
/// depth and width of a statement are bounded, the size of each value too: so each step is short,
/// and the deadline is looked at between steps. What is not done in steps, preparing above all, the
/// caller's QueryBudget bounds. Used by one thread at a time.
class QueryGate {
 public:
  /// `schema` and `deadline` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<QueryGate>> open(const VersionedSchema& schema,
                                                               const Deadline& deadline);
  ~QueryGate();
  QueryGate(const QueryGate&) = delete;
  QueryGate& operator=(const QueryGate&) = delete;

  [[nodiscard]] QuerySnapshot& snapshot() { return snapshot_; }
  /// Whether so many kinds of queries have been seen that it is time for a new gate.
  [[nodiscard]] bool worn() const;

  /// One SELECT that may run. @error bad_request, too_large
  [[nodiscard]] Result<Statement> prepare(std::string_view sql, const QueryLimits& limits);

  /// What stopped a statement of this gate, or preparing one.
  [[nodiscard]] Error error(const QueryLimits& limits) const;

 private:
  QueryGate() = default;

  static int on_action(void* gate, int action, const char* first, const char* second,
                       const char* database, const char* via);
  bool allows(int action, std::string_view first, std::string_view second);
  void set_limits();

  QuerySnapshot snapshot_;
  std::set<std::string, std::less<>> readable_;     ///< names of tables and views, in lower case
  std::set<std::string, std::less<>> mixed_views_;  ///< those that compares_text_as_numbers names
  std::string refusal_;
  std::unique_ptr<Database> database_;  ///< last: its virtual tables look at the snapshot
};

/// Binds every parameter of `statement` from a JSON array (`?`) or object (`:name`), or none from
/// null. @error bad_request  one is missing, unknown, or no SQL value.
[[nodiscard]] Result<void> bind_parameters(Statement& statement, const nlohmann::json& parameters);

}  // namespace keelson::projections
