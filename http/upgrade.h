// How a connection leaves HTTP for WebSocket. Private to the library: it shows Beast.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <memory>
#include <variant>

#include "http/home_thread.h"
#include "http/request.h"

namespace keelson::http {

/// A connection lives on one thread, that of its io_context: whatever completes elsewhere posts
/// there, and nothing of a connection needs a lock.
using Executor = boost::asio::io_context::executor_type;
using PlainStream = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;
using TlsStream = boost::asio::ssl::stream<PlainStream>;
using AnyStream = std::variant<PlainStream, TlsStream>;

/// An authorised request to upgrade, with the connection moved out of the HTTP session. The handler
/// is called on the connection's thread and owns it all from then on. It answers the handshake
/// itself: `websocket::stream::async_accept(handshake)`.
struct Upgrade {
  Request
      request;  ///< `request.interrupted` fires, on this thread, when the server stops: close 1001
  boost::beast::http::request<boost::beast::http::empty_body> handshake;
  AnyStream stream;
  HomeThread home;               ///< the stream's thread, for whoever is on another
  std::shared_ptr<void> ticket;  ///< the place among the connections counted; drop it at the end
};

}  // namespace keelson::http
