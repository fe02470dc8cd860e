// The messages of GET /v1/subscriptions, subprotocol keelson.v1.json. docs/http-api.md is its
// description; here it is a pure function of bytes, without a connection.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "engine/store/event.h"
#include "engine/store/position.h"
#include "engine/store/subscription.h"

namespace keelson::http {

inline constexpr std::string_view kSubprotocol = "keelson.v1.json";
inline constexpr std::size_t kClientMessageBytesMax = 64u << 10;
inline constexpr std::size_t kSubscriptionIdBytesMax = 64;

// --- up ---

struct SubscribeMessage {
  std::string id;  ///< chosen by the client, unique in its connection
  std::string topic;
  std::string from;   ///< `start`, `end`, or a position of the first events wanted
  std::string after;  ///< or, instead: the position already seen, as `closed` gave it
  EventFilter filter;
  std::vector<PartitionId> partitions;  ///< none named: all
  std::uint64_t credit = 0;
};

struct CreditMessage {
  std::string id;
  std::uint64_t n = 0;
};

struct UnsubscribeMessage {
  std::string id;
};

/// Consumer groups. Understood, and not served yet.
struct GroupMessage {
  std::string id;
  std::string op;  ///< `join` or `ack`
};

using ClientMessage =
    std::variant<SubscribeMessage, CreditMessage, UnsubscribeMessage, GroupMessage>;

/// What an `error` message says.
struct ProtocolError {
  std::string id;    ///< the subscription it is about; empty when that is not known
  std::string code;  ///< as in problems, with hyphens
  std::string detail;
  std::string leader{};  ///< `HOST:PORT` of the node to ask instead; or empty
};

/// The protocol's form of an error of the layers below.
[[nodiscard]] ProtocolError protocol_error(std::string id, const Error& error);

/// Reads one message of a client.
[[nodiscard]] std::expected<ClientMessage, ProtocolError> parse_client_message(
    std::string_view text);

/// Where `message` wants to begin in a topic that reaches from `start` to `end`, as the first
/// offset wanted in each partition. A partition that `from` does not name begins at its start; one
/// that `after` does not name at offset 0, which may be below its start.
/// @error bad_request
[[nodiscard]] Result<Position> first_wanted(const SubscribeMessage& message, const Position& start,
                                            const Position& end);

// --- down: each appends one message ---

void append_subscribed(std::string& out, std::string_view id);
void append_event_message(std::string& out, std::string_view id, const EventView& event);
void append_caught_up(std::string& out, std::string_view id, const Position& position);
void append_error(std::string& out, const ProtocolError& error);
void append_closed(std::string& out, std::string_view id, std::string_view reason,
                   const Position& position);

}  // namespace keelson::http
