#include "http/wire.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <tuple>
#include <type_traits>

namespace keelson::http {

namespace {

namespace asio = boost::asio;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});

template <class Stream>
class StreamWire final : public Wire {
 public:
  explicit StreamWire(Stream stream) : stream_(std::move(stream)) {}

  Executor executor() override { return socket().get_executor(); }

  Awaitable<Transferred> handshake() override {
    Transferred done;
    if constexpr (kTls) {
      std::tie(done.error) =
          co_await stream_.async_handshake(asio::ssl::stream_base::server, kAwait);
    }
    co_return done;
  }

  Awaitable<Transferred> read_some(asio::mutable_buffer into) override {
    Transferred done;
    std::tie(done.error, done.bytes) = co_await stream_.async_read_some(into, kAwait);
    co_return done;
  }

  Awaitable<Transferred> write_some(asio::const_buffer bytes) override {
    Transferred done;
    std::tie(done.error, done.bytes) = co_await stream_.async_write_some(bytes, kAwait);
    co_return done;
  }

  std::size_t write_at_once(std::string_view bytes) override {
    if constexpr (kTls) return 0;
    // Not by way of Asio, which would wait when the socket is full.
    const ssize_t sent =
        ::send(socket().native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  Awaitable<Transferred> finish_writing() override {
    Transferred done;
    if constexpr (kTls) {
      std::tie(done.error) = co_await stream_.async_shutdown(kAwait);
    }
    boost::system::error_code ignored;
    socket().shutdown(asio::socket_base::shutdown_send, ignored);
    co_return done;
  }

  void stop_reading() override {
    boost::system::error_code ignored;
    socket().shutdown(asio::socket_base::shutdown_receive, ignored);
  }

  void close() override {
    boost::system::error_code ignored;
    socket().close(ignored);
  }

  AnyStream release() override { return AnyStream(std::move(stream_)); }

 private:
  static constexpr bool kTls = std::is_same_v<Stream, TlsStream>;

  PlainStream& socket() {
    if constexpr (kTls) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  Stream stream_;
};

}  // namespace

std::unique_ptr<Wire> make_wire(PlainStream stream) {
  return std::make_unique<StreamWire<PlainStream>>(std::move(stream));
}

std::unique_ptr<Wire> make_wire(TlsStream stream) {
  return std::make_unique<StreamWire<TlsStream>>(std::move(stream));
}

}  // namespace keelson::http
