// The transactions file: one row for each movement on an account, with the balance after it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "samples/bank/byte_source.h"
#include "samples/bank/csv_reader.h"
#include "samples/bank/day.h"

namespace bank {

/// One movement. Money is in minor units (1/100 of the currency).
struct Transaction {
  Day date;                ///< booked on
  std::string account_id;  ///< 1 to 200 visible ASCII characters
  std::string trans_id;    ///< unique in the file: its command id
  std::int64_t delta = 0;  ///< signed change of the balance; never 0 and never INT64_MIN
  std::int64_t balance_after = 0;
  std::uint64_t line = 0;  ///< of the file, for messages
};

/// The columns of the file, in the order in which they are written.
inline constexpr std::array<std::string_view, 12> kTransactionColumns = {
    "seq",     "date",   "account_id", "trans_id",      "type",    "operation",
    "purpose", "amount", "delta",      "balance_after", "cp_bank", "cp_account"};

/// Reads transactions. Columns are found by the names in the header line, in any order; `date`,
/// `account_id`, `trans_id`, `delta` and `balance_after` are needed, all others are ignored.
/// Not thread-safe.
class TransactionReader {
 public:
  /// Reads the header line.
  /// @param name  of the file, for messages.
  /// @error bad_request  no header line, or a needed column missing or given twice.
  [[nodiscard]] static Result<TransactionReader> open(std::string name,
                                                      std::unique_ptr<ByteSource> source);

  /// The next row, or nothing at the end.
  /// @error bad_request  context: `FILE: line N, column C: …`. The reader must not be used again.
  [[nodiscard]] Result<std::optional<Transaction>> next();

  /// How much of the file is read, from 0 to 1; nothing when its size is unknown.
  [[nodiscard]] std::optional<double> fraction_read() const {
    return csv_.source().fraction_read();
  }

 private:
  struct Columns {
    std::size_t date, account_id, trans_id, delta, balance_after;
  };

  TransactionReader(std::string name, CsvReader csv, std::vector<std::string> header,
                    Columns columns);
  [[nodiscard]] Result<Transaction> parse() const;
  [[nodiscard]] std::unexpected<keelson::Error> bad(std::size_t column,
                                                    const std::string& what) const;

  std::string name_;
  CsvReader csv_;
  std::vector<std::string> header_;
  Columns columns_;
  std::vector<std::string> fields_;
};

}  // namespace bank
