#include "http/subscription_protocol.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "http/event_json.h"
#include "http/json_reader.h"
#include "http/json_text.h"
#include "http/problem.h"

namespace keelson::http {

namespace {

constexpr std::size_t kFilterTypesMax = 256;
constexpr std::size_t kPartitionsMax = 4096;
constexpr JsonLimits kMessageJson{.bytes_max = kClientMessageBytesMax, .depth_max = 8};

/// Every member any message may have, before it is known which message it is.
struct Members {
  std::string op;
  std::string id;
  std::optional<std::string> topic;
  std::optional<std::string> from;
  std::optional<std::string> after;
  std::optional<std::string> stream;
  std::optional<std::string> stream_prefix;
  std::optional<std::vector<std::string>> types;
  std::optional<std::vector<PartitionId>> partitions;
  std::optional<std::uint64_t> credit;
  std::optional<std::uint64_t> n;
  bool group = false;  ///< a member of consumer groups, whose value does not matter yet
};

Result<std::vector<std::string>> read_types(JsonReader& reader) {
  std::vector<std::string> types;
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) return types;
    if (types.size() == kFilterTypesMax) {
      return fail(Errc::bad_request,
                  "'types' may name at most " + std::to_string(kFilterTypesMax) + " types");
    }
    KEELSON_TRY_ASSIGN(std::string type, reader.string());
    types.push_back(std::move(type));
  }
}

Result<std::vector<PartitionId>> read_partitions(JsonReader& reader) {
  std::vector<PartitionId> partitions;
  KEELSON_TRY(reader.enter_array());
  while (true) {
    KEELSON_TRY_ASSIGN(const bool more, reader.next_element());
    if (!more) break;
    KEELSON_TRY_ASSIGN(const std::uint64_t number, reader.number());
    const bool sound = number <= UINT32_MAX && partitions.size() < kPartitionsMax;
    if (!sound) return fail(Errc::bad_request, "'partitions' names what no topic has");
    partitions.emplace_back(static_cast<std::uint32_t>(number));
  }
  if (partitions.empty()) return fail(Errc::bad_request, "'partitions' is empty");
  return partitions;
}

Result<void> read_member(JsonReader& reader, std::string_view name, Members& members) {
  const auto take_string = [&reader](auto& into) -> Result<void> {
    KEELSON_TRY_ASSIGN(into, reader.string());
    return {};
  };
  const auto take_number = [&reader](auto& into) -> Result<void> {
    KEELSON_TRY_ASSIGN(into, reader.number());
    return {};
  };
  if (name == "op") return take_string(members.op);
  if (name == "id") return take_string(members.id);
  if (name == "topic") return take_string(members.topic);
  if (name == "from") return take_string(members.from);
  if (name == "after") return take_string(members.after);
  if (name == "stream") return take_string(members.stream);
  if (name == "stream_prefix") return take_string(members.stream_prefix);
  if (name == "credit") return take_number(members.credit);
  if (name == "n") return take_number(members.n);
  if (name == "types") {
    KEELSON_TRY_ASSIGN(members.types, read_types(reader));
    return {};
  }
  if (name == "partitions") {
    KEELSON_TRY_ASSIGN(members.partitions, read_partitions(reader));
    return {};
  }
  if (name == "group" || name == "partition" || name == "offset") {
    members.group = true;
    KEELSON_TRY(reader.skip_value());
    return {};
  }
  return fail(Errc::bad_request, "unknown member " + json_string(name));
}

Result<void> read_members(std::string_view text, Members& members) {
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(text, kMessageJson));
  KEELSON_TRY(reader.enter_object());
  while (true) {
    KEELSON_TRY_ASSIGN(const auto name, reader.next_member());
    if (!name) return reader.finish();
    KEELSON_TRY(read_member(reader, *name, members));
  }
}

std::unexpected<Error> bad(std::string why) { return fail(Errc::bad_request, std::move(why)); }

/// Whether a message has members that belong to other messages only.
bool has_subscribe_members(const Members& members) {
  return members.topic || members.from || members.after || members.stream ||
         members.stream_prefix || members.types || members.partitions || members.credit;
}

