// The bodies that write: events, commits, many commands, and one command of an aggregate. What is
// accepted must be writable, within the limits, and mean the same when it is written down and read
// again. The first byte says as what the rest is read.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "aggregates/fields.h"
#include "engine/base/check.h"
#include "engine/store/names.h"
#include "http/command_batch.h"
#include "http/commit_body.h"
#include "http/json_text.h"
#include "samples/bank/account.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson;
using namespace keelson::http;

/// Small, so that short inputs run into them.
constexpr Limits kLimits{
    .event_bytes_max = 64, .commit_bytes_max = 256, .commit_events_max = 4, .name_bytes_max = 16};

// --- events and commits ---

std::string written(const std::vector<NewEvent>& events) {
  std::string text = "[";
  for (const NewEvent& event : events) {
    if (text.size() > 1) text += " ,\n";
    text += R"({"data" : )" + event.data + R"(,"type":)" + json_string(event.type);
    if (!event.metadata.empty()) text += R"(,"metadata":)" + event.metadata;
    text += '}';
  }
  return text + "]";
}

std::string written(const ExpectedVersion& expected) {
  const std::string text = expected.to_string();
  return expected.kind == ExpectedVersion::Kind::exact ? text : json_string(text);
}

std::string written(const Commit& commit) {
  std::string text = R"({"checks":[)";
  for (const StreamCheck& check : commit.checks) {
    if (text.back() == '}') text += ',';
    text += R"({"stream":)" + json_string(check.stream);
    text += R"(,"expected_version":)" + written(check.expected) + '}';
  }
  text += R"(],"writes":[)";
  for (const StreamWrite& write : commit.writes) {
    if (text.back() == '}') text += ',';
    text += R"({"events":)" + written(write.events) + R"(,"stream":)" + json_string(write.stream);
    text += R"(,"expected_version":)" + written(write.expected) + '}';
  }
  return text + "]}";
}

void check_events(const std::vector<NewEvent>& events) {
  KEELSON_ASSERT(!events.empty() && events.size() <= kLimits.commit_events_max);
  for (const NewEvent& event : events) {
    KEELSON_ASSERT(check_event_type(event.type, kLimits).has_value());
    KEELSON_ASSERT(check_json(event.data) && nlohmann::json::accept(event.data));
    if (event.metadata.empty()) continue;
    KEELSON_ASSERT(check_json(event.metadata) && nlohmann::json::accept(event.metadata));
  }
}

void events(std::string_view body) {
  const auto read = parse_events(body, kLimits);
  if (!read) return;
  check_events(*read);
  const auto again = parse_events(written(*read), kLimits);
  KEELSON_ASSERT(again && written(*again) == written(*read));
}

void commit(std::string_view body) {
  const auto read = parse_commit(body, kLimits);
  if (!read) return;
  KEELSON_ASSERT(!read->writes.empty() && !read->rejected);
  KEELSON_ASSERT(read->checks.size() <= kLimits.commit_events_max);
  std::size_t count = 0;
  for (const StreamWrite& write : read->writes) {
    KEELSON_ASSERT(!write.stream.empty());
    check_events(write.events);
    count += write.events.size();
  }
  KEELSON_ASSERT(count <= kLimits.commit_events_max);
  const auto again = parse_commit(written(*read), kLimits);
  KEELSON_ASSERT(again && written(*again) == written(*read));
  // A repeated command is known again whatever the white space.
  KEELSON_ASSERT(fingerprint_of("t", *again) == fingerprint_of("t", *read));
  KEELSON_ASSERT(fingerprint_of("u", *read) != fingerprint_of("t", *read));
}

// --- many commands ---

std::string written(const aggregates::CommandCall& call) {
  std::string text = R"({"id":)" + json_string(call.id) + R"(,"type":)" + json_string(call.type);
  text += R"(,"command":)" + json_string(call.command) + R"(,"data":)" + compact_json(call.body);
  if (!call.key.empty()) text += R"(,"key":)" + json_string(call.key);
  if (call.expected) text += R"(,"expected_version":)" + std::to_string(call.expected->value);
  return text + "}";
}

