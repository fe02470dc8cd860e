#include "http/server.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <thread>

#include "http/connections.h"
#include "http/http_session.h"
#include "http/listener.h"

namespace keelson::http {

namespace asio = boost::asio;

class Server::State {
 public:
  using Guard = asio::executor_work_guard<Executor>;

  ServerOptions options;
  std::shared_ptr<Connections> connections = std::make_shared<Connections>();
  Contexts contexts;
  std::vector<Guard> guards;
  std::shared_ptr<Listener> listener;
  std::vector<std::thread> threads;

  ~State() {
    for (const auto& context : contexts) context->stop();
    for (std::thread& thread : threads) thread.join();
    // What is still open ends with its context, and the listener's socket before.
    listener.reset();
    guards.clear();
    contexts.clear();
  }

  void run() {
    for (const auto& context : contexts) {
      guards.push_back(asio::make_work_guard(*context));
      threads.emplace_back([context] { context->run(); });
      ::pthread_setname_np(threads.back().native_handle(), "keelson-http");
    }
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, const Router& router,
                                              const Authenticator& authenticator, WorkPool& work,
                                              Metrics& metrics) {
  std::shared_ptr<asio::ssl::context> tls;
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return fail(Errc::bad_request, "TLS needs both a certificate and a key");
  }
  if (!options.tls_certificate.empty()) {
    KEELSON_TRY_ASSIGN(tls, make_tls_context(options.tls_certificate, options.tls_key));
  }
  auto state = std::make_unique<State>();
  state->options = options;
  const unsigned hardware = std::max(1u, std::thread::hardware_concurrency());
  const unsigned threads = options.threads != 0 ? options.threads : hardware;
  for (unsigned i = 0; i < threads; ++i) {
    state->contexts.push_back(std::make_shared<asio::io_context>(1));
  }
  auto sessions =
      std::make_shared<SessionEnvironment>(options, router, authenticator, work, metrics);
  KEELSON_TRY_ASSIGN(state->listener, Listener::open(options, state->contexts, std::move(sessions),
                                                     state->connections, std::move(tls)));
  metrics.add(
      Metrics::Kind::gauge, "keelson_http_connections", "Open connections",
      [connections = state->connections] {
        return std::vector<Metrics::Sample>{{{}, static_cast<double>(connections->count())}};
      });
  state->listener->start();
  state->run();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

std::uint16_t Server::port() const { return state_->listener->endpoint().port(); }

std::string Server::url() const {
  const auto endpoint = state_->listener->endpoint();
  const std::string address = endpoint.address().to_string();
  return std::string(state_->options.tls_certificate.empty() ? "http://" : "https://") +
         (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" +
         std::to_string(endpoint.port());
}

std::size_t Server::connections() const { return state_->connections->count(); }

bool Server::stop() {
  state_->listener->stop();
  state_->connections->stop_all();
  return state_->connections->wait_until_gone(state_->options.stop_timeout);
}

}  // namespace keelson::http
