// Live events of a topic, over WebSocket.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "samples/bank/url.h"

namespace bank {

struct WatchOptions {
  Url url;
  std::string token;  ///< bearer token; empty: none
  std::string topic = "bank";
  std::string from = "end";   ///< `start`, `end`, or the position of the first event wanted
  std::string stream_prefix;  ///< empty: every stream
  std::uint64_t count = 0;    ///< stop after so many events; 0: only at SIGINT or SIGTERM
};

/// Subscribes (`keelson.v1.json`) and hands each event, a JSON text, to `on_event`; `on_ready` is
/// called once, when the server has confirmed the subscription. Credits bound what is under way.
/// Returns after `count` events or at a signal.
/// @error io_error  the connection failed or was closed. @error bad_request  the server refused.
[[nodiscard]] keelson::Result<void> watch(const WatchOptions& options,
                                          const std::function<void()>& on_ready,
                                          const std::function<void(std::string_view)>& on_event);

/// `0:17  account-42 v3  deposited  {"amount":…}`: one event as a line for people.
[[nodiscard]] std::string describe_event(std::string_view json);

}  // namespace bank
