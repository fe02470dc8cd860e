// An account: money of one currency, moved by deposits, withdrawals and transfers.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "aggregates/decider.h"
#include "samples/bank/day.h"
#include "samples/bank/identifiers.h"

namespace bank {

using keelson::aggregates::Context;
using keelson::aggregates::Decision;
using keelson::aggregates::EnumName;
using keelson::aggregates::field;
using keelson::aggregates::fields;

/// Amounts are in minor units (1/100 of the currency), 64-bit, and never overflow.
///
/// What a transfer takes from the account is *held* until the transfer has ended: it is no longer
/// part of the balance, and not lost either. Two rules make sure that held money can always come
/// back: an account with money held cannot be closed, and a deposit that would leave no room for it
/// is refused (balance + held never exceeds 64 bits). So a transfer never has money that nobody
/// takes.
struct Account {
  static constexpr std::string_view kType = "account";
  static constexpr std::string_view kSummary = "Money of one owner in one currency";
  static constexpr std::array<std::string_view, 12> kRefusals = {
      "not_open",           "already_open",        "closed",
      "insufficient_funds", "amount_not_positive", "overflow",
      "balance_not_zero",   "transfer_pending",    "too_many_transfers",
      "currency_mismatch",  "unknown_transfer",    "not_for_clients"};

  /// Transfers that may be under way from one account at a time: its state stays small.
  static constexpr std::uint32_t kTransfersHeldMax = 1000;
  static constexpr std::uint32_t kTextMax = 200;

  enum class Status { none, open, closed };
  friend constexpr auto names_of(Status) {
    return std::array{EnumName<Status>{Status::none, "none"},
                      EnumName<Status>{Status::open, "open"},
                      EnumName<Status>{Status::closed, "closed"}};
  }

  struct State {
    Status status = Status::none;
    std::string owner;
    std::string currency;
    std::optional<std::int64_t> overdraft_limit;  ///< none: no limit; 0: may not go below 0
    std::int64_t balance = 0;
    std::map<std::string, std::int64_t> held;  ///< amount by transfer

    static constexpr auto kFields =
        fields(field("status", &State::status), field("owner", &State::owner),
               field("currency", &State::currency),
               field("overdraft_limit", &State::overdraft_limit), field("balance", &State::balance),
               field("held", &State::held, {.items_max = kTransfersHeldMax}));
  };

  // ---- Commands of clients ----
  struct Open {
    static constexpr std::string_view kName = "open";
    static constexpr std::string_view kSummary = "Opens the account";
    std::string owner;
    Currency currency;
    std::optional<std::int64_t> overdraft_limit;
    static constexpr auto kFields = fields(
        field("owner", &Open::owner, {.length_max = kTextMax}), field("currency", &Open::currency),
        field("overdraft_limit", &Open::overdraft_limit,
              {.summary = "How far the balance may go below 0; null: without limit", .min = 0}));
  };
  struct Deposit {
    static constexpr std::string_view kName = "deposit";
    static constexpr std::string_view kSummary = "Puts money in";
    std::int64_t amount = 0;
    std::optional<std::string> reference;
    std::optional<Day> booked_at;
    static constexpr auto kFields =
        fields(field("amount", &Deposit::amount, {.summary = "Minor units, positive"}),
               field("reference", &Deposit::reference, {.length_max = kTextMax}),
               field("booked_at", &Deposit::booked_at, {.summary = "Default: today, in UTC"}));
  };
  struct Withdraw {
    static constexpr std::string_view kName = "withdraw";
    static constexpr std::string_view kSummary = "Takes money out";
    std::int64_t amount = 0;
    std::optional<std::string> reference;
    std::optional<Day> booked_at;
    static constexpr auto kFields =
        fields(field("amount", &Withdraw::amount, {.summary = "Minor units, positive"}),
               field("reference", &Withdraw::reference, {.length_max = kTextMax}),
               field("booked_at", &Withdraw::booked_at, {.summary = "Default: today, in UTC"}));
  };
  struct Close {
    static constexpr std::string_view kName = "close";
    static constexpr std::string_view kSummary = "Closes the account for ever; it must be empty";
  };

  // ---- Steps of a transfer, taken by the reactions in transfer.h only ----
  struct SendTransfer {
    static constexpr std::string_view kName = "send_transfer";
    static constexpr std::string_view kSummary = "Takes a transfer's money out and holds it";
    std::string transfer;
    AccountId to;
    std::int64_t amount = 0;
    std::optional<std::string> reference;
    Day booked_at;
    static constexpr auto kFields =
        fields(field("transfer", &SendTransfer::transfer), field("to", &SendTransfer::to),
               field("amount", &SendTransfer::amount), field("reference", &SendTransfer::reference),
               field("booked_at", &SendTransfer::booked_at));
  };
  struct ReceiveTransfer {
    static constexpr std::string_view kName = "receive_transfer";
    static constexpr std::string_view kSummary = "Puts a transfer's money in";
    std::string transfer;
    AccountId from;
    std::int64_t amount = 0;
    Currency currency;
    std::optional<std::string> reference;
    Day booked_at;
    static constexpr auto kFields = fields(
        field("transfer", &ReceiveTransfer::transfer), field("from", &ReceiveTransfer::from),
        field("amount", &ReceiveTransfer::amount), field("currency", &ReceiveTransfer::currency),
        field("reference", &ReceiveTransfer::reference),
        field("booked_at", &ReceiveTransfer::booked_at));
  };
  struct SettleTransfer {
    static constexpr std::string_view kName = "settle_transfer";
    static constexpr std::string_view kSummary = "Forgets money held: it has arrived";
    std::string transfer;
    static constexpr auto kFields = fields(field("transfer", &SettleTransfer::transfer));
  };
  struct ReturnTransfer {
    static constexpr std::string_view kName = "return_transfer";
    static constexpr std::string_view kSummary = "Puts money held back: it was not taken";
    std::string transfer;
    std::string reason;
    static constexpr auto kFields = fields(field("transfer", &ReturnTransfer::transfer),
                                           field("reason", &ReturnTransfer::reason));
  };
  using Command = std::variant<Open, Deposit, Withdraw, Close, SendTransfer, ReceiveTransfer,
                               SettleTransfer, ReturnTransfer>;

