// A connection whose other side is known. Private to the library.
#pragma once

#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/replication/transport.h"
#include "engine/transport/asio.h"
#include "engine/transport/frame.h"
#include "engine/transport/outbox.h"
#include "engine/transport/wire.h"

namespace keelson::transport {

/// Who is at the other side, as it has proved.
struct Peer {
  Member member;
  Incarnation incarnation;
};

/// Reads frames for the listener and writes what is in the outbox, each in a coroutine that runs
/// until the connection ends. Belongs to the transport's thread; the outbox is for all.
class Link {
 public:
  /// @param parser  with the rules of this connection.
  /// @param unread  what came after the handshake, and has been read.
  Link(std::shared_ptr<Wire> wire, Peer peer, std::shared_ptr<Outbox> outbox, FrameParser parser,
       std::string unread);

  [[nodiscard]] const Member& peer() const { return peer_.member; }
  [[nodiscard]] const Incarnation& incarnation() const { return peer_.incarnation; }
  [[nodiscard]] const std::shared_ptr<Outbox>& outbox() const { return outbox_; }
  [[nodiscard]] const Wire& wire() const { return *wire_; }

  /// Give everything to `listener`, and write everything, until the connection ends; the error says
  /// why. The link and the listener must live as long.
  [[nodiscard]] Awaitable<Error> read(const replication::Transport::Listener& listener);
  [[nodiscard]] Awaitable<Error> write();

  /// Something is in the outbox.
  void wake() { wake_.cancel(); }
  /// Nothing is delivered from here on.
  void close();
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  [[nodiscard]] Result<void> deliver(std::string_view bytes,
                                     const replication::Transport::Listener& listener);

  const std::shared_ptr<Wire> wire_;
  const Peer peer_;
  const std::shared_ptr<Outbox> outbox_;
  FrameParser parser_;
  std::string unread_;
  asio::steady_timer wake_;  ///< never expires: what cancels it wakes the writer
  bool closed_ = false;
};

}  // namespace keelson::transport
