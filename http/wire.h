// A connection's bytes, with or without TLS. Private to the library.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string_view>

#include "http/upgrade.h"

namespace keelson::http {

template <class T>
using Awaitable = boost::asio::awaitable<T, Executor>;

/// What one read or write did. End of stream is an error here, as in Asio.
struct Transferred {
  boost::system::error_code error;
  std::size_t bytes = 0;
};

/// Hides which stream it is from the session, so that the session is compiled once. One read and
/// one write may be under way at a time. Not thread-safe: everything on the connection's thread.
class Wire {
 public:
  virtual ~Wire() = default;
  [[nodiscard]] virtual Executor executor() = 0;
  /// The TLS handshake; nothing without TLS.
  [[nodiscard]] virtual Awaitable<Transferred> handshake() = 0;
  [[nodiscard]] virtual Awaitable<Transferred> read_some(boost::asio::mutable_buffer into) = 0;
  [[nodiscard]] virtual Awaitable<Transferred> write_some(boost::asio::const_buffer bytes) = 0;
  /// Writes what can be written at once, with no other write under way. @return how many bytes; 0
  /// as well when it failed, which the next `write_some` shows, and always with TLS.
  [[nodiscard]] virtual std::size_t write_at_once(std::string_view bytes) = 0;
  /// Tells the client that nothing more will come. With TLS it waits for the client to agree: bound
  /// the time, and have no read under way.
  [[nodiscard]] virtual Awaitable<Transferred> finish_writing() = 0;
  /// Lets a pending and every later read end, once what has already arrived is read; writing goes
  /// on.
  virtual void stop_reading() = 0;
  /// Ends everything at once.
  virtual void close() = 0;
  /// Gives the stream away; the wire must not be used any more.
  [[nodiscard]] virtual AnyStream release() = 0;
};

[[nodiscard]] std::unique_ptr<Wire> make_wire(PlainStream stream);
[[nodiscard]] std::unique_ptr<Wire> make_wire(TlsStream stream);

}  // namespace keelson::http
