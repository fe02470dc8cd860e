// Whether a request to become a WebSocket is granted. Private to the library: it shows Beast.
#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <expected>

#include "http/problem.h"
#include "http/upgrade.h"

namespace keelson::http {

/// A request that is granted.
struct Handshake {
  using HttpRequest = boost::beast::http::request<boost::beast::http::empty_body>;
  HttpRequest request;
  /// The client named the subprotocol; one that names none is taken to mean it.
  bool subprotocol = false;
};

/// Refuses a client that offers other subprotocols only, and a page of another site: a browser
/// sends `Origin` and lets any page connect anywhere, with what it knows of its user, so it is the
/// server that must compare it with `Host` (RFC 6455, section 10.2).
[[nodiscard]] std::expected<Handshake, Problem> check_handshake(Handshake::HttpRequest request);

/// Answers with the problem and closes the connection.
void refuse_handshake(Upgrade&& upgrade, const Problem& problem);

}  // namespace keelson::http
