// A WebSocket connection's life: lines of the input are the client's messages, or, by their first
// byte, `+` an event that is appended, `?` a turn of sending. Whatever the client says: each event
// is sent once and in order, never more than it has credit for, and every message is JSON.
#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/check.h"
#include "engine/store/names.h"
#include "http/subscription_connection.h"
#include "tests/fuzz/input.h"
#include "tests/projections/support/memory_topic.h"

namespace {

using namespace keelson;
using namespace keelson::http;
using nlohmann::json;

constexpr std::size_t kLinesMax = 200;

class Client {
 public:
  Client() {
    for (const char* stream : {"a-1", "b-2", "a-3"}) append(stream);
  }
  ~Client() {
    MessageBatch out;
    connection_.close("over", out);
    KEELSON_ASSERT(out.count() == open_.size());
    take(out);
    KEELSON_ASSERT(open_.empty() && !connection_.ready());
  }

  void append(std::string_view stream) {
    if (!check_stream_name(stream, Limits{})) return;
    topic_.append(std::string(stream), stream.size() % 2 == 0 ? "even" : "odd", "{\n}");
  }

  void send(std::string_view text) {
    const auto message = parse_client_message(text);
    if (!message) KEELSON_ASSERT(!message.error().code.empty());
    if (!message) KEELSON_ASSERT(message.error().id.size() <= kSubscriptionIdBytesMax);
    MessageBatch out;
    connection_.receive(text, out);
    const auto* credit = message ? std::get_if<CreditMessage>(&*message) : nullptr;
    const bool granted = credit != nullptr && open_.contains(credit->id);
    KEELSON_ASSERT(out.count() == (granted ? 0 : 1));
    if (granted) add_credit(open_.at(credit->id), credit->n);
    if (const auto* subscribe = message ? std::get_if<SubscribeMessage>(&*message) : nullptr) {
      begin(*subscribe, json::parse(out.message(0)));
    } else {
      take(out);
    }
  }

  void poll(std::size_t bytes_max) {
    MessageBatch out;
    connection_.poll(bytes_max, out);
    take(out);
  }

 private:
  struct Open {
    std::uint64_t credit = 0;
    std::map<std::uint64_t, std::uint64_t> last;  ///< offset by partition
    EventFilter filter;
    bool caught_up = false;
  };

  static void add_credit(Open& open, std::uint64_t n) {
    open.credit = n > UINT64_MAX - open.credit ? UINT64_MAX : open.credit + n;
  }

  void begin(const SubscribeMessage& message, const json& answer) {
    if (answer.at("op") == "error") return;
    KEELSON_ASSERT(answer.at("op") == "subscribed" && answer.at("id") == message.id);
    const bool fresh = open_.emplace(message.id, Open{message.credit, {}, message.filter}).second;
    KEELSON_ASSERT(fresh);
  }

  void take(const MessageBatch& out) {
    for (std::size_t i = 0; i < out.count(); ++i) {
      const std::string_view text = out.message(i);
      KEELSON_ASSERT(text.find('\n') == text.npos);
      const json message = json::parse(text);
      const auto& op = message.at("op").get_ref<const std::string&>();
      if (op == "error") {
        KEELSON_ASSERT(message.at("code").is_string() && message.at("detail").is_string());
        continue;
      }
      const auto open = open_.find(message.at("id").get<std::string>());
      KEELSON_ASSERT(open != open_.end());
      if (op == "event") {
        event(open->second, message);
      } else if (op == "caught_up") {
        KEELSON_ASSERT(!open->second.caught_up);
        open->second.caught_up = true;
        KEELSON_ASSERT(Position::parse(message.at("position").get<std::string>(), 2).has_value());
      } else {
        KEELSON_ASSERT(op == "closed");
        KEELSON_ASSERT(Position::parse(message.at("position").get<std::string>(), 2).has_value());
        open_.erase(open);
      }
    }
  }

  void event(Open& open, const json& message) {
    KEELSON_ASSERT(open.credit > 0);
    --open.credit;
    const auto partition = message.at("partition").get<std::uint64_t>();
    const auto offset = message.at("offset").get<std::uint64_t>();
    const auto [last, first] = open.last.emplace(partition, offset);
    KEELSON_ASSERT(first || offset > last->second);
    const Event stored = topic_.memory(partition).at(Offset(offset));
    KEELSON_ASSERT(stored.stream == message.at("stream").get<std::string>());
    KEELSON_ASSERT(open.filter.matches(stored.view()));
    // What was passed over did not pass the filter.
    for (std::uint64_t o = first ? offset : last->second + 1; o < offset; ++o) {
      KEELSON_ASSERT(!open.filter.matches(topic_.memory(partition).at(Offset(o)).view()));
    }
    last->second = offset;
  }

  test::MemoryTopic topic_{2};
  std::map<std::string, Open> open_;
  SubscriptionConnection connection_{
      [this](std::string_view name) { return name == "t" ? &topic_ : nullptr; },
      [] {},
      {.subscriptions_max = 3, .turn_events_max = 2, .turn_scan_max = 3}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = keelson::fuzz::Input(data, size).rest();
  Client client;
  for (std::size_t lines = 0; !text.empty() && lines < kLinesMax; ++lines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('+')) {
      client.append(line.substr(1, 8));
    } else if (line.starts_with('?')) {
      client.poll(line.size() * 100);
    } else {
      client.send(line);
    }
  }
  return 0;
}
