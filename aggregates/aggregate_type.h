// An aggregate as the host sees it: its types erased, its JSON read and written, its exceptions
// caught.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "aggregates/aggregate_info.h"
#include "aggregates/decider.h"
#include "aggregates/upcaster.h"
#include "engine/store/commit.h"
#include "engine/store/event.h"

namespace keelson::aggregates {

/// The state of one aggregate, decoded.
class AnyState {
 public:
  virtual ~AnyState() = default;
  /// What it takes in memory, about.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  [[nodiscard]] virtual std::string to_json() const = 0;
};

/// A command that passed its checks.
class AnyCommand {
 public:
  virtual ~AnyCommand() = default;
};

/// Events that were just decided, decoded.
class AnyEvents {
 public:
  virtual ~AnyEvents() = default;
};

/// A decision with its events written as JSON.
struct Decided {
  std::vector<NewEvent> events;        ///< without metadata; empty when refused
  std::unique_ptr<AnyEvents> decoded;  ///< the same, as they will be read; null when refused
  std::optional<Refusal> refusal;
};

/// One registered aggregate. Immutable, thread-safe. Exceptions of the user's functions become
/// errors.
class AggregateType {
 public:
  virtual ~AggregateType() = default;

  [[nodiscard]] virtual const AggregateInfo& info() const = 0;
  [[nodiscard]] virtual const Upcasters& upcasters() const = 0;

  /// The state before the first event.
  [[nodiscard]] virtual std::unique_ptr<AnyState> initial() const = 0;
  /// @error bad_request  the text is no state of this code version.
  [[nodiscard]] virtual Result<std::unique_ptr<AnyState>> read_state(
      std::string_view json) const = 0;
  /// Applies one event. After an error the state is in no condition to be used.
  /// @error unsupported_format  an event this code does not know. @error internal  evolve threw.
  [[nodiscard]] virtual Result<void> evolve(AnyState& state, const EventView& event) const = 0;
  /// Applies events that this type decided. After an error as above.
  /// @error internal  evolve threw.
  [[nodiscard]] virtual Result<void> evolve(AnyState& state, const AnyEvents& events) const = 0;

  /// @error not_found  no such command. @error bad_request  the body breaks its schema.
  [[nodiscard]] virtual Result<std::unique_ptr<AnyCommand>> read_command(
      std::string_view name, const JsonDocument& body) const = 0;
  /// Every event is read back before it is returned: what cannot be read is never written.
  /// @error internal  decide threw, decided neither events nor a refusal, or made such an event.
  [[nodiscard]] virtual Result<Decided> decide(const AnyState& state, const AnyCommand& command,
                                               const Context& context) const = 0;
};

// ---- How it is done --------------------------------------------------------------------------

namespace detail {

/// Reads the alternative of a variant of commands that `name` names; not_found when none does.
template <class... Ts>
[[nodiscard]] Result<std::variant<Ts...>> read_command(std::type_identity<std::variant<Ts...>>,
                                                       std::string_view name,
                                                       const JsonDocument& body) {
  std::optional<Result<std::variant<Ts...>>> read;
  (void)((Ts::kName == name && (read = body.decode<Ts>(), true)) || ...);
  if (read) return *std::move(read);
  return fail(Errc::not_found, "there is no command '" + std::string(name.substr(0, 64)) + "'");
}

/// The same for events; unsupported_format when there is no such type.
template <class... Ts>
[[nodiscard]] Result<std::variant<Ts...>> read_event(std::type_identity<std::variant<Ts...>>,
                                                     const StoredEvent& event) {
  std::optional<Result<std::variant<Ts...>>> read;
  (void)((Ts::kType == event.type && (read = decode_value<Ts>(event.data), true)) || ...);
  if (!read) return fail(Errc::unsupported_format, "no such event type is known");
  if (!*read) read->error().code = Errc::unsupported_format;
  return *std::move(read);
}

/// Reads an event that is in its newest shape, and flat; nothing for every other.
template <class... Ts>
[[nodiscard]] std::optional<std::variant<Ts...>> read_plain_event(
    std::type_identity<std::variant<Ts...>>, const Upcasters& upcasters, const EventView& event) {
  std::optional<std::variant<Ts...>> read;
  if (concerns(upcasters, event.type)) return read;
  const auto flat = FlatObject::read(event.data);
  if (!flat) return read;
  const auto read_as = [&]<class E>(std::type_identity<E>) {
    if constexpr (requires { Codec<E>::read_flat(*flat); }) {
      if (std::optional<E> plain = Codec<E>::read_flat(*flat)) read.emplace(*std::move(plain));
    }
    return true;
  };
  (void)((Ts::kType == event.type && read_as(std::type_identity<Ts>{})) || ...);
  return read;
}

/// Reads an event from the log in its newest shape.
template <Decider A>
[[nodiscard]] Result<typename A::Event> read_event(const Upcasters& upcasters,
                                                   const EventView& event) {
  constexpr std::type_identity<typename A::Event> kEvents;
  if (auto plain = read_plain_event(kEvents, upcasters, event)) return *std::move(plain);
  KEELSON_TRY_ASSIGN(const StoredEvent stored, upcast(upcasters, event));
  auto read = read_event(kEvents, stored);
  if (!read) return fail(read.error().code, describe(event) + ": " + read.error().context);
  return read;
}

template <class Event>
[[nodiscard]] NewEvent write_event(const Event& event) {
  return std::visit(
      []<class E>(const E& one) {
        return NewEvent{std::string(E::kType), encode(one), {}};
      },
      event);
}

template <class T>
[[nodiscard]] std::string summary_of() {
  if constexpr (requires { T::kSummary; }) {
    return std::string(T::kSummary);
  } else {
    return {};
  }
}

template <class... Ts>
[[nodiscard]] std::vector<AggregateInfo::CommandInfo> describe_commands(
    std::type_identity<std::variant<Ts...>>) {
  return {{std::string(Ts::kName), schema<Ts>(), summary_of<Ts>()}...};
}

template <class... Ts>
[[nodiscard]] std::vector<AggregateInfo::EventInfo> describe_events(
    std::type_identity<std::variant<Ts...>>) {
  return {{std::string(Ts::kType), schema<Ts>()}...};
}

/// `code_version` of the user with a hash of the shapes, so that a changed shape is a new version.
[[nodiscard]] std::string full_code_version(const std::string& code_version,
                                            const AggregateInfo& info);

template <Decider A>
class DeciderType final : public AggregateType {
 public:
  DeciderType(const std::string& code_version, Upcasters upcasters)
      : upcasters_(std::move(upcasters)) {
    check_decider<A>();
    info_.type = A::kType;
    info_.summary = summary_of<A>();
    info_.commands = describe_commands(std::type_identity<typename A::Command>{});
    info_.events = describe_events(std::type_identity<typename A::Event>{});
    if constexpr (requires { A::kRefusals; }) {
      info_.refusals.assign(std::begin(A::kRefusals), std::end(A::kRefusals));
    }
    info_.state_schema = schema<typename A::State>();
    info_.code_version = full_code_version(code_version, info_);
  }

