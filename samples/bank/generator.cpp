#include "samples/bank/generator.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>
#include <utility>

#include "samples/bank/day.h"
#include "samples/bank/transactions.h"

namespace bank {

namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::weekday;
using std::chrono::year_month_day;

constexpr std::int64_t kCrown = 100;  // hellers
constexpr sys_days kFirstDay = std::chrono::year(2024) / 1 / 1;
constexpr std::uint64_t kFirstTransId = 1'000'000;

constexpr std::array<std::string_view, 13> kBanks = {"AB", "CD", "EF", "GH", "IJ", "KL", "MN",
                                                     "OP", "QR", "ST", "UV", "WX", "YZ"};

unsigned month_of(sys_days day) { return unsigned(year_month_day(day).month()); }

bool is_month_end(sys_days day) { return month_of(day) != month_of(day + days(1)); }

bool is_workday(sys_days day) {
  return weekday(day) != std::chrono::Saturday && weekday(day) != std::chrono::Sunday;
}

/// Whether a payment due on `day_of_month` (at most 28) is made today: on the last workday when it
/// falls on a weekend.
bool is_payday(sys_days today, unsigned day_of_month) {
  if (!is_workday(today)) return false;
  for (sys_days due = today; due == today || !is_workday(due); due += days(1))
    if (unsigned(year_month_day(due).day()) == day_of_month) return true;
  return false;
}

/// Per cent of an ordinary day's spending: more before Christmas and in the summer, less in
/// January.
std::int64_t season(sys_days day) {
  constexpr std::array<std::int64_t, 12> kByMonth = {75,  85,  95, 100, 100, 110,
                                                     130, 130, 95, 95,  110, 165};
  return kByMonth[month_of(day) - 1];
}

std::int64_t round_to(std::int64_t amount, std::int64_t step) {
  return std::max(step, amount / step * step);
}

}  // namespace

