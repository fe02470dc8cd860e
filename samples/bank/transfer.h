// A transfer of money between two accounts of any partitions, and the reactions that carry it out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "aggregates/decider.h"
#include "aggregates/reaction.h"
#include "samples/bank/account.h"
#include "samples/bank/day.h"
#include "samples/bank/identifiers.h"

namespace bank {

using keelson::aggregates::Cause;
using keelson::aggregates::Steps;

/// What a client asks for and looks at. How it goes:
///
///     transfer   requested ─────────────────────────────────────────▶ completed
///                    │                                            ▲
///     source         ├─▶ transfer_sent (held) ──────────▶ transfer_settled
///                    │          │                             ▲
///     target         │          ├─▶ transfer_received ────────┘
///                    │          └─▷ refused: transfer_returned at the source ─▶ refunded
///                    └─▷ the source refuses ──────────────────────────────────▶ failed
///
/// Each arrow is a command with an id derived from the event before it, so it has one effect
/// however often a crash makes it be repeated. From `transfer_sent` until the end the money is held
/// at the source, which keeps the source open and keeps room for it: a refund cannot be refused.
struct Transfer {
  static constexpr std::string_view kType = "transfer";
  static constexpr std::string_view kSummary = "Money on its way from one account to another";
  static constexpr std::array<std::string_view, 5> kRefusals = {
      "already_requested", "same_account", "amount_not_positive", "not_pending", "not_for_clients"};

  enum class Status { none, requested, completed, failed, refunded };
  friend constexpr auto names_of(Status) {
    using Name = EnumName<Status>;
    return std::array{Name{Status::none, "none"}, Name{Status::requested, "requested"},
                      Name{Status::completed, "completed"}, Name{Status::failed, "failed"},
                      Name{Status::refunded, "refunded"}};
  }

  struct State {
    Status status = Status::none;
    std::string from;
    std::string to;
    std::int64_t amount = 0;
    std::optional<std::string> reference;
    Day booked_at;
    std::string reason;  ///< of the account that refused; empty unless failed or refunded
    static constexpr auto kFields = fields(
        field("status", &State::status), field("from", &State::from), field("to", &State::to),
        field("amount", &State::amount), field("reference", &State::reference),
        field("booked_at", &State::booked_at), field("reason", &State::reason));
  };

  struct Request {
    static constexpr std::string_view kName = "request";
    static constexpr std::string_view kSummary = "Moves money from one account to another";
    AccountId from;
    AccountId to;
    std::int64_t amount = 0;
    std::optional<std::string> reference;
    std::optional<Day> booked_at;
    static constexpr auto kFields =
        fields(field("from", &Request::from), field("to", &Request::to),
               field("amount", &Request::amount, {.summary = "Minor units, positive"}),
               field("reference", &Request::reference, {.length_max = Account::kTextMax}),
               field("booked_at", &Request::booked_at, {.summary = "Default: today, in UTC"}));
  };

  // ---- How it ended, told by the reactions only ----
  struct Complete {
    static constexpr std::string_view kName = "complete";
    static constexpr std::string_view kSummary = "Notes that the money has arrived";
  };
  struct Fail {
    static constexpr std::string_view kName = "fail";
    static constexpr std::string_view kSummary = "Notes that the source gave no money";
    std::string reason;
    static constexpr auto kFields = fields(field("reason", &Fail::reason));
  };
  struct Refund {
    static constexpr std::string_view kName = "refund";
    static constexpr std::string_view kSummary = "Notes that the money went back";
    std::string reason;
    static constexpr auto kFields = fields(field("reason", &Refund::reason));
  };
  using Command = std::variant<Request, Complete, Fail, Refund>;

  struct Requested {
    static constexpr std::string_view kType = "requested";
    AccountId from;
    AccountId to;
    std::int64_t amount = 0;
    std::optional<std::string> reference;
    Day booked_at;
    static constexpr auto kFields =
        fields(field("from", &Requested::from), field("to", &Requested::to),
               field("amount", &Requested::amount), field("reference", &Requested::reference),
               field("booked_at", &Requested::booked_at));
  };
  struct Completed {
    static constexpr std::string_view kType = "completed";
  };
  struct Failed {
    static constexpr std::string_view kType = "failed";
    std::string reason;
    static constexpr auto kFields = fields(field("reason", &Failed::reason));
  };
  struct Refunded {
    static constexpr std::string_view kType = "refunded";
    std::string reason;
    static constexpr auto kFields = fields(field("reason", &Refunded::reason));
  };
  using Event = std::variant<Requested, Completed, Failed, Refunded>;

  static Decision<Event> decide(const State& state, const Request& command, const Context& context);
  static Decision<Event> decide(const State& state, const Complete& command,
                                const Context& context);
  static Decision<Event> decide(const State& state, const Fail& command, const Context& context);
  static Decision<Event> decide(const State& state, const Refund& command, const Context& context);

  static State evolve(State state, const Requested& event);
  static State evolve(State state, const Completed& event);
  static State evolve(State state, const Failed& event);
  static State evolve(State state, const Refunded& event);
};

/// Takes the money from the source. The names of the reactions are part of the ids of the commands
/// they give, so they must never change: under another name every old transfer would run again.
struct StartTransfer {
  static constexpr std::string_view kName = "start_transfer";
  using Source = Transfer;
  static Steps react(const Transfer::Requested& event, const Cause& cause);
};

/// Brings the money that the source has sent to the target, or back.
struct CarryTransfer {
  static constexpr std::string_view kName = "carry_transfer";
  using Source = Account;
  static Steps react(const Account::TransferSent& event, const Cause& cause);
};

}  // namespace bank
