#include "samples/bank/import_queue.h"

#include <algorithm>
#include <utility>

#include "aggregates/json_text.h"
#include "engine/base/check.h"

namespace bank {

namespace {

std::string json_string(std::string_view text) {
  std::string json;
  keelson::aggregates::append_json_string(json, text);
  return json;
}

ImportCommand open_command(const Transaction& row, const std::string& currency) {
  ImportCommand command;
  command.account_id = row.account_id;
  command.name = "open";
  command.key = "open-" + row.account_id;
  command.data = R"({"owner":)" + json_string("Customer " + row.account_id) + R"(,"currency":)" +
                 json_string(currency) + R"(,"overdraft_limit":null})";
  command.line = row.line;
  return command;
}

ImportCommand movement_command(const Transaction& row) {
  ImportCommand command;
  command.account_id = row.account_id;
  command.name = row.delta > 0 ? "deposit" : "withdraw";
  command.key = row.trans_id;
  const std::int64_t amount = row.delta > 0 ? row.delta : -row.delta;  // never INT64_MIN: see parse
  command.data =
      R"({"amount":)" + std::to_string(amount) + R"(,"booked_at":")" + row.date.text() + R"("})";
  command.line = row.line;
  command.balance_after = row.balance_after;
  return command;
}

}  // namespace

void ImportQueue::add(const Transaction& row) {
  if (known_.insert(row.account_id).second) push(open_command(row, currency_));
  push(movement_command(row));
}

void ImportQueue::push(ImportCommand command) {
  Active& account = active_[command.account_id];
  if (account.waiting.empty() && !account.in_flight) ready_.push_back(command.account_id);
  account.waiting.push_back(std::move(command));
  ++waiting_;
}

std::vector<ImportCommand> ImportQueue::take(std::size_t count) {
  std::vector<ImportCommand> commands;
  commands.reserve(std::min(count, ready_.size()));
  while (commands.size() < count && !ready_.empty()) {
    Active& account = active_.at(ready_.front());
    ready_.pop_front();
    commands.push_back(std::move(account.waiting.front()));
    account.waiting.pop_front();
    account.in_flight = true;
    --waiting_;
  }
  return commands;
}

void ImportQueue::done(const std::string& account_id) {
  const auto found = active_.find(account_id);
  KEELSON_ASSERT(found != active_.end() && found->second.in_flight);
  found->second.in_flight = false;
  if (found->second.waiting.empty()) {
    active_.erase(found);
  } else {
    ready_.push_back(account_id);
  }
}

}  // namespace bank
