#include "samples/bank/http_client.h"

#include <charconv>
#include <utility>

#include "samples/bank/beast.h"

namespace bank {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using keelson::Errc;
using keelson::Error;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t kHeaderBytesMax = 64u << 10;

/// Appends a message as it goes over the wire.
void append_message(std::string& wire, http::request<http::string_body>& message) {
  http::request_serializer<http::string_body> serializer(message);
  beast::error_code error;
  while (!serializer.is_done()) {
    serializer.next(error, [&](beast::error_code&, const auto& buffers) {
      wire += beast::buffers_to_string(buffers);
      serializer.consume(beast::buffer_bytes(buffers));
    });
  }
}

std::optional<std::chrono::seconds> parse_seconds(std::string_view text) {
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::chrono::seconds(seconds);
}

HttpAnswer to_answer(http::response<http::string_body>&& response) {
  HttpAnswer answer;
  answer.status = response.result_int();
  answer.replayed = response["Idempotency-Replayed"] == "true";
  answer.retry_after = parse_seconds(response[http::field::retry_after]);
  answer.body = std::move(response.body());
  return answer;
}

}  // namespace

struct HttpClient::Connection {
  explicit Connection(asio::io_context& context) : stream(context) {}
  beast::tcp_stream stream;
  beast::flat_buffer buffer;
};

HttpClient::HttpClient(asio::io_context& context, HttpClientOptions options)
    : context_(context), options_(std::move(options)) {}

HttpClient::~HttpClient() = default;

void HttpClient::disconnect() { connection_.reset(); }

asio::awaitable<HttpClient::Exchange> HttpClient::exchange(std::vector<HttpRequest> requests) {
  Exchange result;
  if (!connection_) {
    result.lost = co_await connect();
    if (result.lost) co_return result;
  }
  const std::string wire = serialize(requests);
  connection_->stream.expires_after(options_.timeout);
  const auto [write_error, written] =
      co_await asio::async_write(connection_->stream, asio::buffer(wire), kAwait);
  if (write_error) {
    // The server may have answered before it closed, but what it read of these is not known.
    result.lost = lost("sending to ", write_error.message());
    disconnect();
    co_return result;
  }
  while (result.answers.size() < requests.size()) {
    http::response_parser<http::string_body> parser;
    parser.body_limit(options_.answer_bytes_max);
    parser.header_limit(kHeaderBytesMax);
    connection_->stream.expires_after(options_.timeout);
    const auto [read_error, read] =
        co_await http::async_read(connection_->stream, connection_->buffer, parser, kAwait);
    if (read_error) {
      result.lost = lost("waiting for an answer from ", read_error.message());
      disconnect();
      co_return result;
    }
    const bool more_may_follow = parser.keep_alive();
    result.answers.push_back(to_answer(parser.release()));
    if (!more_may_follow) {
      disconnect();
      if (result.answers.size() < requests.size())
        result.lost = lost("waiting for an answer from ", "the server closed the connection");
      co_return result;
    }
  }
  co_return result;
}

asio::awaitable<std::optional<Error>> HttpClient::connect() {
  asio::ip::tcp::resolver resolver(context_);
  auto [resolve_error, endpoints] =
      co_await resolver.async_resolve(options_.url.host, options_.url.port, kAwait);
  if (resolve_error) co_return lost("looking up ", resolve_error.message());

  auto connection = std::make_unique<Connection>(context_);
  connection->stream.expires_after(options_.timeout);
  const auto [connect_error, endpoint] =
      co_await connection->stream.async_connect(endpoints, kAwait);
  if (connect_error) co_return lost("connecting to ", connect_error.message());
  beast::error_code ignored;  // only latency suffers
  connection->stream.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  connection_ = std::move(connection);
  co_return std::nullopt;
}

std::string HttpClient::serialize(const std::vector<HttpRequest>& requests) const {
  std::string wire;
  for (const HttpRequest& request : requests) {
    http::request<http::string_body> message;
    message.method_string(request.method);
    message.target(request.target);
    message.version(11);
    message.set(http::field::host, options_.url.authority());
    message.set(http::field::user_agent, "keelson-bank");
    if (!options_.token.empty())
      message.set(http::field::authorization, "Bearer " + options_.token);
    if (!request.idempotency_key.empty()) message.set("Idempotency-Key", request.idempotency_key);
    if (!request.body.empty()) {
      message.set(http::field::content_type, request.content_type);
      message.body() = request.body;
    }
    message.prepare_payload();
    append_message(wire, message);
  }
  return wire;
}

Error HttpClient::lost(const std::string& doing, const std::string& why) const {
  return Error{Errc::io_error, doing + options_.url.authority() + ": " + why, std::nullopt};
}

}  // namespace bank
