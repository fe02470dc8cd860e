// Everything a client can send as text, read as a function of bytes: the first byte says as what.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/store/names.h"
#include "http/command_batch.h"
#include "http/conditional.h"
#include "http/json_text.h"
#include "http/query_body.h"
#include "http/rfc3339.h"
#include "http/subscription_connection.h"

namespace {

using namespace keelson;
using namespace keelson::http;
using nlohmann::json;

void expect(bool holds) {
  if (!holds) std::abort();
}

/// What we take for JSON every parser takes for JSON, and compacting does not change it.
void json_text(std::string_view text) {
  if (check_json(text)) {
    expect(json::accept(text));
    expect(json::parse(compact_json(text)) == json::parse(text));
    std::string line;
    append_on_one_line(line, text);
    expect(json::parse(line) == json::parse(text));
  }
  const std::string quoted = json_string(text);
  expect(check_json(quoted).has_value());
  if (is_utf8(text)) expect(json::parse(quoted) == json(text));
}

void subscription(std::string_view text) {
  const auto message = parse_client_message(text);
  if (message) {
    std::visit([](const auto& known) { expect(!known.id.empty()); }, *message);
  } else {
    expect(!message.error().code.empty());
  }
  SubscriptionConnection connection([](std::string_view) { return nullptr; }, [] {});
  MessageBatch answers;
  connection.receive(text, answers);
  expect(answers.count() == 1);
  expect(json::accept(answers.message(0)));
}

void commands(std::string_view text) {
  if (const auto items = read_command_array(text, "fuzz")) {
    expect(items->size() <= kBatchCommandsMax);
    for (const auto& item : *items) expect(!item || json::accept(item->body));
  }
  if (const auto items = read_command_lines(text, "fuzz")) {
    for (const auto& item : *items) expect(!item || !item->command.empty());
  }
}

void header_values(std::string_view text) {
  if (const auto time = parse_rfc3339(text)) {
    // A time written for the years we can write is read back the same.
    if (time->value > -62'000'000'000'000'000 && time->value < 253'000'000'000'000'000) {
      expect(parse_rfc3339(to_rfc3339(*time)) == *time);
    }
  }
  Headers headers;
  headers.add("If-Match", text);
  headers.add("If-None-Match", text);
  if (const auto version = parse_if_match(headers); version && *version) {
    expect(if_none_match_has(headers, version_etag(**version)) || text.find('0') != text.npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: json_text(text); break;
    case 1: subscription(text); break;
    case 2: commands(text); break;
    case 3: static_cast<void>(read_query_body(text)); break;
    case 4: header_values(text); break;
  }
  return 0;
}
