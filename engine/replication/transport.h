// Messages between the nodes of a cluster.
#pragma once

#include <functional>
#include <string>

#include "engine/base/result.h"
#include "engine/replication/member.h"

namespace keelson::replication {

/// Carries whole messages in order while a connection lasts; loses what was under way when it
/// breaks, and says so. Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;

  struct Listener {
    std::function<void(NodeId from, std::string message)> received;
    /// A new connection: nothing sent on an older one arrives any more.
    std::function<void(NodeId peer)> connected;
    std::function<void(NodeId peer)> disconnected;
  };
  /// Set once, before the first `send`.
  virtual void set_listener(Listener listener) = 0;

  /// @error not_found   no such node. @error closed  not connected to it now.
  /// @error overloaded  its send buffer is full; nothing was sent.
  [[nodiscard]] virtual Result<void> send(NodeId to, std::string message) = 0;
};

}  // namespace keelson::replication