void check_items(const std::vector<BatchItem>& items) {
  KEELSON_ASSERT(items.size() <= kBatchCommandsMax);
  for (const BatchItem& item : items) {
    if (!item) continue;
    KEELSON_ASSERT(!item->type.empty() && !item->id.empty() && !item->command.empty());
    KEELSON_ASSERT(item->principal == "fuzz" && nlohmann::json::accept(item->body));
    // The same command on a line, and in an array.
    const std::string text = written(*item);
    const auto line = read_command_lines("\r\n" + text + "\r\n \n", "fuzz");
    const auto array = read_command_array(" [ " + text + "\n]", "fuzz");
    for (const auto& read : {line, array}) {
      KEELSON_ASSERT(read && read->size() == 1 && read->front());
      KEELSON_ASSERT(written(*read->front()) == text);
    }
  }
}

void commands(std::string_view text) {
  if (const auto items = read_command_array(text, "fuzz")) check_items(*items);
  if (const auto items = read_command_lines(text, "fuzz")) check_items(*items);
}

// --- one command ---

template <class T>
void described(std::string_view body) {
  const auto value = aggregates::decode<T>(body);
  // Read from a tree it is the same, and refused for the same reason.
  if (const auto tree = aggregates::parse_json(body)) {
    const auto slow = aggregates::decode_value<T>(*tree);
    KEELSON_ASSERT(slow.has_value() == value.has_value());
    KEELSON_ASSERT(value ? aggregates::encode(*slow) == aggregates::encode(*value)
                         : slow.error().context == value.error().context);
  } else {
    KEELSON_ASSERT(!value);
  }
  if (!value) return;
  KEELSON_ASSERT(check_json(body).has_value());
  const std::string text = aggregates::encode(*value);
  const auto again = aggregates::decode<T>(text);
  KEELSON_ASSERT(again && aggregates::encode(*again) == text);
}

/// Decides `command` and takes over what comes of it.
template <class Command>
void decide(bank::Account::State& state, std::string_view body) {
  described<Command>(body);
  const auto command = aggregates::decode<Command>(body);
  if (!command) return;
  aggregates::Context context;
  context.principal = "$reaction/transfer";
  const auto decision = bank::Account::decide(state, *command, context);
  KEELSON_ASSERT(decision.accepted() == !decision.events().empty());
  for (const auto& event : decision.events()) {
    state = std::visit([&](const auto& one) { return bank::Account::evolve(state, one); }, event);
  }
  KEELSON_ASSERT(!state.overdraft_limit || state.balance >= -*state.overdraft_limit);
  std::int64_t all = state.balance;
  for (const auto& [transfer, amount] : state.held) {
    KEELSON_ASSERT(amount > 0 && !__builtin_add_overflow(all, amount, &all));
  }
  described<bank::Account::State>(aggregates::encode(state));
}

/// Each line a command, its first byte says which: one account's life.
void account(std::string_view text) {
  using bank::Account;
  Account::State state;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::string_view body = line.substr(1);
    switch (line.front()) {
      case 'o': decide<Account::Open>(state, body); break;
      case 'd': decide<Account::Deposit>(state, body); break;
      case 'w': decide<Account::Withdraw>(state, body); break;
      case 'c': decide<Account::Close>(state, body); break;
      case 's': decide<Account::SendTransfer>(state, body); break;
      case 'r': decide<Account::ReceiveTransfer>(state, body); break;
      case 't': decide<Account::SettleTransfer>(state, body); break;
      case 'b': decide<Account::ReturnTransfer>(state, body); break;
      default: described<Account::State>(body); break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  switch (mode % 4) {
    case 0: commands(input.rest()); break;
    case 1: events(input.rest()); break;
    case 2: commit(input.rest()); break;
    default: account(input.rest()); break;
  }
  return 0;
}