  // ---- Events ----
  struct Opened {
    static constexpr std::string_view kType = "opened";
    std::string owner;
    Currency currency;
    std::optional<std::int64_t> overdraft_limit;
    static constexpr auto kFields =
        fields(field("owner", &Opened::owner), field("currency", &Opened::currency),
               field("overdraft_limit", &Opened::overdraft_limit));
  };
  struct Deposited {
    static constexpr std::string_view kType = "deposited";
    std::int64_t amount = 0;
    std::int64_t balance_after = 0;
    Day booked_at;
    std::optional<std::string> reference;
    static constexpr auto kFields = fields(
        field("amount", &Deposited::amount), field("balance_after", &Deposited::balance_after),
        field("booked_at", &Deposited::booked_at), field("reference", &Deposited::reference));
  };
  struct Withdrawn {
    static constexpr std::string_view kType = "withdrawn";
    std::int64_t amount = 0;
    std::int64_t balance_after = 0;
    Day booked_at;
    std::optional<std::string> reference;
    static constexpr auto kFields = fields(
        field("amount", &Withdrawn::amount), field("balance_after", &Withdrawn::balance_after),
        field("booked_at", &Withdrawn::booked_at), field("reference", &Withdrawn::reference));
  };
  struct Closed {
    static constexpr std::string_view kType = "closed";
  };
  struct TransferSent {
    static constexpr std::string_view kType = "transfer_sent";
    std::string transfer;
    AccountId to;
    std::int64_t amount = 0;
    Currency currency;
    std::int64_t balance_after = 0;
    Day booked_at;
    std::optional<std::string> reference;
    static constexpr auto kFields = fields(
        field("transfer", &TransferSent::transfer), field("to", &TransferSent::to),
        field("amount", &TransferSent::amount), field("currency", &TransferSent::currency),
        field("balance_after", &TransferSent::balance_after),
        field("booked_at", &TransferSent::booked_at), field("reference", &TransferSent::reference));
  };
  struct TransferReceived {
    static constexpr std::string_view kType = "transfer_received";
    std::string transfer;
    AccountId from;
    std::int64_t amount = 0;
    std::int64_t balance_after = 0;
    Day booked_at;
    std::optional<std::string> reference;
    static constexpr auto kFields =
        fields(field("transfer", &TransferReceived::transfer),
               field("from", &TransferReceived::from), field("amount", &TransferReceived::amount),
               field("balance_after", &TransferReceived::balance_after),
               field("booked_at", &TransferReceived::booked_at),
               field("reference", &TransferReceived::reference));
  };
  struct TransferSettled {
    static constexpr std::string_view kType = "transfer_settled";
    std::string transfer;
    static constexpr auto kFields = fields(field("transfer", &TransferSettled::transfer));
  };
  struct TransferReturned {
    static constexpr std::string_view kType = "transfer_returned";
    std::string transfer;
    std::string reason;
    std::int64_t amount = 0;
    std::int64_t balance_after = 0;
    Day booked_at;
    static constexpr auto kFields = fields(field("transfer", &TransferReturned::transfer),
                                           field("reason", &TransferReturned::reason),
                                           field("amount", &TransferReturned::amount),
                                           field("balance_after", &TransferReturned::balance_after),
                                           field("booked_at", &TransferReturned::booked_at));
  };
  using Event = std::variant<Opened, Deposited, Withdrawn, Closed, TransferSent, TransferReceived,
                             TransferSettled, TransferReturned>;

  static Decision<Event> decide(const State& state, const Open& command, const Context& context);
  static Decision<Event> decide(const State& state, const Deposit& command, const Context& context);
  static Decision<Event> decide(const State& state, const Withdraw& command,
                                const Context& context);
  static Decision<Event> decide(const State& state, const Close& command, const Context& context);
  static Decision<Event> decide(const State& state, const SendTransfer& command,
                                const Context& context);
  static Decision<Event> decide(const State& state, const ReceiveTransfer& command,
                                const Context& context);
  static Decision<Event> decide(const State& state, const SettleTransfer& command,
                                const Context& context);
  static Decision<Event> decide(const State& state, const ReturnTransfer& command,
                                const Context& context);

  static State evolve(State state, const Opened& event);
  static State evolve(State state, const Deposited& event);
  static State evolve(State state, const Withdrawn& event);
  static State evolve(State state, const Closed& event);
  static State evolve(State state, const TransferSent& event);
  static State evolve(State state, const TransferReceived& event);
  static State evolve(State state, const TransferSettled& event);
  static State evolve(State state, const TransferReturned& event);
};

}  // namespace bank
