#include "http/server.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <future>
#include <memory>
#include <thread>

#include "http/connections.h"
#include "http/http_session.h"
#include "http/listener.h"

namespace keelson::http {

namespace asio = boost::asio;

namespace {

/// A context that ends where its owner does. Whoever answers from another thread holds it while it
/// hands the answer over; were that the last to hold it, all sessions would be destroyed there.
class OwnedContext {
 public:
  OwnedContext() {
    auto released = std::make_shared<std::promise<void>>();
    released_ = released->get_future();
    handle_ = std::shared_ptr<asio::io_context>(
        &context_, [released = std::move(released)](asio::io_context*) { released->set_value(); });
  }
  /// Waits for who hands something over just now; nobody can begin to any more.
  ~OwnedContext() {
    handle_.reset();
    released_.wait();
  }
  OwnedContext(const OwnedContext&) = delete;
  OwnedContext& operator=(const OwnedContext&) = delete;

  [[nodiscard]] const std::shared_ptr<asio::io_context>& handle() const { return handle_; }

 private:
  asio::io_context context_{1};
  std::future<void> released_;
  std::shared_ptr<asio::io_context> handle_;
};

}  // namespace

class Server::State {
 public:
  using Guard = asio::executor_work_guard<Executor>;

  ServerOptions options;
  std::shared_ptr<Connections> connections = std::make_shared<Connections>();
  std::vector<std::unique_ptr<OwnedContext>> owned_contexts;
  Contexts contexts;  ///< their handles
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
    owned_contexts.clear();
  }

  void run() {
    for (const auto& context : contexts) {
      guards.push_back(asio::make_work_guard(*context));
      threads.emplace_back([running = context.get()] { running->run(); });
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
    state->owned_contexts.push_back(std::make_unique<OwnedContext>());
    state->contexts.push_back(state->owned_contexts.back()->handle());
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
