// Money from one wallet to another: the saga that the tests of reactions run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "aggregates/reaction.h"
#include "tests/aggregates/wallet.h"

namespace keelson::test {

/// requested → taken → done, or requested → failed, or requested → taken → returned.
struct Move {
  static constexpr std::string_view kType = "move";

  struct State {
    std::string status;
    std::string from;
    std::string to;
    std::int64_t amount = 0;
    std::string reason;
    static constexpr auto kFields = fields(
        field("status", &State::status), field("from", &State::from), field("to", &State::to),
        field("amount", &State::amount), field("reason", &State::reason));
  };

  struct Request {
    static constexpr std::string_view kName = "request";
    std::string from;
    std::string to;
    std::int64_t amount = 0;
    static constexpr auto kFields = fields(field("from", &Request::from), field("to", &Request::to),
                                           field("amount", &Request::amount));
  };
  struct Record {
    static constexpr std::string_view kName = "record";
    std::string status;
    std::string reason;
    static constexpr auto kFields =
        fields(field("status", &Record::status), field("reason", &Record::reason));
  };
  using Command = std::variant<Request, Record>;

  struct Requested {
    static constexpr std::string_view kType = "requested";
    std::string from;
    std::string to;
    std::int64_t amount = 0;
    static constexpr auto kFields =
        fields(field("from", &Requested::from), field("to", &Requested::to),
               field("amount", &Requested::amount));
  };
  /// The money is on its way; tells all that the next step needs.
  struct Taken {
    static constexpr std::string_view kType = "taken";
    std::string from;
    std::string to;
    std::int64_t amount = 0;
    static constexpr auto kFields = fields(field("from", &Taken::from), field("to", &Taken::to),
                                           field("amount", &Taken::amount));
  };
  struct Ended {
    static constexpr std::string_view kType = "ended";
    std::string status;
    std::string reason;
    static constexpr auto kFields =
        fields(field("status", &Ended::status), field("reason", &Ended::reason));
  };
  using Event = std::variant<Requested, Taken, Ended>;

  static Decision<Event> decide(const State& state, const Request& command, const Context&) {
    if (!state.status.empty()) return refuse("already_requested");
    return Requested{command.from, command.to, command.amount};
  }
  static Decision<Event> decide(const State& state, const Record& command, const Context&) {
    if (command.status == "taken") {
      if (state.status != "requested") return refuse("out_of_order", state.status);
      return Taken{state.from, state.to, state.amount};
    }
    if (state.status != "requested" && state.status != "taken") return refuse("ended");
    return Ended{command.status, command.reason};
  }

  static State evolve(State, const Requested& event) {
    return {"requested", event.from, event.to, event.amount, ""};
  }
  static State evolve(State state, const Taken&) {
    state.status = "taken";
    return state;
  }
  static State evolve(State state, const Ended& event) {
    state.status = event.status;
    state.reason = event.reason;
    return state;
  }
};

// [docs: reaction]
struct CarryMove {
  static constexpr std::string_view kName = "carry_move";
  using Source = Move;

  static Steps react(const Move::Requested& event, const Cause& cause) {
    return ask<Wallet>(event.from, Wallet::Take{event.amount})
        .on_accepted([cause] { return record(cause, "taken"); })
        .on_refused([cause](const Refusal& no) { return record(cause, "failed", no.reason); });
  }

  static Steps react(const Move::Taken& event, const Cause& cause) {
    return ask<Wallet>(event.to, Wallet::Put{event.amount, {}})
        .on_accepted([cause] { return record(cause, "done"); })
        .on_refused([cause, event](const Refusal& no) -> Steps {
          return ask<Wallet>(event.from, Wallet::Put{event.amount, "returned"})
              .on_accepted([cause, no] { return record(cause, "returned", no.reason); });
        });
  }

 private:
  static Steps record(const Cause& cause, std::string status, std::string reason = "") {
    return ask<Move>(cause.id, Move::Record{std::move(status), std::move(reason)});
  }
};
// [end]

}  // namespace keelson::test
