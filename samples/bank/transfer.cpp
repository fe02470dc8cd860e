#include "samples/bank/transfer.h"

#include <utility>

#include "samples/bank/reaction_principal.h"

namespace bank {

using keelson::aggregates::ask;
using keelson::aggregates::Refusal;
using keelson::aggregates::refuse;

namespace {

/// Why the end of a transfer cannot be noted, or nothing.
std::optional<Refusal> why_not_ending(const Transfer::State& state, const Context& context) {
  if (!is_reaction(context)) return refuse("not_for_clients", "a transfer ends by itself");
  if (state.status != Transfer::Status::requested) return refuse("not_pending");
  return std::nullopt;
}

}  // namespace

Decision<Transfer::Event> Transfer::decide(const State& state, const Request& command,
                                           const Context& context) {
  if (state.status != Status::none) return refuse("already_requested");
  if (command.amount <= 0) return refuse("amount_not_positive");
  if (command.from == command.to)
    return refuse("same_account", "source and target are the same account");
  return Requested{command.from, command.to, command.amount, command.reference,
                   command.booked_at ? *command.booked_at : Day::of(context.time)};
}

Decision<Transfer::Event> Transfer::decide(const State& state, const Complete&,
                                           const Context& context) {
  if (auto refusal = why_not_ending(state, context)) return *std::move(refusal);
  return Completed{};
}

Decision<Transfer::Event> Transfer::decide(const State& state, const Fail& command,
                                           const Context& context) {
  if (auto refusal = why_not_ending(state, context)) return *std::move(refusal);
  return Failed{command.reason};
}

Decision<Transfer::Event> Transfer::decide(const State& state, const Refund& command,
                                           const Context& context) {
  if (auto refusal = why_not_ending(state, context)) return *std::move(refusal);
  return Refunded{command.reason};
}

Transfer::State Transfer::evolve(State state, const Requested& event) {
  state.status = Status::requested;
  state.from = event.from.text;
  state.to = event.to.text;
  state.amount = event.amount;
  state.reference = event.reference;
  state.booked_at = event.booked_at;
  return state;
}

Transfer::State Transfer::evolve(State state, const Completed&) {
  state.status = Status::completed;
  return state;
}

Transfer::State Transfer::evolve(State state, const Failed& event) {
  state.status = Status::failed;
  state.reason = event.reason;
  return state;
}

Transfer::State Transfer::evolve(State state, const Refunded& event) {
  state.status = Status::refunded;
  state.reason = event.reason;
  return state;
}

Steps StartTransfer::react(const Transfer::Requested& event, const Cause& cause) {
  const Account::SendTransfer send{cause.id, event.to, event.amount, event.reference,
                                   event.booked_at};
  return ask<Account>(event.from.text, send).on_refused([id = cause.id](const Refusal& refusal) {
    return ask<Transfer>(id, Transfer::Fail{refusal.reason});
  });
}

Steps CarryTransfer::react(const Account::TransferSent& event, const Cause& cause) {
  const std::string source = cause.id;
  const std::string transfer = event.transfer;
  const Account::ReceiveTransfer receive{transfer,       AccountId{source}, event.amount,
                                         event.currency, event.reference,   event.booked_at};
  const auto arrived = [source, transfer]() -> Steps {
    return ask<Account>(source, Account::SettleTransfer{transfer})
        .on_accepted(
            [transfer]() -> Steps { return ask<Transfer>(transfer, Transfer::Complete{}); });
  };
  const auto refused = [source, transfer](const Refusal& refusal) -> Steps {
    return ask<Account>(source, Account::ReturnTransfer{transfer, refusal.reason})
        .on_accepted([transfer, reason = refusal.reason]() -> Steps {
          return ask<Transfer>(transfer, Transfer::Refund{reason});
        });
  };
  return ask<Account>(event.to.text, receive).on_accepted(arrived).on_refused(refused);
}

}  // namespace bank
