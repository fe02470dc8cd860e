#include "http/command_batch.h"

#include <algorithm>
#include <utility>

#include "engine/store/store.h"
#include "http/aggregate_routes.h"
#include "http/as_of.h"
#include "http/json_reader.h"
#include "http/problem.h"

namespace keelson::http {

namespace {

using aggregates::AggregateHost;
using aggregates::CommandCall;
using aggregates::CommandReply;

/// The request's size is bounded before it is read; depth is bounded here. What a command holds may
/// be as deep on a line as in an array.
constexpr JsonLimits kCommandJson{.bytes_max = SIZE_MAX, .depth_max = 65};
constexpr JsonLimits kBatchJson{.bytes_max = SIZE_MAX, .depth_max = kCommandJson.depth_max + 1};

/// Takes one member of a command. False: there is no such member.
Result<bool> read_member(JsonReader& reader, std::string_view name, CommandCall& call) {
  if (name == "type") {
    KEELSON_TRY_ASSIGN(call.type, reader.string());
  } else if (name == "id") {
    KEELSON_TRY_ASSIGN(call.id, reader.string());
  } else if (name == "command") {
    KEELSON_TRY_ASSIGN(call.command, reader.string());
  } else if (name == "key") {
    KEELSON_TRY_ASSIGN(call.key, reader.string());
    if (call.key.empty()) return fail(Errc::bad_request, "'key' is empty");
  } else if (name == "data") {
    KEELSON_TRY_ASSIGN(call.body, reader.skip_value());
  } else if (name == "expected_version") {
    KEELSON_TRY_ASSIGN(const bool none, reader.take_null());
    if (!none) {
      KEELSON_TRY_ASSIGN(const std::uint64_t version, reader.number());
      call.expected = Version(version);
    }
  } else {
    return false;
  }
  return true;
}

BatchItem read_command(std::string_view text, const std::string& principal) {
  CommandCall call;
  call.body = "{}";
  call.principal = principal;
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(text, kCommandJson));
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) break;
    KEELSON_TRY_ASSIGN(const bool known, read_member(reader, *name, call));
    if (!known) {
      return fail(Errc::bad_request,
                  "unknown member " + json_string(*name) +
                      " in a command; known are type, id, command, data, key, expected_version");
    }
  }
  KEELSON_TRY(reader.finish());
  const std::string_view missing = call.type.empty()      ? "type"
                                   : call.id.empty()      ? "id"
                                   : call.command.empty() ? "command"
                                                          : "";
  if (!missing.empty()) {
    return fail(Errc::bad_request, "a command needs '" + std::string(missing) + "'");
  }
  return call;
}

Result<void> check_count(std::size_t count) {
  if (count < kBatchCommandsMax) return {};
  return fail(Errc::too_large,
              "one request takes at most " + std::to_string(kBatchCommandsMax) + " commands");
}

}  // namespace

Result<std::vector<BatchItem>> read_command_array(std::string_view text,
                                                  const std::string& principal) {
  std::vector<BatchItem> items;
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(text, kBatchJson));
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) break;
    KEELSON_TRY(check_count(items.size()));
    KEELSON_TRY_ASSIGN(const std::string_view item, reader.skip_value());
    items.push_back(read_command(item, principal));
  }
  KEELSON_TRY(reader.finish());
  return items;
}

Result<std::vector<BatchItem>> read_command_lines(std::string_view text,
                                                  const std::string& principal) {
  std::vector<BatchItem> items;
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  items.reserve(std::min(lines, kBatchCommandsMax));
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    KEELSON_TRY(check_count(items.size()));
    items.push_back(read_command(line, principal));
  }
  return items;
}

CommandBatch::CommandBatch(const Topic& topic, std::size_t count) : topic_(topic), slots_(count) {}

std::shared_ptr<CommandBatch> CommandBatch::start(aggregates::AggregateHost& host,
                                                  std::vector<BatchItem> items) {
  std::shared_ptr<CommandBatch> batch(new CommandBatch(host.topic(), items.size()));
  std::vector<std::pair<CommandCall, AggregateHost::Completion>> calls;
  calls.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i]) {
      batch->complete(i, std::unexpected(std::move(items[i]).error()));
      continue;
    }
    calls.emplace_back(*std::move(items[i]), [batch, i](Result<CommandReply> reply) {
      batch->complete(i, std::move(reply));
    });
  }
  host.execute_all(std::move(calls));
  return batch;
}

void CommandBatch::complete(std::size_t index, Result<CommandReply> reply) {
  slots_[index].reply = std::move(reply);
  Task woken;
  {
    const std::lock_guard lock(mutex_);
    slots_[index].ready = true;
    while (ready_end_ < slots_.size() && slots_[ready_end_].ready) ++ready_end_;
    if (waiter_ && ready_end_ >= waited_end_) woken = std::exchange(waiter_, nullptr);
  }
  if (woken) woken();
}

void CommandBatch::wait(std::size_t end, Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (ready_end_ < end) {
      waited_end_ = end;
      waiter_ = std::move(task);
      return;
    }
  }
  task();
}

void CommandBatch::when_ready(Task task) {
  wait(std::min(next_ + 1, slots_.size()), std::move(task));
}

void CommandBatch::when_complete(Task task) { wait(slots_.size(), std::move(task)); }

std::size_t CommandBatch::ready_end() {
  const std::lock_guard lock(mutex_);
  return ready_end_;
}

void CommandBatch::take(std::string& out, std::size_t bytes_max, std::string_view separator) {
  const std::size_t ready = ready_end();
  const std::size_t start = out.size();
  while (next_ < ready && out.size() - start < bytes_max) {
    if (next_ != 0) out += separator;
    Slot& slot = slots_[next_++];
    append_outcome(out, *slot.reply);
    slot.reply.reset();
  }
}

void CommandBatch::append_outcome(std::string& out, const Result<CommandReply>& reply) {
  if (!reply) {
    const Problem problem = answered_problem(reply.error());
    out += R"({"status":)";
    append_number(out, problem.status);
    out += R"(,"outcome":"error","code":)";
    append_json_string(out, problem.code);
    out += R"(,"detail":)";
    append_json_string(out, problem.detail);
    for (const auto& [name, value] : problem.extensions) {
      out += ',';
      append_json_string(out, name);
      out += ':';
      out += value;
    }
    out += '}';
    return;
  }
  const CommitOutcome& outcome = reply->outcome;
  out += outcome.rejected ? R"({"status":409,)" : R"({"status":200,)";
  if (outcome.rejected) {
    append_rejected(out, *reply, topic_);
  } else {
    append_accepted(out, *reply, topic_);
  }
  out += outcome.replayed ? R"(,"replayed":true})" : "}";

  if (!position_) position_.emplace(topic_.partition_count());
  const Offset seen = std::max(position_->next(outcome.partition), outcome.position_end);
  position_->set_next(outcome.partition, seen);
}

}  // namespace keelson::http
