// The server: threads, a listening socket, and every connection that came through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "http/server_options.h"

namespace keelson::http {

class Authenticator;
class Metrics;
class Router;
class WorkPool;

/// Each thread has its own io_context, and a connection stays on the one it was given at first: its
/// state needs no locks, and handlers that finish elsewhere post back to it.
///
/// Who owns what: a session is held by its operations in its context, and the contexts by the
/// server alone. Nothing outside of a context holds one, nor a session, a socket or an executor;
/// what is on another thread (work pool, timers, engine) has a `HomeThread` and a weak reference.
/// Hence the end: the contexts stop and their threads are joined; then, on the thread that destroys
/// the server, each context is destroyed once nobody is handing something over to it, and with it
/// every session that is still open. What others have in hand for those sessions goes nowhere, and
/// may be destroyed later than the server.
class Server {
 public:
  /// Listens and serves from here on. What it is given must outlive it.
  /// @error bad_request  an address, a port or a TLS file that cannot be used.
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(const ServerOptions& options,
                                                             const Router& router,
                                                             const Authenticator& authenticator,
                                                             WorkPool& work, Metrics& metrics);
  /// Stops at once, cutting what is open; see `stop`.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  /// `http://127.0.0.1:8080`
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::size_t connections() const;

  /// Stops accepting, answers every request in work, then closes; cuts what is still open
  /// after `ServerOptions::stop_timeout`. Returns when every connection is gone. Call once.
  /// @return whether nothing had to be cut.
  bool stop();

 private:
  class State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace keelson::http
