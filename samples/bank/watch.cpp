#include "samples/bank/watch.h"

#include <chrono>
#include <csignal>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "samples/bank/beast.h"

namespace bank {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using keelson::Errc;
using keelson::Error;
using keelson::fail;
using keelson::Result;
using Json = nlohmann::ordered_json;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t kCredit = 1000;
constexpr std::size_t kMessageBytesMax = 4u << 20;
constexpr std::chrono::seconds kHandshakeTimeout{10};

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// One subscription over one connection, from connecting to the last event.
class Watcher {
 public:
  Watcher(const WatchOptions& options, const std::function<void()>& on_ready,
          const std::function<void(std::string_view)>& on_event)
      : options_(options), on_ready_(on_ready), on_event_(on_event), socket_(context_) {}

  Result<void> run() {
    asio::co_spawn(context_, follow(), [this](const std::exception_ptr& thrown) {
      context_.stop();  // or the timer of an idle connection would be waited for
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    if (error_ && !interrupted_) return std::unexpected(*error_);
    return {};
  }

 private:
  /// From here on a signal ends it as if it were done. Until the server's name has been looked up
  /// it ends the process: nothing else interrupts that.
  void await_signal() {
    signals_.emplace(context_, SIGINT, SIGTERM);
    signals_->async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      interrupted_ = true;
      context_.stop();  // whatever is under way: events may flow without a pause
    });
  }

  asio::awaitable<void> follow() {
    error_ = co_await connect();
    if (error_) co_return;
    error_ = co_await send(subscribe_message());
    while (!error_ && !done_) error_ = co_await receive();
    if (error_) co_return;
    socket_.set_option(
        websocket::stream_base::timeout{kHandshakeTimeout, kHandshakeTimeout, false});
    co_await socket_.async_close(websocket::close_code::normal, kAwait);
  }

  asio::awaitable<std::optional<Error>> connect() {
    asio::ip::tcp::resolver resolver(context_);
    auto [resolve_error, endpoints] =
        co_await resolver.async_resolve(options_.url.host, options_.url.port, kAwait);
    if (resolve_error) co_return failure("looking up ", resolve_error.message());
    await_signal();
    beast::tcp_stream& tcp = beast::get_lowest_layer(socket_);
    tcp.expires_after(kHandshakeTimeout);
    const auto [connect_error, endpoint] = co_await tcp.async_connect(endpoints, kAwait);
    if (connect_error) co_return failure("connecting to ", connect_error.message());
    tcp.expires_never();  // the WebSocket has timeouts of its own: it pings when nothing comes
    socket_.set_option(
        websocket::stream_base::timeout{kHandshakeTimeout, std::chrono::seconds(60), true});
    socket_.set_option(websocket::stream_base::decorator([this](websocket::request_type& request) {
      request.set(http::field::sec_websocket_protocol, "keelson.v1.json");
      if (!options_.token.empty())
        request.set(http::field::authorization, "Bearer " + options_.token);
    }));
    socket_.read_message_max(kMessageBytesMax);
    const std::string host = options_.url.authority();
    const std::string target = "/v1/subscriptions";
    websocket::response_type response;
    const auto [error] = co_await socket_.async_handshake(response, host, target, kAwait);
    if (error == websocket::error::upgrade_declined)
      co_return failure("subscribing at ",
                        "the server answered " + std::to_string(response.result_int()));
    if (error) co_return failure("subscribing at ", error.message());
    co_return std::nullopt;
  }

  asio::awaitable<std::optional<Error>> send(std::string message) {
    socket_.text(true);
    const auto [error, bytes] = co_await socket_.async_write(asio::buffer(message), kAwait);
    if (error) co_return failure("sending to ", error.message());
    co_return std::nullopt;
  }

  /// Reads one message and deals with it.
  asio::awaitable<std::optional<Error>> receive() {
    buffer_.clear();
    const auto [error, bytes] = co_await socket_.async_read(buffer_, kAwait);
    if (error == websocket::error::closed)
      co_return failure("watching ",
                        "the server closed: " + std::string(socket_.reason().reason.c_str()));
    if (error) co_return failure("watching ", error.message());
    const std::string text = beast::buffers_to_string(buffer_.data());
    Json message = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!message.is_object()) co_return failure("watching ", "a message that is no JSON object");
    const std::string op = text_of(message, "op");
    if (op == "event") {
      message.erase("op");
      message.erase("id");
      on_event_(message.dump(-1, ' ', false, Json::error_handler_t::replace));
      done_ = ++seen_ == options_.count;
      if (!done_ && seen_ % (kCredit / 2) == 0) {
        std::string credit =
            R"({"op":"credit","id":"watch","n":)" + std::to_string(kCredit / 2) + "}";
        co_return co_await send(std::move(credit));
      }
    } else if (op == "subscribed") {
      on_ready_();
    } else if (op == "error") {
      co_return Error{Errc::bad_request,
                      text_of(message, "code") + ": " + text_of(message, "detail"), std::nullopt};
    } else if (op == "closed") {
      co_return failure("watching ", "the server ended it: " + text_of(message, "reason"));
    }
    co_return std::nullopt;
  }

  std::string subscribe_message() const {
    Json message = {{"op", "subscribe"},
                    {"id", "watch"},
                    {"topic", options_.topic},
                    {"from", options_.from},
                    {"credit", kCredit}};
    if (!options_.stream_prefix.empty()) message["stream_prefix"] = options_.stream_prefix;
    return message.dump();
  }

  Error failure(const std::string& doing, const std::string& why) const {
    return Error{Errc::io_error, doing + options_.url.authority() + ": " + why, std::nullopt};
  }

  const WatchOptions& options_;
  const std::function<void()>& on_ready_;
  const std::function<void(std::string_view)>& on_event_;
  asio::io_context context_{1};
  websocket::stream<beast::tcp_stream> socket_;
  beast::flat_buffer buffer_;
  std::optional<asio::signal_set> signals_;
  std::uint64_t seen_ = 0;
  bool done_ = false;
  bool interrupted_ = false;
  std::optional<Error> error_;
};

}  // namespace

Result<void> watch(const WatchOptions& options, const std::function<void()>& on_ready,
                   const std::function<void(std::string_view)>& on_event) {
  return Watcher(options, on_ready, on_event).run();
}

std::string describe_event(std::string_view text) {
  const Json event = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object()) return std::string(text);
  const auto number = [&event](const char* name) {
    const auto found = event.find(name);
    return found != event.end() ? found->dump() : std::string("?");
  };
  const auto data = event.find("data");
  return number("partition") + ":" + number("offset") + "  " + text_of(event, "stream") + " v" +
         number("version") + "  " + text_of(event, "type") + "  " +
         (data != event.end() ? data->dump(-1, ' ', false, Json::error_handler_t::replace) : "");
}

}  // namespace bank
