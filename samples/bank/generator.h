// A bank's transactions, invented: salaries, rent, cards, interest, fees, and their seasons.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace bank {

using keelson::Result;

struct GeneratorOptions {
  std::uint32_t accounts = 200;  ///< at least 1; fewer appear when there are fewer rows
  std::uint64_t rows = 10'000;   ///< exactly so many; at most `kRowsPerAccountMax` × accounts
  std::uint64_t seed = 1;

  /// Keeps the calendar below the year 5000.
  static constexpr std::uint64_t kRowsPerAccountMax = 100'000;
};

/// One row of the transactions file. Money is in minor units. The views are of literals.
struct GeneratedTransaction {
  std::uint64_t seq = 0;
  std::chrono::sys_days date;
  std::uint32_t account_id = 0;
  std::uint64_t trans_id = 0;
  std::string_view operation;
  std::string_view purpose;
  std::int64_t delta = 0;
  std::int64_t balance_after = 0;
  std::string_view cp_bank;      ///< of the other side, outside this bank; may be empty
  std::uint64_t cp_account = 0;  ///< 0: none
};

/// Numbers from a seed (SplitMix64), the same with every compiler and library.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  [[nodiscard]] std::uint64_t next();
  /// One of [first, last].
  [[nodiscard]] std::int64_t between(std::int64_t first, std::int64_t last);
  /// True `per_mille` times in a thousand.
  [[nodiscard]] bool chance(std::int64_t per_mille) { return between(1, 1000) <= per_mille; }

 private:
  std::uint64_t state_;
};

/// Lives through the bank's days, one at a time, and hands out what happens. Dates ascend, `seq`
/// counts from 1, and each account's balances chain from 0. The same options give the same rows,
/// byte for byte, on every machine. Memory: a few hundred bytes an account. Not thread-safe.
class TransactionGenerator {
 public:
  explicit TransactionGenerator(const GeneratorOptions& options);

  /// Nothing after the last row.
  [[nodiscard]] std::optional<GeneratedTransaction> next();

 private:
  struct Counterparty {
    std::string_view bank;
    std::uint64_t account = 0;
  };
  struct StandingOrder {
    std::string_view purpose;
    std::int64_t amount = 0;
    unsigned day_of_month = 0;
    Counterparty to;
  };
  enum class Income { salary, pension, cash };
  struct Account {
    std::uint32_t id = 0;
    std::chrono::sys_days opens;
    Dice dice{0};
    Income income = Income::salary;
    std::int64_t income_amount = 0;
    unsigned income_day = 0;
    Counterparty employer;
    bool has_card = false;
    std::int64_t statement_fee = 0;
    std::vector<StandingOrder> orders;
    std::int64_t balance = 0;
  };

  [[nodiscard]] static Account make_account(std::uint32_t id, std::uint64_t seed,
                                            std::int64_t opening_days);
  void live_day();
  void live_day(Account& account);
  void earn(Account& account);
  void pay_orders(Account& account);
  void spend(Account& account);
  void close_month(Account& account);
  void book(Account& account, std::string_view operation, std::string_view purpose,
            std::int64_t delta);
  void book(Account& account, std::string_view operation, std::string_view purpose,
            std::int64_t delta, const Counterparty& counterparty);

  std::uint64_t rows_left_;
  std::vector<Account> accounts_;
  std::chrono::sys_days today_;
  std::vector<GeneratedTransaction> day_rows_;
  std::size_t next_row_ = 0;
  std::uint64_t seq_ = 0;
};

/// The header line of the file.
[[nodiscard]] std::string csv_header();
/// Appends one line of the file to `out`.
void append_csv(std::string& out, const GeneratedTransaction& row);

}  // namespace bank
