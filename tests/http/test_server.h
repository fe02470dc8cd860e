// A server with routes of a test, on a free port.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "http/auth.h"
#include "http/metrics.h"
#include "http/router.h"
#include "http/server.h"
#include "http/work_pool.h"
#include "tests/http/raw_client.h"

namespace keelson::http::test {

class TestServer {
 public:
  explicit TestServer(const std::function<void(Router&)>& routes, ServerOptions options = {},
                      Authenticator authenticator = {})
      : authenticator_(std::move(authenticator)) {
    routes(router_);
    options.threads = 2;
    auto started = Server::start(options, router_, authenticator_, work_, metrics_);
    if (!started) throw std::runtime_error(started.error().message());
    server_ = *std::move(started);
  }

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] Server& server() { return *server_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }

 private:
  Router router_;
  Authenticator authenticator_;
  Metrics metrics_;
  ThreadWorkPool work_{2, 16};
  std::unique_ptr<Server> server_;
};

/// A route open to everyone.
inline RouteOptions open_route() {
  RouteOptions options;
  options.role.reset();
  return options;
}

/// Answers with the request's body.
inline void echo(Request request, Responder responder) {
  responder.send(Response::text(200, std::move(request.body)));
}

}  // namespace keelson::http::test