std::uint64_t Dice::next() {
  state_ += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

std::int64_t Dice::between(std::int64_t first, std::int64_t last) {
  const auto count = static_cast<std::uint64_t>(last - first) + 1;
  return first + static_cast<std::int64_t>(next() % count);
}

TransactionGenerator::TransactionGenerator(const GeneratorOptions& options)
    : rows_left_(options.rows), today_(kFirstDay) {
  // An account makes about a row in three days: so the last ones open after a third of the time.
  const auto opening_days = static_cast<std::int64_t>(options.rows / options.accounts) + 1;
  accounts_.reserve(options.accounts);
  for (std::uint32_t id = 1; id <= options.accounts; ++id)
    accounts_.push_back(make_account(id, options.seed, opening_days));
}

/// Everything about an account comes from its own dice, so it lives the same life among few others
/// and among many.
TransactionGenerator::Account TransactionGenerator::make_account(std::uint32_t id,
                                                                 std::uint64_t seed,
                                                                 std::int64_t opening_days) {
  Account account;
  account.id = id;
  account.dice = Dice(Dice(seed).next() ^ (std::uint64_t{id} << 32));
  Dice& dice = account.dice;
  const auto counterparty = [&dice] {
    const auto bank = static_cast<std::size_t>(dice.between(0, kBanks.size() - 1));
    return Counterparty{kBanks[bank],
                        static_cast<std::uint64_t>(dice.between(1'000'000, 99'999'999))};
  };

  // The first account opens on the first day; the others one after the other.
  account.opens = kFirstDay + days(id == 1 ? 0 : dice.between(0, opening_days - 1));
  const std::int64_t kind = dice.between(1, 100);
  account.income = kind <= 65 ? Income::salary : kind <= 82 ? Income::pension : Income::cash;
  switch (account.income) {
    case Income::salary: account.income_amount = dice.between(8'000, 45'000) * kCrown; break;
    case Income::pension: account.income_amount = dice.between(3'000, 9'000) * kCrown; break;
    case Income::cash: account.income_amount = dice.between(2'000, 20'000) * kCrown; break;
  }
  account.income_day = static_cast<unsigned>(dice.between(5, 15));
  account.employer = counterparty();
  account.has_card = dice.chance(450);
  account.statement_fee = dice.chance(850) ? 1'460 : 3'000;

  struct Habit {
    std::string_view purpose;
    std::int64_t per_mille;    ///< of the accounts have one
    std::int64_t percent_max;  ///< of the income
  };
  constexpr std::array<Habit, 4> kHabits = {
      {{"household", 700, 40}, {"insurance", 200, 10}, {"loan_payment", 120, 25}, {"", 250, 15}}};
  for (const Habit& habit : kHabits) {
    if (!dice.chance(habit.per_mille)) continue;
    const std::int64_t percent = dice.between(2, habit.percent_max);
    account.orders.push_back({habit.purpose, round_to(account.income_amount * percent / 100, 10),
                              static_cast<unsigned>(dice.between(1, 28)), counterparty()});
  }
  return account;
}

std::optional<GeneratedTransaction> TransactionGenerator::next() {
  if (rows_left_ == 0) return std::nullopt;
  while (next_row_ == day_rows_.size()) live_day();
  --rows_left_;
  return day_rows_[next_row_++];
}

void TransactionGenerator::live_day() {
  day_rows_.clear();
  next_row_ = 0;
  // Another account goes first each day.
  const auto day_number = static_cast<std::size_t>((today_ - kFirstDay).count());
  const std::size_t first = day_number * 7 % accounts_.size();
  const auto all = std::span(accounts_);
  for (Account& account : all.subspan(first)) live_day(account);
  for (Account& account : all.first(first)) live_day(account);
  today_ += days(1);
}

void TransactionGenerator::live_day(Account& account) {
  if (today_ < account.opens) return;
  if (today_ == account.opens)
    return book(account, "cash_deposit", "", account.dice.between(2, 11) * 100 * kCrown);
  earn(account);
  pay_orders(account);
  spend(account);
  if (is_month_end(today_)) close_month(account);
}

void TransactionGenerator::earn(Account& account) {
  Dice& dice = account.dice;
  if (account.income == Income::cash) {
    if (dice.chance(45))
      book(account, "cash_deposit", "",
           round_to(account.income_amount * dice.between(20, 120) / 100, 100 * kCrown));
    return;
  }
  if (!is_payday(today_, account.income_day)) return;
  std::int64_t amount = account.income_amount;
  if (account.income == Income::pension)
    return book(account, "transfer_in", "pension", amount, account.employer);
  if (month_of(today_) == 12) amount += amount * dice.between(20, 100) / 100;
  book(account, "transfer_in", "", amount, account.employer);
}

/// Standing orders are paid whether or not the money is there: the bank's overdrafts come from
/// here.
void TransactionGenerator::pay_orders(Account& account) {
  for (const StandingOrder& order : account.orders) {
    if (!is_payday(today_, order.day_of_month)) continue;
    const bool unaffordable = account.balance < order.amount;
    if (unaffordable && !account.dice.chance(60)) continue;  // mostly the bank refuses it
    const bool winter = month_of(today_) <= 2 || month_of(today_) == 12;
    const std::int64_t heating = winter && order.purpose == "household" ? order.amount / 8 : 0;
    book(account, "transfer_out", order.purpose, -(order.amount + heating), order.to);
  }
}

void TransactionGenerator::spend(Account& account) {
  Dice& dice = account.dice;
  const bool weekend = !is_workday(today_) || weekday(today_) == std::chrono::Friday;
  if (account.has_card && dice.chance((weekend ? 160 : 90) * season(today_) / 100)) {
    const std::int64_t amount = dice.between(60, 2'400) * kCrown + dice.between(0, 9) * 10;
    if (amount <= account.balance) book(account, "card_withdrawal", "", -amount);
  }
  if (dice.chance(85 * season(today_) / 100)) {
    const std::int64_t share = account.balance / 100 * dice.between(5, 45);
    if (share >= 200 * kCrown) book(account, "cash_withdrawal", "", -round_to(share, 100 * kCrown));
  }
}

/// Interest on what is there or a penalty on what is not, then the fee for the statement.
void TransactionGenerator::close_month(Account& account) {
  const std::int64_t interest = account.balance / 1000 * 2 / 10 * 10;  // 0.2 % a month
  if (interest > 0) book(account, "none", "interest", interest);
  if (account.balance < 0)
    book(account, "cash_withdrawal", "penalty_interest", -round_to(-account.balance / 100, 10));
  book(account, "cash_withdrawal", "statement_fee", -account.statement_fee);
}

void TransactionGenerator::book(Account& account, std::string_view operation,
                                std::string_view purpose, std::int64_t delta) {
  book(account, operation, purpose, delta, Counterparty{});
}

void TransactionGenerator::book(Account& account, std::string_view operation,
                                std::string_view purpose, std::int64_t delta,
                                const Counterparty& counterparty) {
  account.balance += delta;
  ++seq_;
  day_rows_.push_back({seq_, today_, account.id, kFirstTransId + seq_, operation, purpose, delta,
                       account.balance, counterparty.bank, counterparty.account});
}

std::string csv_header() {
  std::string line;
  for (const std::string_view column : kTransactionColumns) {
    if (!line.empty()) line += ',';
    line += column;
  }
  return line + '\n';
}

void append_csv(std::string& out, const GeneratedTransaction& row) {
  const auto add = [&out](std::string_view text) { (out += text) += ','; };
  add(std::to_string(row.seq));
  add(Day::of(row.date).text());
  add(std::to_string(row.account_id));
  add(std::to_string(row.trans_id));
  add(row.delta > 0 ? "credit" : "debit");
  add(row.operation);
  add(row.purpose);
  add(std::to_string(std::abs(row.delta)));
  add(std::to_string(row.delta));
  add(std::to_string(row.balance_after));
  add(row.cp_bank);
  if (row.cp_account != 0) out += std::to_string(row.cp_account);
  out += '\n';
}

}  // namespace bank