  [[nodiscard]] const AggregateInfo& info() const override { return info_; }
  [[nodiscard]] const Upcasters& upcasters() const override { return upcasters_; }

  [[nodiscard]] std::unique_ptr<AnyState> initial() const override {
    return std::make_unique<StateOf>(typename A::State{});
  }

  [[nodiscard]] Result<std::unique_ptr<AnyState>> read_state(std::string_view json) const override {
    KEELSON_TRY_ASSIGN(auto state, decode<typename A::State>(json));
    return std::make_unique<StateOf>(std::move(state));
  }

  [[nodiscard]] Result<void> evolve(AnyState& state, const EventView& event) const override try {
    KEELSON_TRY_ASSIGN(const typename A::Event read, read_event<A>(upcasters_, event));
    auto& value = static_cast<StateOf&>(state).value;
    value = call_evolve<A>(std::move(value), read);
    return {};
  } catch (const std::exception& error) {
    return fail(Errc::internal, "evolve threw at " + describe(event) + ": " + error.what());
  }

  [[nodiscard]] Result<void> evolve(AnyState& state, const AnyEvents& events) const override try {
    auto& value = static_cast<StateOf&>(state).value;
    for (const auto& event : static_cast<const EventsOf&>(events).values) {
      value = call_evolve<A>(std::move(value), event);
    }
    return {};
  } catch (const std::exception& error) {
    return fail(Errc::internal,
                std::string("evolve threw at an event just decided: ") + error.what());
  }

  [[nodiscard]] Result<std::unique_ptr<AnyCommand>> read_command(
      std::string_view name, const JsonDocument& body) const override {
    KEELSON_TRY_ASSIGN(auto command,
                       detail::read_command(std::type_identity<typename A::Command>{}, name, body));
    return std::make_unique<CommandOf>(std::move(command));
  }

  [[nodiscard]] Result<Decided> decide(const AnyState& state, const AnyCommand& command,
                                       const Context& context) const override try {
    const Decision<typename A::Event> decision =
        call_decide<A>(static_cast<const StateOf&>(state).value,
                       static_cast<const CommandOf&>(command).value, context);
    Decided decided;
    if (!decision.accepted()) {
      decided.refusal = decision.refusal();
      return decided;
    }
    if (decision.events().empty()) {
      return fail(Errc::internal, "decide gave neither an event nor a refusal");
    }
    auto decoded = std::make_unique<EventsOf>();
    for (const auto& event : decision.events()) {
      decided.events.push_back(write_event(event));
      KEELSON_TRY_ASSIGN(auto read, read_back(decided.events.back()));
      decoded->values.push_back(std::move(read));
    }
    decided.decoded = std::move(decoded);
    return decided;
  } catch (const std::exception& error) {
    return fail(Errc::internal, std::string("decide threw: ") + error.what());
  }

 private:
  struct StateOf final : AnyState {
    explicit StateOf(typename A::State v) : value(std::move(v)) {}
    [[nodiscard]] std::size_t bytes() const override { return sizeof(*this) + heap_bytes(value); }
    [[nodiscard]] std::string to_json() const override { return encode(value); }
    typename A::State value;
  };

  struct CommandOf final : AnyCommand {
    explicit CommandOf(typename A::Command v) : value(std::move(v)) {}
    typename A::Command value;
  };

  struct EventsOf final : AnyEvents {
    std::vector<typename A::Event> values;
  };

  /// The event as it will be read from the log.
  [[nodiscard]] Result<typename A::Event> read_back(const NewEvent& event) const {
    EventView view;
    view.type = event.type;
    view.data = event.data;
    constexpr std::type_identity<typename A::Event> kEvents;
    if (auto plain = read_plain_event(kEvents, upcasters_, view)) return *std::move(plain);
    KEELSON_TRY_ASSIGN(const StoredEvent stored, upcast(upcasters_, view));
    auto read = read_event(kEvents, stored);
    if (!read) {
      return fail(Errc::internal, "decide made an event '" + event.type +
                                      "' that cannot be read back: " + read.error().context);
    }
    return read;
  }

  Upcasters upcasters_;
  AggregateInfo info_;
};

}  // namespace detail

}  // namespace keelson::aggregates
