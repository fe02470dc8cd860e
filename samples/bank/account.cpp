#include "samples/bank/account.h"

#include <utility>

#include "samples/bank/reaction_principal.h"

namespace bank {

using keelson::aggregates::Refusal;
using keelson::aggregates::refuse;

namespace {

/// Held by all transfers together; never overflows, since sending checks that it does not.
std::int64_t held_total(const Account::State& state) {
  std::int64_t total = 0;
  for (const auto& [transfer, amount] : state.held) total += amount;
  return total;
}

/// Why money cannot move at all, or nothing.
std::optional<Refusal> why_immovable(const Account::State& state, std::int64_t amount) {
  if (state.status == Account::Status::none) return refuse("not_open");
  if (state.status == Account::Status::closed) return refuse("closed");
  if (amount <= 0) return refuse("amount_not_positive");
  return std::nullopt;
}

/// The balance after `amount` is added, or why it cannot be.
std::expected<std::int64_t, Refusal> credited(const Account::State& state, std::int64_t amount) {
  if (auto refusal = why_immovable(state, amount)) return std::unexpected(*std::move(refusal));
  // What is held must be able to come back: room is kept for it. balance + held fits, see
  // `debited`.
  std::int64_t with_all_returned = state.balance + held_total(state);
  if (__builtin_add_overflow(with_all_returned, amount, &with_all_returned))
    return std::unexpected(refuse("overflow", "the balance would not fit 64 bits"));
  return state.balance + amount;
}

/// The balance after `amount` is taken, or why it cannot be.
std::expected<std::int64_t, Refusal> debited(const Account::State& state, std::int64_t amount) {
  if (auto refusal = why_immovable(state, amount)) return std::unexpected(*std::move(refusal));
  std::int64_t balance = 0;
  const bool fits = !__builtin_sub_overflow(state.balance, amount, &balance);
  if (state.overdraft_limit && (!fits || balance < -*state.overdraft_limit)) {
    return std::unexpected(
        refuse("insufficient_funds", "the balance is " + std::to_string(state.balance) +
                                         " and may go down to " +
                                         std::to_string(-*state.overdraft_limit)));
  }
  if (!fits) return std::unexpected(refuse("overflow", "the balance would not fit 64 bits"));
  return balance;
}

Day booking_day(const std::optional<Day>& given, const Context& context) {
  return given ? *given : Day::of(context.time);
}

/// Only the reactions know where a transfer's money is; anybody else could make some.
std::optional<Refusal> why_not_a_step(const Context& context) {
  if (is_reaction(context)) return std::nullopt;
  return refuse("not_for_clients", "only a transfer takes this step: request one");
}

}  // namespace

Decision<Account::Event> Account::decide(const State& state, const Open& command, const Context&) {
  if (state.status == Status::open) return refuse("already_open");
  if (state.status == Status::closed) return refuse("closed", "a closed account stays closed");
  return Opened{command.owner, command.currency, command.overdraft_limit};
}

Decision<Account::Event> Account::decide(const State& state, const Deposit& command,
                                         const Context& context) {
  auto balance = credited(state, command.amount);
  if (!balance) return std::move(balance).error();
  return Deposited{command.amount, *balance, booking_day(command.booked_at, context),
                   command.reference};
}

Decision<Account::Event> Account::decide(const State& state, const Withdraw& command,
                                         const Context& context) {
  auto balance = debited(state, command.amount);
  if (!balance) return std::move(balance).error();
  return Withdrawn{command.amount, *balance, booking_day(command.booked_at, context),
                   command.reference};
}

Decision<Account::Event> Account::decide(const State& state, const Close&, const Context&) {
  if (state.status == Status::none) return refuse("not_open");
  if (state.status == Status::closed) return refuse("closed");
  if (!state.held.empty())
    return refuse("transfer_pending", "money of a transfer that has not ended may come back");
  if (state.balance != 0)
    return refuse("balance_not_zero", "the balance is " + std::to_string(state.balance));
  return Closed{};
}

Decision<Account::Event> Account::decide(const State& state, const SendTransfer& command,
                                         const Context& context) {
  if (auto refusal = why_not_a_step(context)) return *std::move(refusal);
  auto balance = debited(state, command.amount);
  if (!balance) return std::move(balance).error();
  if (state.held.contains(command.transfer)) return refuse("transfer_pending");
  if (state.held.size() >= kTransfersHeldMax) return refuse("too_many_transfers");
  std::int64_t held = held_total(state);
  if (__builtin_add_overflow(held, command.amount, &held))
    return refuse("overflow", "the money held would not fit 64 bits");
  return TransferSent{command.transfer,         command.to, command.amount,
                      Currency{state.currency}, *balance,   command.booked_at,
                      command.reference};
}

Decision<Account::Event> Account::decide(const State& state, const ReceiveTransfer& command,
                                         const Context& context) {
  if (auto refusal = why_not_a_step(context)) return *std::move(refusal);
  auto balance = credited(state, command.amount);
  if (!balance) return std::move(balance).error();
  if (command.currency.text != state.currency)
    return refuse("currency_mismatch", "the account is in " + state.currency);
  return TransferReceived{command.transfer, command.from,      command.amount,
                          *balance,         command.booked_at, command.reference};
}

Decision<Account::Event> Account::decide(const State& state, const SettleTransfer& command,
                                         const Context& context) {
  if (auto refusal = why_not_a_step(context)) return *std::move(refusal);
  if (!state.held.contains(command.transfer)) return refuse("unknown_transfer");
  return TransferSettled{command.transfer};
}

/// Cannot fail for money that is held: the account is open and has room for it.
Decision<Account::Event> Account::decide(const State& state, const ReturnTransfer& command,
                                         const Context& context) {
  if (auto refusal = why_not_a_step(context)) return *std::move(refusal);
  const auto held = state.held.find(command.transfer);
  if (held == state.held.end()) return refuse("unknown_transfer");
  return TransferReturned{command.transfer, command.reason, held->second,
                          state.balance + held->second, Day::of(context.time)};
}

Account::State Account::evolve(State state, const Opened& event) {
  state.status = Status::open;
  state.owner = event.owner;
  state.currency = event.currency.text;
  state.overdraft_limit = event.overdraft_limit;
  return state;
}

Account::State Account::evolve(State state, const Deposited& event) {
  state.balance = event.balance_after;
  return state;
}

Account::State Account::evolve(State state, const Withdrawn& event) {
  state.balance = event.balance_after;
  return state;
}

Account::State Account::evolve(State state, const Closed&) {
  state.status = Status::closed;
  return state;
}

Account::State Account::evolve(State state, const TransferSent& event) {
  state.balance = event.balance_after;
  state.held.emplace(event.transfer, event.amount);
  return state;
}

Account::State Account::evolve(State state, const TransferReceived& event) {
  state.balance = event.balance_after;
  return state;
}

Account::State Account::evolve(State state, const TransferSettled& event) {
  state.held.erase(event.transfer);
  return state;
}

Account::State Account::evolve(State state, const TransferReturned& event) {
  state.balance = event.balance_after;
  state.held.erase(event.transfer);
  return state;
}

}  // namespace bank
