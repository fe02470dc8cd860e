#include "http/corked_stream.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <optional>
#include <string>

using namespace keelson::http;
namespace asio = boost::asio;

namespace {

using Socket =
    asio::basic_stream_socket<asio::local::stream_protocol, asio::io_context::executor_type>;

/// As a WebSocket session is: it owns the stream, and is held by its operations in flight.
struct Owner {
  explicit Owner(Socket socket) : stream(std::move(socket)) {}
  CorkedStream<Socket> stream;
};

/// An owner whose client takes nothing.
struct Stuck {
  std::optional<asio::io_context> context{std::in_place};
  std::optional<Socket> client{context->get_executor()};
  std::shared_ptr<Owner> owner;
  int completed = 0;

  Stuck() {
    Socket server(context->get_executor());
    asio::local::connect_pair(server, *client);
    owner = std::make_shared<Owner>(std::move(server));
    owner->stream.set_owner(owner);
  }
  /// What Beast writes, more than the socket takes.
  void write() {
    const std::string bytes(4u << 20, 'x');
    owner->stream.async_write_some(
        asio::buffer(bytes),
        [this, held = owner](boost::system::error_code, std::size_t) { ++completed; });
  }
};

}  // namespace

TEST_CASE("corked stream: a context that ends lets go of a write in flight and of who waits") {
  for (const int writes : {1, 2}) {
    CAPTURE(writes);
    Stuck stuck;
    // The first is in flight, the second waits for it.
    for (int i = 0; i < writes; ++i) stuck.write();
    stuck.context->poll();
    REQUIRE(stuck.completed == 0);
    const std::weak_ptr<Owner> gone = std::exchange(stuck.owner, nullptr);
    REQUIRE_FALSE(gone.expired());
    stuck.client.reset();
    stuck.context.reset();
    CHECK(gone.expired());
    CHECK(stuck.completed == 0);
  }
}
