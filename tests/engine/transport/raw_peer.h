// The other side of a connection, by hand: it says what a transport would not.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/random.h"
#include "engine/transport/frame.h"
#include "engine/transport/handshake.h"
#include "tests/engine/transport/test_node.h"

namespace keelson::test {

/// A blocking socket.
class RawSocket {
 public:
  explicit RawSocket(int socket) : socket_(socket) {
    REQUIRE(socket_ >= 0);
    const timeval patience{kPatience.count(), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  ~RawSocket() { close(); }
  RawSocket(RawSocket&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  RawSocket& operator=(RawSocket&&) = delete;

  static RawSocket dial(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    RawSocket opened(socket);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return opened;
  }

  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      REQUIRE(put > 0);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  /// What comes next; empty: the other side has closed.
  [[nodiscard]] std::string read() const {
    std::string bytes(64 << 10, '\0');
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    const bool reset = got < 0 && errno == ECONNRESET;
    REQUIRE((got >= 0 || reset));  // else it took too long
    bytes.resize(reset ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }
  /// Reads all until the other side closes.
  [[nodiscard]] std::string read_to_end() const {
    std::string all;
    for (std::string part = read(); !part.empty(); part = read()) all += part;
    return all;
  }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

 private:
  int socket_;
};

/// A dialler that knows the protocol.
class RawPeer {
 public:
  RawPeer(transport::Identity identity, std::uint16_t port)
      : identity_(std::move(identity)),
        socket_(RawSocket::dial(port)),
        handshake_(
            identity_, transport::Side::dialler,
            [](const Member&, const auto&) { return Result<void>(); }, random_) {}
  RawPeer(const Member& self, std::uint16_t port, std::uint64_t start = 0)
      : RawPeer({"test", make_options(self).secret, self, {start, {}}}, port) {}

  /// The whole handshake. @error  why it failed, as this side sees it.
  Result<void> shake_hands() {
    socket_.write(handshake_.begin());
    while (true) {
      KEELSON_TRY_ASSIGN(const std::optional<transport::Frame> frame, read_frame());
      if (!frame) return fail(Errc::closed, "closed");
      KEELSON_TRY_ASSIGN(const auto step, handshake_.on_frame(*frame));
      socket_.write(step.send);
      if (step.done) break;
    }
    parser_.set_rules({handshake_.seed_in(), 64u << 20, 8u << 20});
    return {};
  }

  /// The bytes of a message as this peer would send it.
  [[nodiscard]] std::string frame(std::string_view message) const {
    return transport::encode_frame(transport::FrameKind::message, handshake_.seed_out(), message);
  }
  [[nodiscard]] std::uint64_t seed_out() const { return handshake_.seed_out(); }
  [[nodiscard]] RawSocket& socket() { return socket_; }

  /// Nothing: the other side has closed.
  Result<std::optional<transport::Frame>> read_frame() {
    while (true) {
      std::string_view bytes = unread_;
      KEELSON_TRY_ASSIGN(auto frame, parser_.take(bytes));
      unread_ = std::string(bytes);
      if (frame) return frame;
      unread_ = socket_.read();
      if (unread_.empty()) return std::nullopt;
    }
  }

 private:
  const transport::Identity identity_;
  SystemRandom random_;
  RawSocket socket_;
  transport::Handshake handshake_;
  transport::FrameParser parser_{transport::FrameRules{}};
  std::string unread_;
};

}  // namespace keelson::test
