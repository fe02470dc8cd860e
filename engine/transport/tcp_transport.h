// Messages between the nodes of a cluster, by TCP.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/replication/member.h"
#include "engine/replication/transport.h"

namespace keelson::transport {

/// Files in PEM. A certificate must be good for both sides of a connection.
struct TlsFiles {
  std::string certificate_file;  ///< this node's, with what is between it and the authority
  std::string key_file;
  std::string authority_file;  ///< whose certificates are believed, on both sides
};

struct TcpTransportOptions {
  /// Where to listen: a numeric address. Port 0: any that is free.
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;

  /// Nodes of another cluster are refused. At most 255 bytes.
  std::string cluster;
  /// What the nodes of a cluster know and nobody else, at least 16 bytes; random ones, as who has
  /// seen a handshake can try others. Without TLS it guards the beginning of a connection only.
  std::string secret;
  replication::Member self;
  /// Of this process. Peers refuse it once they have seen a later one of the same member.
  replication::Incarnation incarnation;
  /// None: what is sent can be read and changed on its way.
  std::optional<TlsFiles> tls;

  /// Of one message, both ways. The same on all nodes, as a larger one ends the connection.
  std::uint32_t message_bytes_max = 64u << 20;
  /// Of one region of a file, likewise.
  std::uint32_t region_bytes_max = 8u << 20;
  /// Of what waits to be sent to a node, regions of files included. A single item may be larger;
  /// for small messages there is an eighth more.
  std::size_t send_buffer_bytes_max = 64u << 20;
  /// Connections that have not shown who they are, at a time. One more and the oldest is dropped.
  std::size_t strangers_max = 64;

  std::chrono::milliseconds connect_timeout{1000};
  /// From the connection to the last proof.
  std::chrono::milliseconds handshake_timeout{2000};
  /// Between two tries to reach a node: from `redial_min`, doubled each time, with jitter.
  std::chrono::milliseconds redial_min{50};
  std::chrono::milliseconds redial_max{1000};
  /// A peer that does not answer, or takes nothing of what waits for it, is given up after this.
  std::chrono::milliseconds dead_peer{5000};

  /// Hears, on the transport's thread, why a connection ended or did not come to be. Called as
  /// often as that happens, which strangers decide too. None: nobody does. Must not throw.
  /// @param peer  the node that was dialled or connected; nothing: a stranger.
  std::function<void(std::optional<replication::NodeId> peer, const Error& why)> report;
};

/// One connection to each other node, over which everything goes. docs/replication.md, "Transport",
/// has the bytes.
///
/// Of two nodes the one with the smaller id dials, again and again until it is told otherwise; the
/// other accepts. Both prove that they know the cluster's secret before either believes a word. A
/// newer connection of a node replaces the older one: `disconnected`, then `connected`. Of two
/// incarnations of one member the later counts, for good: the earlier is refused.
///
/// It owns an `io_context` with one thread, the listening socket, and all connections. All of them
/// are touched by that thread alone, and the listener is called there; `send` only puts messages
/// into a connection's bounded queue, of which the thread writes as many at once as there are.
///
/// Invariants: of a connection nothing is delivered before `connected` and after `disconnected`,
/// nor of a damaged frame; a node has at most one connection between these two; memory follows the
/// bytes that have arrived, and before a proof at most `strangers_max` small buffers.
///
/// A file's bytes are read on the thread: a slow disk holds up other messages.
class TcpTransport final : public replication::Transport {
 public:
  /// Listens; nothing is accepted or dialled before `set_listener`.
  /// @param clock, random  must outlive it; nonces are made of `random`.
  /// @error bad_request  an option is wrong, or the address cannot be listened on.
  [[nodiscard]] static Result<std::unique_ptr<TcpTransport>> open(TcpTransportOptions options,
                                                                  Clock& clock, Random& random);
  /// Stops.
  ~TcpTransport() override;

  /// The port listened on.
  [[nodiscard]] std::uint16_t port() const;

  void set_listener(Listener listener) override;
  [[nodiscard]] Result<void> set_peers(std::map<replication::NodeId, std::string> peers) override;
  void outdate(const replication::Member& member, const replication::Incarnation& latest) override;
  [[nodiscard]] Result<void> send(const replication::Member& to, std::string message,
                                  replication::Flow flow = replication::Flow(0)) override;
  [[nodiscard]] Result<void> send_file(const replication::Member& to, std::string message,
                                       replication::FileRegion region,
                                       replication::Flow flow = replication::Flow(0)) override;
  [[nodiscard]] std::size_t waiting(const replication::Member& to) const override;

  /// Ends all connections and the thread. On return no call of the listener is under way, and none
  /// comes; who was connected is not told `disconnected`. Never from a call of the listener.
  void stop();

 private:
  class Impl;
  explicit TcpTransport(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace keelson::transport
