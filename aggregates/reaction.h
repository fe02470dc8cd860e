// What a user writes to let one aggregate's events act on others: a reaction (process manager,
// saga).
//
//     struct MoveMoney {
//       static constexpr std::string_view kName = "move_money";
//       using Source = Transfer;  // the aggregate whose events it follows
//
//       static Steps react(const Transfer::Requested& event, const Cause& cause) {
//         return ask<Account>(event.from, Account::Withdraw{event.amount})
//             .on_accepted([cause] { return ask<Transfer>(cause.id, Transfer::RecordDebit{}); })
//             .on_refused([cause](const Refusal& refusal) {
//               return ask<Transfer>(cause.id, Transfer::Fail{refusal.reason});
//             });
//       }
//       static Steps react(const Transfer::Debited& event, const Cause& cause) { … }
//     };
//
// Events without an overload of `react` are passed over unread. Each step is a command with an id
// derived from the reaction, the event behind it and the step's place, so that after a crash the
// same steps are taken again and find their first outcomes: every effect happens exactly once, in
// whatever partitions. For that, `react` and what follows a step must be pure: the same event and
// the same outcome always give the same steps.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "aggregates/aggregate_type.h"
#include "aggregates/decider.h"
#include "engine/base/result.h"
#include "engine/store/event.h"

namespace keelson::aggregates {

/// The event that a reaction reacts to.
struct Cause {
  std::string id;   ///< of the aggregate it happened to
  Version version;  ///< of that aggregate, after it
  PartitionId partition;
  Offset offset;
  TimeUs time;
};

class Step;

/// What to do: some steps, or none.
class Steps {
 public:
  Steps() = default;
  Steps(Step step);  // NOLINT(google-explicit-constructor)
  Steps(std::initializer_list<Step> steps);
  void add(Step step);

  [[nodiscard]] const std::vector<Step>& all() const { return steps_; }

 private:
  std::vector<Step> steps_;
};

/// A command to an aggregate of the same topic, and what follows from its outcome.
class Step {
 public:
  Step(std::string_view type, std::string id, std::string_view command, std::string body)
      : type_(type), id_(std::move(id)), command_(command), body_(std::move(body)) {}

  /// The steps to take once the command was accepted. Without: none.
  [[nodiscard]] Step on_accepted(std::function<Steps()> then) && {
    on_accepted_ = std::move(then);
    return std::move(*this);
  }
  /// The steps to take once the domain refused it: an outcome like any other. Without: none.
  [[nodiscard]] Step on_refused(std::function<Steps(const Refusal&)> then) && {
    on_refused_ = std::move(then);
    return std::move(*this);
  }

  [[nodiscard]] const std::string& type() const { return type_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& command() const { return command_; }
  [[nodiscard]] const std::string& body() const { return body_; }  ///< JSON

  /// What follows. @error internal  the user's function threw.
  [[nodiscard]] Result<Steps> after_accepted() const;
  [[nodiscard]] Result<Steps> after_refused(const Refusal& refusal) const;

 private:
  std::string type_;
  std::string id_;
  std::string command_;
  std::string body_;
  std::function<Steps()> on_accepted_;
  std::function<Steps(const Refusal&)> on_refused_;
};

/// A step: `command` to the `A` called `id`.
template <Decider A, class Command>
requires std::constructible_from<typename A::Command, Command>
[[nodiscard]] Step ask(std::string id, const Command& command) {
  return {A::kType, std::move(id), Command::kName, encode(command)};
}

/// A reaction as the host sees it. Immutable, thread-safe.
class ReactionType {
 public:
  virtual ~ReactionType() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual std::string_view source() const = 0;  ///< kType of the aggregate followed
  /// The steps for an event of a stream of `source`; `type` is that aggregate's registration.
  /// @error unsupported_format  an event this code does not know. @error internal  react threw.
  [[nodiscard]] virtual Result<Steps> react(const AggregateType& type,
                                            const EventView& event) const = 0;
};

template <class R>
concept Reaction = Decider<typename R::Source> && requires {
  { R::kName } -> std::convertible_to<std::string_view>;
};

/// The reactions of a service, registered once, at start. A reaction that is new to a log begins
/// with its first event.
class ReactionRegistry {
 public:
  /// Two reactions with one kName, or one whose Source is not registered, are refused when a host
  /// is opened.
  template <Reaction R>
  ReactionRegistry& add();

  [[nodiscard]] const std::vector<std::shared_ptr<const ReactionType>>& reactions() const {
    return reactions_;
  }

 private:
  std::vector<std::shared_ptr<const ReactionType>> reactions_;
};

// ---- How it is done --------------------------------------------------------------------------

inline Steps::Steps(Step step) { add(std::move(step)); }
inline void Steps::add(Step step) { steps_.push_back(std::move(step)); }
inline Steps::Steps(std::initializer_list<Step> steps) : steps_(steps) {}

namespace detail {

template <class R, class Event>
inline constexpr bool kReactsTo = requires(const Event& event, const Cause& cause) {
  { R::react(event, cause) } -> std::convertible_to<Steps>;
};

template <class R, class Variant>
inline constexpr bool kReactsToAny = false;
template <class R, class... Es>
inline constexpr bool kReactsToAny<R, std::variant<Es...>> = (kReactsTo<R, Es> || ...);

[[nodiscard]] Cause cause_of(const EventView& event);

/// Whether `R` has no `react` for events that are stored under `type`, whatever their data says: an
/// upcaster may make something else of an event, and of an unknown type that is an error.
template <class R, class... Es>
[[nodiscard]] bool passes_over(std::type_identity<std::variant<Es...>>, const Upcasters& upcasters,
                               std::string_view type) {
  return ((Es::kType == type && !kReactsTo<R, Es>) || ...) && !concerns(upcasters, type);
}

template <Reaction R>
class ReactionOf final : public ReactionType {
 public:
  using Event = typename R::Source::Event;
  static_assert(is_plain_name(R::kName), "kName of a reaction must match [a-z][a-z0-9_]*");
  static_assert(std::string_view(R::kName).size() <= 64, "kName is part of every command's id");
  static_assert(kReactsToAny<R, Event>, "a reaction needs react(const Event&, const Cause&)");

  [[nodiscard]] std::string_view name() const override { return R::kName; }
  [[nodiscard]] std::string_view source() const override { return R::Source::kType; }

  [[nodiscard]] Result<Steps> react(const AggregateType& type, const EventView& view) const override
      try {
    // Most events are none of a reaction's business, and reading one costs more than all else here.
    if (passes_over<R>(std::type_identity<Event>{}, type.upcasters(), view.type)) return Steps{};
    KEELSON_TRY_ASSIGN(const Event event, read_event<typename R::Source>(type.upcasters(), view));
    return std::visit(
        [&]<class E>(const E& one) -> Steps {
          if constexpr (kReactsTo<R, E>) {
            return R::react(one, cause_of(view));
          } else {
            return {};
          }
        },
        event);
  } catch (const std::exception& error) {
    return fail(Errc::internal, "react threw at " + describe(view) + ": " + error.what());
  }
};

}  // namespace detail

template <Reaction R>
ReactionRegistry& ReactionRegistry::add() {
  reactions_.push_back(std::make_shared<detail::ReactionOf<R>>());
  return *this;
}

}  // namespace keelson::aggregates
