#include "engine/transport/wire.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "engine/io/file_system.h"
#include "engine/transport/tcp_transport.h"

namespace keelson::transport {

namespace {

/// Of a file, sent at a time; also what is held in memory where it cannot go straight to the
/// socket.
constexpr std::size_t kPieceBytes = 256u << 10;
/// Without a sign of life the connection is probed this many times.
constexpr int kProbes = 3;

std::unexpected<Error> failed(const char* what, const error_code& error) {
  return fail(Errc::io_error, std::string(what) + ": " + error.message());
}

std::string to_text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

}  // namespace

Wire::Wire(const asio::any_io_executor& executor, asio::ssl::context* tls) : socket_(executor) {
  if (tls != nullptr) tls_.emplace(socket_, *tls);
}

void Wire::tune(std::chrono::milliseconds dead_peer) {
  error_code ignored;
  const tcp::endpoint remote = socket_.remote_endpoint(ignored);
  remote_ = to_text(remote);
  socket_.set_option(tcp::no_delay(true), ignored);
  const int socket = socket_.native_handle();
  const auto set = [socket](int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof value);
  };
  // While nothing is under way the kernel asks; while something is, it waits for its arrival.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(dead_peer).count();
  const int interval = std::max(1, static_cast<int>(seconds) / (kProbes + 1));
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, interval);
  set(IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(dead_peer.count()));
}

Awaitable<Result<void>> Wire::shake_hands(Side side) {
  if (!tls_) co_return Result<void>{};
  const auto role =
      side == Side::dialler ? asio::ssl::stream_base::client : asio::ssl::stream_base::server;
  const auto [error] = co_await tls_->async_handshake(role, kAwait);
  if (error) co_return failed("TLS", error);
  co_return Result<void>{};
}

Awaitable<Result<std::size_t>> Wire::read_some(char* to, std::size_t length) {
  error_code error;
  std::size_t got = 0;
  if (tls_) {
    std::tie(error, got) = co_await tls_->async_read_some(asio::buffer(to, length), kAwait);
  } else {
    std::tie(error, got) = co_await socket_.async_read_some(asio::buffer(to, length), kAwait);
  }
  // Frames say where they end, so that an end without TLS's farewell can hide nothing.
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) co_return 0u;
  if (error) co_return failed("read", error);
  co_return got;
}

Awaitable<Result<void>> Wire::write(std::vector<asio::const_buffer> buffers) {
  error_code error;
  std::size_t put = 0;
  if (tls_) {
    std::tie(error, put) = co_await asio::async_write(*tls_, buffers, kAwait);
  } else {
    std::tie(error, put) = co_await asio::async_write(socket_, buffers, kAwait);
  }
  if (error) co_return failed("write", error);
  co_return Result<void>{};
}

Awaitable<Result<void>> Wire::write(std::string bytes) {
  std::vector<asio::const_buffer> buffers{asio::buffer(bytes)};
  co_return co_await write(std::move(buffers));
}

Awaitable<Result<void>> Wire::write(replication::FileRegion region) {
  while (region.length > 0) {
    const std::size_t piece = std::min<std::size_t>(region.length, kPieceBytes);
    Result<std::size_t> sent = 0;
    if (tls_) {
      sent = co_await copy(region, piece);
    } else {
      sent = co_await send(region, piece);
    }
    if (!sent) co_return std::unexpected(std::move(sent).error());
    region.position += *sent;
    region.length -= static_cast<std::uint32_t>(*sent);
    // A socket that takes all of it at once must not keep the thread from the others.
    co_await asio::post(socket_.get_executor(), kAwait);
  }
  co_return Result<void>{};
}

Awaitable<Result<std::size_t>> Wire::send(replication::FileRegion region, std::size_t length) {
  error_code error;
  socket_.native_non_blocking(true, error);
  while (!error) {
    auto sent = region.file->send_to(socket_.native_handle(), region.position, length);
    if (!sent || *sent > 0) co_return sent;
    std::tie(error) = co_await socket_.async_wait(tcp::socket::wait_write, kAwait);
  }
  co_return failed("write", error);
}

Awaitable<Result<std::size_t>> Wire::copy(replication::FileRegion region, std::size_t length) {
  auto bytes = region.file->read_at(region.position, length);
  if (!bytes) co_return std::unexpected(std::move(bytes).error());
  if (auto good = co_await write(*std::move(bytes)); !good) {
    co_return std::unexpected(std::move(good).error());
  }
  co_return length;
}

void Wire::close() {
  error_code ignored;
  socket_.close(ignored);
}

Deadline::Deadline(std::chrono::nanoseconds after, std::shared_ptr<Wire> wire)
    : state_(std::make_shared<State>()),
      timer_(wire->socket().get_executor(),
             std::chrono::duration_cast<asio::steady_timer::duration>(after)) {
  timer_.async_wait([state = state_, wire = std::move(wire)](const error_code& error) {
    if (error || !state->armed) return;
    state->expired = true;
    wire->close();
  });
}

Result<std::unique_ptr<asio::ssl::context>> make_tls_context(const TlsFiles& files) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls);
  // Both sides are Keelson's: nothing older is needed.
  ::SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_3_VERSION);
  // A connection lasts; to resume one would spare nothing, and skip the certificates.
  ::SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(context->native_handle(), 0);
  error_code error;
  context->use_certificate_chain_file(files.certificate_file, error);
  if (error) {
    return fail(Errc::bad_request, "cannot use the TLS certificate '" + files.certificate_file +
                                       "': " + error.message());
  }
  context->use_private_key_file(files.key_file, asio::ssl::context::pem, error);
  if (error) {
    return fail(Errc::bad_request,
                "cannot use the TLS key '" + files.key_file + "': " + error.message());
  }
  context->load_verify_file(files.authority_file, error);
  if (error) {
    return fail(Errc::bad_request,
                "cannot use the TLS authority '" + files.authority_file + "': " + error.message());
  }
  context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, error);
  if (error) return fail(Errc::bad_request, "TLS: " + error.message());
  return context;
}

}  // namespace keelson::transport