Result<ClientMessage> make_subscribe(Members& members) {
  if (members.n || members.group) return bad("a subscribe has no 'n' and no group");
  if (!members.topic) return bad("a subscribe needs 'topic'");
  if (members.from.has_value() == members.after.has_value()) {
    return bad("a subscribe needs one of 'from' and 'after'");
  }
  if (!members.credit) return bad("a subscribe needs 'credit', the events it may send at first");
  SubscribeMessage message;
  message.id = std::move(members.id);
  message.topic = *std::move(members.topic);
  message.from = std::move(members.from).value_or("");
  message.after = std::move(members.after).value_or("");
  message.filter.types = std::move(members.types).value_or(std::vector<std::string>{});
  message.filter.stream = std::move(members.stream);
  message.filter.stream_prefix = std::move(members.stream_prefix);
  message.partitions = std::move(members.partitions).value_or(std::vector<PartitionId>{});
  message.credit = *members.credit;
  return message;
}

Result<ClientMessage> make_message(Members& members) {
  if (members.id.empty() || members.id.size() > kSubscriptionIdBytesMax) {
    return bad("'id' must have 1 to " + std::to_string(kSubscriptionIdBytesMax) + " bytes");
  }
  if (members.op == "subscribe") return make_subscribe(members);
  if (members.op == "join" || members.op == "ack") {
    return GroupMessage{std::move(members.id), std::move(members.op)};
  }
  if (members.op == "credit") {
    if (!members.n || *members.n == 0) return bad("a credit needs 'n', at least 1");
    if (has_subscribe_members(members) || members.group)
      return bad("a credit has 'id' and 'n' only");
    return CreditMessage{std::move(members.id), *members.n};
  }
  if (members.op == "unsubscribe") {
    if (has_subscribe_members(members) || members.n || members.group) {
      return bad("an unsubscribe has 'id' only");
    }
    return UnsubscribeMessage{std::move(members.id)};
  }
  return bad("'op' must be subscribe, credit, unsubscribe, join or ack");
}

void begin(std::string& out, std::string_view op, std::string_view id) {
  out += R"({"op":")";
  out += op;
  out += R"(","id":)";
  append_json_string(out, id);
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json_string(out, text);
}

}  // namespace

ProtocolError protocol_error(std::string id, const Error& error) {
  Problem problem = answered_problem(error);
  if (error.code == Errc::not_leader) {
    return {std::move(id), std::move(problem.code),
            "What is asked for is not on this node. Connect to " + error.context +
                ", and subscribe there from where you are.",
            error.context};
  }
  return {std::move(id), std::move(problem.code), std::move(problem.detail), {}};
}

std::expected<ClientMessage, ProtocolError> parse_client_message(std::string_view text) {
  Members members;
  auto message = [&]() -> Result<ClientMessage> {
    KEELSON_TRY(read_members(text, members));
    return make_message(members);
  }();
  if (message) return *std::move(message);
  // A message too long to have an id of ours is not answered under it.
  if (members.id.size() > kSubscriptionIdBytesMax) members.id.clear();
  return std::unexpected(protocol_error(std::move(members.id), message.error()));
}

Result<Position> first_wanted(const SubscribeMessage& message, const Position& start,
                              const Position& end) {
  if (message.from == "start") return start;
  if (message.from == "end") return end;
  const bool after = !message.after.empty();
  if (!after && message.from == "-") return fail(Errc::bad_request, "'from' names no event");
  KEELSON_TRY_ASSIGN(Position wanted,
                     Position::parse(after ? message.after : message.from, start.partitions()));
  for (std::uint32_t p = 0; p < wanted.partitions(); ++p) {
    const PartitionId partition(p);
    const Offset next = wanted.next(partition);
    if (after) continue;  // who has seen nothing wants all there was, or is told that it is gone
    // A position is read as what has been seen; `from` names the first event to see.
    wanted.set_next(partition, next == Offset(0) ? start.next(partition) : next - 1);
  }
  return wanted;
}

void append_subscribed(std::string& out, std::string_view id) {
  begin(out, "subscribed", id);
  out += '}';
}

void append_event_message(std::string& out, std::string_view id, const EventView& event) {
  begin(out, "event", id);
  out += ',';
  append_event_members(out, event, Lines::one);
  out += '}';
}

void append_caught_up(std::string& out, std::string_view id, const Position& position) {
  begin(out, "caught_up", id);
  append_member(out, "position", position.to_string());
  out += '}';
}

void append_error(std::string& out, const ProtocolError& error) {
  out += R"({"op":"error")";
  if (!error.id.empty()) append_member(out, "id", error.id);
  append_member(out, "code", error.code);
  append_member(out, "detail", error.detail);
  if (!error.leader.empty()) append_member(out, "leader", error.leader);
  out += '}';
}

void append_closed(std::string& out, std::string_view id, std::string_view reason,
                   const Position& position) {
  begin(out, "closed", id);
  append_member(out, "reason", reason);
  append_member(out, "position", position.to_string());
  out += '}';
}

}  // namespace keelson::http
