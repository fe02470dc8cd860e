// Messages between the nodes of a cluster.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/io/file_region.h"
#include "engine/replication/member.h"

namespace keelson::replication {

using io::FileRegion;

/// Messages of one flow stay in order.
using Flow = StrongNumber<struct FlowTag>;

/// Carries whole messages while a connection lasts, those of a flow in order; loses what was under
/// way when it breaks, and says so. Between flows small messages go before large ones. A peer is a
/// member: a node with another data folder is another peer. Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Called on a thread of the transport, one call at a time. While a call lasts nothing more is
  /// read, and what peers send waits on their side. All are set; none may throw.
  struct Listener {
    std::function<void(const Member& from, std::string message)> received;
    /// What `send_file` sent. Nothing vouches for `bytes`: what they are must tell.
    std::function<void(const Member& from, std::string message, std::string bytes)> received_file;
    /// A new connection: nothing sent on an older one arrives any more.
    std::function<void(const Member& peer)> connected;
    std::function<void(const Member& peer)> disconnected;
  };
  /// Set once; connections begin with it.
  virtual void set_listener(Listener listener) = 0;

  /// The other nodes of the cluster, each as `host:port`. Replaces those of an earlier call: who is
  /// not among them any more is disconnected. Who is somewhere else now stays connected until the
  /// connection breaks, or there is a newer one. This node may be among them.
  /// @error bad_request  an address is none; nothing has changed.
  [[nodiscard]] virtual Result<void> set_peers(std::map<NodeId, std::string> addresses) = 0;

  /// An incarnation of `member` has been seen, elsewhere: connections of earlier ones end, and are
  /// refused from now on.
  virtual void outdate(const Member& member, const Incarnation& latest) = 0;

  /// @error closed      not connected to that very member now.
  /// @error overloaded  its send buffer is full.
  /// @error too_large   over the limit for messages.
  /// In all of these nothing was sent.
  [[nodiscard]] virtual Result<void> send(const Member& to, std::string message,
                                          Flow flow = Flow(0)) = 0;

  /// Sends `message` and the bytes of `region` together; in order with what `send` sends. The file
  /// is read later, and the connection ends if that fails.
  /// @error bad_request  the region is not within the file.
  /// @error closed, overloaded, too_large  as above.
  [[nodiscard]] virtual Result<void> send_file(const Member& to, std::string message,
                                               FileRegion region, Flow flow = Flow(0)) = 0;

  /// How many bytes wait to be sent there, regions included; 0 where nobody is connected.
  [[nodiscard]] virtual std::size_t waiting(const Member& to) const = 0;
};

}  // namespace keelson::replication
