// Tests a decider without a server, a store or a thread:
//
//     given<Account>(Account::Opened{"Ada"}, Account::Deposited{100})
//         .when(Account::Withdraw{30})
//         .then(Account::Withdrawn{30})
//         .then_state({.open = true, .balance = 70});
//     given<Account>().when(Account::Deposit{1}).then_refused("not_open");
//
// A claim that does not hold throws `kit::Failure`, whose text says what was expected and what
// happened; every test framework reports that. Header-only, no framework needed.
#pragma once

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregates/aggregate_type.h"
#include "aggregates/decider.h"

namespace keelson::aggregates {

namespace kit {

/// A claim that did not hold.
class Failure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Goes through JSON, as every event does on its way to the log and back.
template <class Event>
[[nodiscard]] Event through_json(const Event& event) {
  const NewEvent written = detail::write_event(event);
  auto data = parse_json(written.data);
  if (!data) throw Failure(written.type + " is no JSON: " + data.error().context);
  auto read = detail::read_event(std::type_identity<Event>{}, {written.type, *std::move(data)});
  if (!read) throw Failure(written.type + " cannot be read back: " + read.error().context);
  return *std::move(read);
}

/// One event a line: `deposited {"amount":5}`.
template <class Event>
[[nodiscard]] std::string listed(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) {
    const NewEvent written = detail::write_event(event);
    text += "  " + written.type + " " + written.data + "\n";
  }
  return text.empty() ? "  nothing\n" : text;
}

/// What a decider made of a command.
template <Decider A>
class Outcome {
 public:
  using Event = typename A::Event;
  using State = typename A::State;

  Outcome(State before, Decision<Event> decision)
      : state_(std::move(before)), decision_(std::move(decision)) {
    if (decision_.accepted() && decision_.events().empty()) {
      throw Failure("decide gave neither an event nor a refusal");
    }
    for (const Event& event : decision_.events()) {
      state_ = detail::call_evolve<A>(std::move(state_), through_json(event));
    }
  }

  /// Exactly these events, in this order.
  template <class... Events>
  const Outcome& then(const Events&... expected) const {
    const std::string wanted = listed(std::vector<Event>{Event(expected)...});
    if (wanted != happened()) throw Failure("expected:\n" + wanted + "happened:\n" + happened());
    return *this;
  }

  /// A refusal with this reason, which must be one of kRefusals if the aggregate lists them.
  const Outcome& then_refused(std::string_view reason) const {
    const std::string wanted = "  refused: " + std::string(reason) + "\n";
    if (decision_.accepted() || decision_.refusal().reason != reason) {
      throw Failure("expected:\n" + wanted + "happened:\n" + happened());
    }
    if constexpr (requires { A::kRefusals; }) {
      if (std::find(std::begin(A::kRefusals), std::end(A::kRefusals), reason) ==
          std::end(A::kRefusals)) {
        throw Failure("'" + std::string(reason) + "' is not among kRefusals");
      }
    }
    return *this;
  }

  /// This state after the command.
  const Outcome& then_state(const State& expected) const {
    if (encode(expected) != encode(state_)) {
      throw Failure("expected:\n  " + encode(expected) + "\nhappened:\n  " + encode(state_) + "\n");
    }
    return *this;
  }

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const Decision<Event>& decision() const { return decision_; }

 private:
  [[nodiscard]] std::string happened() const {
    if (decision_.accepted()) return listed(decision_.events());
    const Refusal& refusal = decision_.refusal();
    return "  refused: " + refusal.reason +
           (refusal.detail.empty() ? "" : " (" + refusal.detail + ")") + "\n";
  }

  State state_;
  Decision<Event> decision_;
};

/// An aggregate with a history.
template <Decider A>
class Given {
 public:
  explicit Given(const std::vector<typename A::Event>& history) : version_(history.size()) {
    for (const auto& event : history) {
      state_ = detail::call_evolve<A>(std::move(state_), through_json(event));
    }
  }

  /// Decides `command` now, as version `history.size()` of an aggregate called `1`.
  template <class Command>
  [[nodiscard]] Outcome<A> when(const Command& command) const {
    return when(command, Context{.id = "1", .version = version_});
  }
  /// Decides `command` in a context of your own.
  template <class Command>
  [[nodiscard]] Outcome<A> when(const Command& command, const Context& context) const {
    const typename A::Command any(command);
    return {state_, detail::call_decide<A>(state_, any, context)};
  }

  /// The state the history led to.
  const Given& then_state(const typename A::State& expected) const {
    if (encode(expected) != encode(state_)) {
      throw Failure("expected:\n  " + encode(expected) + "\nhappened:\n  " + encode(state_) + "\n");
    }
    return *this;
  }

 private:
  typename A::State state_{};
  Version version_;
};

}  // namespace kit

/// Starts a claim: what has happened to the aggregate so far.
template <Decider A, class... Events>
[[nodiscard]] kit::Given<A> given(const Events&... history) {
  return kit::Given<A>(std::vector<typename A::Event>{typename A::Event(history)...});
}

}  // namespace keelson::aggregates
