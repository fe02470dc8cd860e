// An aggregate and a read model of a project that uses the installed package.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <variant>

#include "aggregates/decider.h"
#include "projections/projection.h"

namespace aggregates = keelson::aggregates;
namespace projections = keelson::projections;

struct Counter {
  static constexpr std::string_view kType = "counter";

  struct State {
    std::int64_t total = 0;
    static constexpr auto kFields = aggregates::fields(aggregates::field("total", &State::total));
  };

  struct Add {
    static constexpr std::string_view kName = "add";
    std::int64_t amount = 0;
    static constexpr auto kFields = aggregates::fields(aggregates::field("amount", &Add::amount));
  };

  struct Added {
    static constexpr std::string_view kType = "added";
    std::int64_t amount = 0;
    static constexpr auto kFields = aggregates::fields(aggregates::field("amount", &Added::amount));
  };

  using Command = std::variant<Add>;
  using Event = std::variant<Added>;

  static aggregates::Decision<Event> decide(const State& state, const Add& command,
                                            const aggregates::Context&) {
    if (command.amount <= 0) return aggregates::refuse("amount_not_positive");
    if (state.total > std::numeric_limits<std::int64_t>::max() - command.amount)
      return aggregates::refuse("overflow");
    return Added{command.amount};
  }

  static State evolve(State state, const Added& event) {
    state.total += event.amount;
    return state;
  }
};

inline projections::Projection counters() {
  projections::Projection projection("counters", 1);
  projection.schema("CREATE TABLE counters (id TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT;");
  projection.on("counter", "added",
                "INSERT INTO counters VALUES (@stream_id, :amount) "
                "ON CONFLICT (id) DO UPDATE SET total = total + excluded.total");
  return projection;
}
