// The commands of an import, in the order in which they may be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "samples/bank/transactions.h"

namespace bank {

/// One command to one account.
struct ImportCommand {
  std::string account_id;
  std::string name;  ///< `open`, `deposit` or `withdraw`
  std::string key;   ///< the command id: the same in every run over the same file
  std::string data;  ///< JSON object
  std::uint64_t line = 0;
  std::optional<std::int64_t> balance_after;  ///< what the answer must say; none for `open`
};

/// Turns rows into commands and hands them out so that an account has at most one command in
/// flight: its rows are then decided in the order of the file, whatever fails and is repeated on
/// the way, while other accounts go on. Memory: the rows waiting, bounded by the caller through
/// `size`, and the id of every account seen. Not thread-safe.
class ImportQueue {
 public:
  /// @param currency  that accounts are opened in.
  explicit ImportQueue(std::string currency) : currency_(std::move(currency)) {}

  /// Adds the row at the end of its account's; before an account's first one, a command that opens
  /// it.
  void add(const Transaction& row);

  /// Takes up to `count` commands of distinct accounts, the longest waiting first. Each must be
  /// given back with `done`.
  [[nodiscard]] std::vector<ImportCommand> take(std::size_t count);

  /// The command of `account_id` that was taken has its answer: the next one may go.
  void done(const std::string& account_id);

  /// Commands waiting, those in flight not counted.
  [[nodiscard]] std::size_t size() const { return waiting_; }
  /// Nothing waiting and nothing in flight.
  [[nodiscard]] bool empty() const { return active_.empty(); }
  [[nodiscard]] std::size_t accounts() const { return known_.size(); }

 private:
  /// An account with commands waiting or in flight. It stands in `ready_` exactly when it has some
  /// waiting and none in flight.
  struct Active {
    std::list<ImportCommand> waiting;
    bool in_flight = false;
  };

  void push(ImportCommand command);

  std::string currency_;
  std::unordered_set<std::string> known_;
  std::unordered_map<std::string, Active> active_;
  std::deque<std::string> ready_;
  std::size_t waiting_ = 0;
};

}  // namespace bank
