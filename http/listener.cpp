#include "http/listener.h"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace keelson::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});
/// Connections over the limit that are still told why.
constexpr std::size_t kRefusedMax = 64;
/// Out of file descriptors, say: trying again at once would only burn the processor.
constexpr std::chrono::milliseconds kAcceptPause{50};

}  // namespace

Listener::Listener(Acceptor acceptor, const Contexts& contexts,
                   std::shared_ptr<SessionEnvironment> sessions,
                   std::shared_ptr<Connections> connections,
                   std::shared_ptr<asio::ssl::context> tls)
    : acceptor_(std::move(acceptor)),
      endpoint_(acceptor_.local_endpoint()),
      sessions_(std::move(sessions)),
      connections_(std::move(connections)),
      tls_(std::move(tls)) {
  for (const auto& context : contexts) {
    homes_.push_back({context->get_executor(), HomeThread(context)});
  }
}

Result<std::shared_ptr<Listener>> Listener::open(const ServerOptions& options,
                                                 const Contexts& contexts,
                                                 std::shared_ptr<SessionEnvironment> sessions,
                                                 std::shared_ptr<Connections> connections,
                                                 std::shared_ptr<asio::ssl::context> tls) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    return fail(Errc::bad_request,
                "'" + options.address + "' is not a numeric address to listen on");
  }
  const tcp::endpoint endpoint(address, options.port);
  Acceptor acceptor(contexts.front()->get_executor());
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(Errc::bad_request, "cannot listen on " + options.address + " port " +
                                       std::to_string(options.port) + ": " + error.message());
  }
  return std::shared_ptr<Listener>(new Listener(std::move(acceptor), contexts, std::move(sessions),
                                                std::move(connections), std::move(tls)));
}

void Listener::start() {
  asio::co_spawn(acceptor_.get_executor(), accept(),
                 [self = shared_from_this()](const std::exception_ptr& thrown) {
                   if (thrown) spdlog::critical("accepting connections has failed");
                 });
}

void Listener::stop() {
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    boost::system::error_code ignored;
    self->acceptor_.close(ignored);
  });
}

Awaitable<void> Listener::accept() {
  while (acceptor_.is_open()) {
    const Home& home = homes_[next_home_];
    next_home_ = (next_home_ + 1) % homes_.size();
    PlainStream socket(home.executor);
    auto [error] = co_await acceptor_.async_accept(socket, kAwait);
    if (!error) {
      serve(std::move(socket), home);
      continue;
    }
    if (!acceptor_.is_open()) break;
    spdlog::warn("cannot accept a connection: {}", error.message());
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Executor>
        pause(acceptor_.get_executor(), kAcceptPause);
    co_await pause.async_wait(kAwait);
  }
}

void Listener::serve(PlainStream socket, const Home& home) {
  boost::system::error_code ignored;
  const std::size_t open = connections_->count();
  const std::size_t most = sessions_->options.connections_max;
  if (open >= most + kRefusedMax) return;
  const auto entry = open >= most ? HttpSession::Entry::refuse : HttpSession::Entry::serve;
  socket.set_option(tcp::no_delay(true), ignored);
  std::unique_ptr<Wire> wire =
      tls_ ? make_wire(TlsStream(std::move(socket), *tls_)) : make_wire(std::move(socket));
  auto session = std::make_shared<HttpSession>(sessions_, home.thread, std::move(wire),
                                               connections_->add(home.executor), entry);
  // Handed over whole: a session must not be destroyed here when it ends before this returns.
  asio::post(home.executor, [session = std::move(session)] { session->start(); });
}

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const std::string& certificate_file,
                                                             const std::string& key_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  boost::system::error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                           asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1,
                       error);
  context->use_certificate_chain_file(certificate_file, error);
  if (error) {
    return fail(Errc::bad_request,
                "cannot use the TLS certificate '" + certificate_file + "': " + error.message());
  }
  context->use_private_key_file(key_file, asio::ssl::context::pem, error);
  if (error) {
    return fail(Errc::bad_request, "cannot use the TLS key '" + key_file + "': " + error.message());
  }
  return context;
}

}  // namespace keelson::http
