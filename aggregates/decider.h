// What a user writes: an aggregate as a decider. This is all there is to learn.
//
//     struct Counter {
//       static constexpr std::string_view kType = "counter";
//
//       struct State {
//         std::int64_t total = 0;
//         static constexpr auto kFields = fields(field("total", &State::total));
//       };
//
//       // Commands: what may be asked.
//       struct Add {
//         static constexpr std::string_view kName = "add";
//         std::int64_t amount = 0;
//         static constexpr auto kFields = fields(field("amount", &Add::amount));
//       };
//
//       // Events: what has happened. Never changed afterwards.
//       struct Added {
//         static constexpr std::string_view kType = "added";
//         std::int64_t amount = 0;
//         static constexpr auto kFields = fields(field("amount", &Added::amount));
//       };
//
//       using Command = std::variant<Add>;
//       using Event = std::variant<Added>;
//
//       static Decision<Event> decide(const State&, const Add& command, const Context&) {
//         if (command.amount <= 0) return refuse("amount_not_positive");
//         return Added{command.amount};
//       }
//       static State evolve(State state, const Added& event) {
//         state.total += event.amount;
//         return state;
//       }
//     };
//
// `decide` and `evolve` have an overload for each command and event; one function that takes the
// whole variant (with std::visit and `overloaded`) serves as well. Both are pure: they read no
// clock and no random device, and touch nothing outside. What they need beside the state is in
// `Context`.
#pragma once

#include <algorithm>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "aggregates/fields.h"
#include "engine/base/types.h"

namespace keelson::aggregates {

/// What `decide` may know beside the state and the command. The views live during the call.
struct Context {
  std::string_view id{};          ///< of the aggregate: `42` of the stream `account-42`
  Version version{};              ///< of the state decided on; 0: there are no events yet
  TimeUs time{};                  ///< the commit time the events will carry
  std::string_view principal{};   ///< who asks; empty for anonymous
  std::string_view command_id{};  ///< the Idempotency-Key; may be empty
};

/// The domain says no. An outcome like any other: remembered for the command id, never an error.
struct Refusal {
  std::string reason;  ///< a word of the domain in snake_case, which callers act on
  std::string detail;  ///< a sentence for people; may be empty
};

[[nodiscard]] inline Refusal refuse(std::string_view reason, std::string_view detail = {}) {
  return {std::string(reason), std::string(detail)};
}

/// What `decide` returns: events (at least one) or a refusal. A command that finds nothing to do is
/// a refusal too, so that every accepted command has an event that tells of it.
///     return Deposited{amount};            // one event
///     return {Withdrawn{all}, Closed{}};   // several: all or none become durable
///     return refuse("not_open");
template <class Event>
class [[nodiscard]] Decision {
 public:
  template <class E>
  requires std::constructible_from<Event, E&&> Decision(
      E&& event) {  // NOLINT(google-explicit-constructor): so that `return Event{}` reads well
    events_.emplace_back(std::forward<E>(event));
  }
  Decision(std::initializer_list<Event> events) : events_(events) {}
  Decision(std::vector<Event> events) : events_(std::move(events)) {}  // NOLINT
  Decision(Refusal refusal) : refusal_(std::move(refusal)) {}          // NOLINT

  [[nodiscard]] bool accepted() const { return !refusal_.has_value(); }
  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  /// Of a decision that is not accepted.
  [[nodiscard]] const Refusal& refusal() const { return *refusal_; }

