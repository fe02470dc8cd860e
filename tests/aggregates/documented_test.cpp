// The code that docs/aggregates.md shows.
#include <doctest/doctest.h>

#include "aggregates/kit.h"
#include "aggregates/registry.h"

namespace keelson::test {

using namespace keelson::aggregates;  // NOLINT: a test's vocabulary

namespace {

// clang-format off
// [docs: decider]
struct Counter {
  static constexpr std::string_view kType = "counter";        // its streams are counter-<id>

  struct State {
    std::int64_t total = 0;
    static constexpr auto kFields = fields(field("total", &State::total));
  };

  struct Add {                                                // a command
    static constexpr std::string_view kName = "add";
    std::int64_t amount = 0;
    static constexpr auto kFields = fields(field("amount", &Add::amount, {.min = 1}));
  };

  struct Added {                                              // an event
    static constexpr std::string_view kType = "added";
    std::int64_t amount = 0;
    static constexpr auto kFields = fields(field("amount", &Added::amount));
  };

  using Command = std::variant<Add>;
  using Event = std::variant<Added>;

  static Decision<Event> decide(const State& state, const Add& command, const Context&) {
    if (command.amount > INT64_MAX - state.total) return refuse("overflow");
    return Added{command.amount};
  }
  static State evolve(State state, const Added& event) {
    state.total += event.amount;
    return state;
  }
};
// [end]
// clang-format on

}  // namespace

TEST_CASE("documentation: the counter counts, and refuses to overflow") {
  // clang-format off
  // [docs: kit]
  given<Counter>(Counter::Added{40})
      .when(Counter::Add{2})
      .then(Counter::Added{2})
      .then_state({.total = 42});
  given<Counter>(Counter::Added{1}).when(Counter::Add{INT64_MAX}).then_refused("overflow");
  // [end]
  // clang-format on
}

TEST_CASE("documentation: the upcaster reads the old shape") {
  using nlohmann::json;
  AggregateRegistry registry;
  // clang-format off
  // [docs: upcaster]
  registry.add<Counter>({.code_version = "2",
                         .upcasters = {{"added",
                                        [](const json& data) { return data.contains("by"); },
                                        [](json data) {
                                          return StoredEvent{"added", {{"amount", data.at("by")}}};
                                        }}}});
  // [end]
  // clang-format on
  const auto counter = registry.find("counter");
  const auto state = counter->initial();
  Event old;
  old.type = "added";
  old.data = R"({"by":42})";
  REQUIRE(counter->evolve(*state, old.view()).has_value());
  CHECK(state->to_json() == R"({"total":42})");
}

}  // namespace keelson::test
