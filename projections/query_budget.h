// What one query may take of time and memory, kept where nothing gets past it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace keelson::projections {

class Database;

/// When a query must be over.
struct Deadline {
  const Clock* clock = nullptr;
  std::chrono::nanoseconds at{};  ///< monotonic

  [[nodiscard]] bool passed() const { return clock->monotonic() >= at; }
  /// Interrupts what runs on `database` once it is passed, looking every `steps` of a statement. A
  /// look costs a few steps. Must outlive the connection.
  void watch(Database& database, int steps) const;
};

/// While it lives, what SQLite allocates on this thread is counted, and refused over the budget or
/// after the deadline: SQLite then gives up as it does without memory, which it can at any point.
///
/// The deadline's own look comes between the steps of a statement that runs. Preparing one has no
/// such steps, and some statements of a few hundred bytes take for ever to prepare: SQLite copies a
/// common table expression at each place it is named, so that thirty of them that each name the
/// last twice are a thousand million copies. All of these need memory.
///
/// One at a time on a thread.
class QueryBudget {
 public:
  /// `deadline` must outlive it.
  QueryBudget(const Deadline& deadline, std::uint64_t memory_bytes_max);
  ~QueryBudget();
  QueryBudget(const QueryBudget&) = delete;
  QueryBudget& operator=(const QueryBudget&) = delete;

  /// Of this thread; nullptr when there is none.
  [[nodiscard]] static QueryBudget* current();
  /// @error internal  SQLite was used before it could be told to ask here, so it never will.
  [[nodiscard]] static Result<void> check_installed();

  /// `timeout` or `too_large` once something was refused.
  [[nodiscard]] std::optional<Errc> exceeded() const { return exceeded_; }
  /// Whether the time is over, for work that SQLite does not see into.
  [[nodiscard]] bool out_of_time();

  /// Called by the allocator. False: refuse it.
  [[nodiscard]] bool may_take(std::size_t bytes);
  void taken(std::size_t bytes) { bytes_ += static_cast<std::int64_t>(bytes); }
  void given_back(std::size_t bytes) { bytes_ -= static_cast<std::int64_t>(bytes); }

 private:
  const Deadline& deadline_;
  const std::int64_t bytes_max_;
  std::int64_t bytes_ = 0;  ///< below 0 when more is freed than was taken since it began
  std::uint32_t looks_ = 0;
  std::optional<Errc> exceeded_;
};

}  // namespace keelson::projections
