// The aggregate that the tests of this layer decide with.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "aggregates/decider.h"

namespace keelson::test {

using namespace keelson::aggregates;  // NOLINT: a test's vocabulary

/// Money in one pocket: small, but with everything an aggregate can have.
struct Wallet {
  static constexpr std::string_view kType = "wallet";
  static constexpr std::string_view kSummary = "Money in one pocket";
  static constexpr std::array<std::string_view, 4> kRefusals = {"not_open", "already_open",
                                                                "insufficient_funds", "overflow"};

  struct State {
    bool open = false;
    std::int64_t balance = 0;
    static constexpr auto kFields =
        fields(field("open", &State::open), field("balance", &State::balance));
  };

  struct Open {
    static constexpr std::string_view kName = "open";
    static constexpr std::string_view kSummary = "Starts the wallet";
  };
  struct Put {
    static constexpr std::string_view kName = "put";
    std::int64_t amount = 0;
    std::optional<std::string> note;
    static constexpr auto kFields =
        fields(field("amount", &Put::amount, {.summary = "Minor units", .min = 1}),
               field("note", &Put::note, {.length_max = 20}));
  };
  struct Take {
    static constexpr std::string_view kName = "take";
    std::int64_t amount = 0;
    static constexpr auto kFields = fields(field("amount", &Take::amount, {.min = 1}));
  };
  struct Empty {
    static constexpr std::string_view kName = "empty";
  };
  using Command = std::variant<Open, Put, Take, Empty>;

  struct Opened {
    static constexpr std::string_view kType = "opened";
  };
  struct Added {
    static constexpr std::string_view kType = "added";
    std::int64_t amount = 0;
    std::optional<std::string> note;
    static constexpr auto kFields =
        fields(field("amount", &Added::amount), field("note", &Added::note));
  };
  struct Taken {
    static constexpr std::string_view kType = "taken";
    std::int64_t amount = 0;
    static constexpr auto kFields = fields(field("amount", &Taken::amount));
  };
  struct Closed {
    static constexpr std::string_view kType = "closed";
  };
  using Event = std::variant<Opened, Added, Taken, Closed>;

  static Decision<Event> decide(const State& state, const Open&, const Context&) {
    if (state.open) return refuse("already_open");
    return Opened{};
  }
  static Decision<Event> decide(const State& state, const Put& command, const Context&) {
    if (!state.open) return refuse("not_open");
    if (command.amount > INT64_MAX - state.balance) return refuse("overflow");
    return Added{command.amount, command.note};
  }
  static Decision<Event> decide(const State& state, const Take& command, const Context&) {
    if (!state.open) return refuse("not_open");
    if (command.amount > state.balance) {
      return refuse("insufficient_funds", "the balance is " + std::to_string(state.balance));
    }
    return Taken{command.amount};
  }
  static Decision<Event> decide(const State& state, const Empty&, const Context&) {
    if (!state.open) return refuse("not_open");
    if (state.balance == 0) return Closed{};
    return {Taken{state.balance}, Closed{}};
  }

  static State evolve(State state, const Opened&) {
    state.open = true;
    return state;
  }
  static State evolve(State state, const Added& event) {
    state.balance += event.amount;
    return state;
  }
  static State evolve(State state, const Taken& event) {
    state.balance -= event.amount;
    return state;
  }
  static State evolve(State state, const Closed&) {
    state.open = false;
    return state;
  }
};

}  // namespace keelson::test
