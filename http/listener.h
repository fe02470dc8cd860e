// Accepts connections and spreads them over the threads. Private to the library.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <vector>

#include "engine/base/result.h"
#include "http/connections.h"
#include "http/http_session.h"

namespace keelson::http {

/// Owned by the server alone: what runs in a context must not keep it alive.
using Contexts = std::vector<std::shared_ptr<boost::asio::io_context>>;

/// Lives on the first context's thread. At the limit of connections newcomers get a 503; some way
/// past it, nothing but a close, so that refusing stays cheap.
class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// @error bad_request  the address is not numeric, or cannot be listened on.
  [[nodiscard]] static Result<std::shared_ptr<Listener>> open(
      const ServerOptions& options, const Contexts& contexts,
      std::shared_ptr<SessionEnvironment> sessions, std::shared_ptr<Connections> connections,
      std::shared_ptr<boost::asio::ssl::context> tls);

  [[nodiscard]] boost::asio::ip::tcp::endpoint endpoint() const { return endpoint_; }
  /// From any thread, before the contexts run.
  void start();
  /// From any thread; accepting ends soon after.
  void stop();

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, Executor>;

  Listener(Acceptor acceptor, const Contexts& contexts,
           std::shared_ptr<SessionEnvironment> sessions, std::shared_ptr<Connections> connections,
           std::shared_ptr<boost::asio::ssl::context> tls);
  Awaitable<void> accept();
  struct Home {
    Executor executor;
    HomeThread thread;
  };
  void serve(PlainStream socket, const Home& home);

  Acceptor acceptor_;
  const boost::asio::ip::tcp::endpoint endpoint_;
  std::vector<Home> homes_;
  std::size_t next_home_ = 0;
  const std::shared_ptr<SessionEnvironment> sessions_;
  const std::shared_ptr<Connections> connections_;
  const std::shared_ptr<boost::asio::ssl::context> tls_;
};

/// A context for TLS 1.2 and later from PEM files.
/// @error bad_request  a file that cannot be used.
[[nodiscard]] Result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(
    const std::string& certificate_file, const std::string& key_file);

}  // namespace keelson::http
