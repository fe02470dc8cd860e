#include "samples/bank/import_queue.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

namespace bank::test {

namespace {

Transaction row(std::string account, std::string id, std::int64_t delta) {
  Transaction transaction;
  transaction.account_id = std::move(account);
  transaction.trans_id = std::move(id);
  transaction.delta = delta;
  transaction.balance_after = delta;
  return transaction;
}

}  // namespace

TEST_CASE("import queue: an account is opened once, before its first row") {
  ImportQueue queue("CZK");
  queue.add(row("7", "a", 5));
  queue.add(row("7", "b", -3));
  auto first = queue.take(10);
  REQUIRE(first.size() == 1);
  CHECK(first[0].name == "open");
  CHECK(first[0].key == "open-7");
  CHECK(first[0].data == R"({"owner":"Customer 7","currency":"CZK","overdraft_limit":null})");
  CHECK_FALSE(first[0].balance_after.has_value());

  CHECK(queue.take(10).empty());  // one in flight
  queue.done("7");
  const auto second = queue.take(10);
  REQUIRE(second.size() == 1);
  CHECK(second[0].name == "deposit");
  CHECK(second[0].key == "a");
  CHECK(second[0].data == R"({"amount":5,"booked_at":"1970-01-01"})");
  queue.done("7");
  const auto third = queue.take(10);
  REQUIRE(third.size() == 1);
  CHECK(third[0].name == "withdraw");
  CHECK(third[0].data == R"({"amount":3,"booked_at":"1970-01-01"})");
  CHECK_FALSE(queue.empty());
  queue.done("7");
  CHECK(queue.empty());

  queue.add(row("7", "c", 1));  // known: not opened again
  CHECK(queue.take(1).at(0).key == "c");
  CHECK(queue.accounts() == 1);
}

TEST_CASE("import queue: whatever finishes first, each account's commands keep their order") {
  std::mt19937 dice(1);
  ImportQueue queue("CZK");
  std::map<std::string, std::vector<std::string>> expected;
  std::map<std::string, std::vector<std::string>> seen;
  std::vector<ImportCommand> in_flight;
  int next_row = 0;
  while (next_row < 2000 || !queue.empty()) {
    for (int i = 0; i < 20 && next_row < 2000; ++i, ++next_row) {
      const std::string account = std::to_string(dice() % 37);
      auto& order = expected[account];
      if (order.empty()) order.push_back("open-" + account);
      order.push_back(std::to_string(next_row));
      queue.add(row(account, std::to_string(next_row), 1));
    }
    for (ImportCommand& command : queue.take(dice() % 16)) {
      seen[command.account_id].push_back(command.key);
      in_flight.push_back(std::move(command));
    }
    std::set<std::string> accounts;
    for (const auto& command : in_flight) REQUIRE(accounts.insert(command.account_id).second);
    while (!in_flight.empty() && dice() % 3 != 0) {
      const std::size_t index = dice() % in_flight.size();
      queue.done(in_flight[index].account_id);
      in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }
  CHECK(seen == expected);
  CHECK(queue.size() == 0);
}

}  // namespace bank::test
