// The bytes of one connection, with or without TLS. Private to the library.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/replication/transport.h"
#include "engine/transport/asio.h"
#include "engine/transport/handshake.h"

namespace keelson::transport {

/// A socket, and TLS over it if there is a context for that. One reader and one writer at a time,
/// on the thread of its executor; `close` ends what they wait for.
class Wire {
 public:
  /// @param tls  may be null: plain TCP.
  Wire(const asio::any_io_executor& executor, asio::ssl::context* tls);

  [[nodiscard]] tcp::socket& socket() { return socket_; }
  /// After it is connected: small writes go out at once, and a peer that is gone is noticed.
  void tune(std::chrono::milliseconds dead_peer);
  /// Of the other side, for a log.
  [[nodiscard]] const std::string& remote() const { return remote_; }

  /// The one of TLS, if there is TLS.
  [[nodiscard]] Awaitable<Result<void>> shake_hands(Side side);
  /// @return 0 at the end: the other side has closed.
  [[nodiscard]] Awaitable<Result<std::size_t>> read_some(char* to, std::size_t length);
  /// All of them.
  [[nodiscard]] Awaitable<Result<void>> write(std::vector<asio::const_buffer> buffers);
  [[nodiscard]] Awaitable<Result<void>> write(std::string bytes);
  [[nodiscard]] Awaitable<Result<void>> write(replication::FileRegion region);

  void close();
  [[nodiscard]] bool closed() const { return !socket_.is_open(); }

 private:
  /// Parts of a region: without a copy, and by one that TLS can encrypt.
  [[nodiscard]] Awaitable<Result<std::size_t>> send(replication::FileRegion region,
                                                    std::size_t length);
  [[nodiscard]] Awaitable<Result<std::size_t>> copy(replication::FileRegion region,
                                                    std::size_t length);

  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  std::string remote_;
};

/// Closes a wire that takes too long, unless it is destroyed before.
class Deadline {
 public:
  Deadline(std::chrono::nanoseconds after, std::shared_ptr<Wire> wire);
  ~Deadline() { state_->armed = false; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  [[nodiscard]] bool expired() const { return state_->expired; }

 private:
  struct State {
    bool armed = true;
    bool expired = false;
  };
  std::shared_ptr<State> state_;
  asio::steady_timer timer_;
};

struct TlsFiles;

/// For both sides of connections between nodes: each must show a certificate of the same authority.
/// @error bad_request  a file cannot be used.
[[nodiscard]] Result<std::unique_ptr<asio::ssl::context>> make_tls_context(const TlsFiles& files);

}  // namespace keelson::transport