 private:
  std::vector<Event> events_;
  std::optional<Refusal> refusal_;
};

/// One callable out of several lambdas, for std::visit.
template <class... Lambdas>
struct overloaded : Lambdas... {
  using Lambdas::operator()...;
};

// ---- What a decider must be, checked when it is compiled ----------------------------------------

namespace detail {

template <class T>
inline constexpr bool kIsVariant = false;
template <class... Ts>
inline constexpr bool kIsVariant<std::variant<Ts...>> = true;

template <class T>
concept NamedCommand = Described<T> && requires {
  { T::kName } -> std::convertible_to<std::string_view>;
};
template <class T>
concept TypedEvent = Described<T> && requires {
  { T::kType } -> std::convertible_to<std::string_view>;
};

template <class T>
inline constexpr bool kAllCommands = false;
template <class... Ts>
inline constexpr bool kAllCommands<std::variant<Ts...>> = (NamedCommand<Ts> && ...);
template <class T>
inline constexpr bool kAllEvents = false;
template <class... Ts>
inline constexpr bool kAllEvents<std::variant<Ts...>> = (TypedEvent<Ts> && ...);

/// `[a-z][a-z0-9_]*`: a name that fits a stream, a URL and a schema without escaping.
[[nodiscard]] constexpr bool is_plain_name(std::string_view name) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto plain = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && letter(name.front()) && std::ranges::all_of(name, plain);
}

/// Whether every name is plain and none is there twice.
[[nodiscard]] constexpr bool are_plain_and_distinct(std::initializer_list<std::string_view> names) {
  for (const std::string_view* name = names.begin(); name != names.end(); ++name) {
    if (!is_plain_name(*name) || std::count(names.begin(), name, *name) != 0) return false;
  }
  return true;
}

template <class... Ts>
[[nodiscard]] constexpr bool command_names_are_good(std::type_identity<std::variant<Ts...>>) {
  return are_plain_and_distinct({std::string_view(Ts::kName)...});
}
template <class... Ts>
[[nodiscard]] constexpr bool event_types_are_good(std::type_identity<std::variant<Ts...>>) {
  return are_plain_and_distinct({std::string_view(Ts::kType)...});
}

/// A::decide for the whole variant if there is one, else for the alternative it holds.
template <class A>
[[nodiscard]] Decision<typename A::Event> call_decide(const typename A::State& state,
                                                      const typename A::Command& command,
                                                      const Context& context) {
  if constexpr (requires { A::decide(state, command, context); }) {
    return A::decide(state, command, context);
  } else {
    return std::visit(
        [&](const auto& one) -> Decision<typename A::Event> {
          return A::decide(state, one, context);
        },
        command);
  }
}

/// A::evolve for the whole variant if there is one, else for the alternative it holds.
template <class A>
[[nodiscard]] typename A::State call_evolve(typename A::State state,
                                            const typename A::Event& event) {
  if constexpr (requires { A::evolve(std::move(state), event); }) {
    return A::evolve(std::move(state), event);
  } else {
    return std::visit([&](const auto& one) { return A::evolve(std::move(state), one); }, event);
  }
}

}  // namespace detail

/// The shape of a user's aggregate; names are checked by `check_decider`.
template <class A>
concept Decider = requires {
  { A::kType } -> std::convertible_to<std::string_view>;
  typename A::State;
  typename A::Command;
  typename A::Event;
}
&&Described<typename A::State>&& std::default_initializable<typename A::State>&&
    detail::kIsVariant<typename A::Command>&& detail::kIsVariant<typename A::Event>;

/// Says in words, when it is compiled, what is wrong with an aggregate.
template <Decider A>
constexpr void check_decider() {
  using Command = typename A::Command;
  using Event = typename A::Event;
  static_assert(detail::is_plain_name(A::kType),
                "kType of an aggregate must match [a-z][a-z0-9_]*");
  static_assert(detail::kAllCommands<Command>,
                "every command needs kName, and kFields for members");
  static_assert(detail::kAllEvents<Event>, "every event needs kType, and kFields for its members");
  static_assert(detail::command_names_are_good(std::type_identity<Command>{}),
                "the kName of commands must match [a-z][a-z0-9_]* and differ from each other");
  static_assert(detail::event_types_are_good(std::type_identity<Event>{}),
                "the kType of events must match [a-z][a-z0-9_]* and differ from each other");
}

}  // namespace keelson::aggregates
