#include "http/etcd/etcd_client.h"

#include <openssl/evp.h>

#include <utility>

namespace keelson::http {

namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

constexpr std::string_view kScheme = "http://";
constexpr std::size_t kAnswerBytesMax = 64u << 20;
constexpr std::size_t kReadBytes = 16u << 10;

using HttpRequest = beast::http::request<beast::http::string_body>;

HttpRequest make_request(const EtcdEndpoint& endpoint, const std::string& path, std::string body) {
  HttpRequest request{beast::http::verb::post, path, 11};
  request.set(beast::http::field::host, endpoint.host + ":" + endpoint.port);
  request.set(beast::http::field::content_type, "application/json");
  request.body() = std::move(body);
  request.prepare_payload();
  return request;
}

std::unexpected<Error> no_answer(const EtcdEndpoint& endpoint, const char* what,
                                 const boost::system::error_code& error) {
  return fail(Errc::io_error, "etcd at " + endpoint.host + ":" + endpoint.port + ": " + what +
                                  ": " + error.message());
}

}  // namespace

Result<std::vector<EtcdEndpoint>> parse_etcd_endpoints(std::string_view text) {
  std::vector<EtcdEndpoint> endpoints;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    const auto refused = [&] {
      return fail(Errc::bad_request,
                  "an etcd endpoint is http://host:port, not '" + std::string(one) + "'");
    };
    if (!one.starts_with(kScheme)) return refused();
    const std::string_view address = one.substr(kScheme.size());
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return refused();
    const std::string_view port = address.substr(colon + 1);
    if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos) {
      return refused();
    }
    endpoints.push_back({std::string(address.substr(0, colon)), std::string(port)});
    if (comma == std::string_view::npos) return endpoints;
    text.remove_prefix(comma + 1);
  }
}

void EtcdClient::avoid(std::size_t endpoint) {
  if (preferred_ == endpoint) preferred_ = (endpoint + 1) % endpoints_.size();
}

asio::awaitable<Result<std::unique_ptr<beast::tcp_stream>>> EtcdClient::connect(
    EtcdEndpoint endpoint) {
  const auto executor = co_await asio::this_coro::executor;
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(executor);
  const auto found = co_await resolver.async_resolve(
      endpoint.host, endpoint.port, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return no_answer(endpoint, "resolve", error);
  auto stream = std::make_unique<beast::tcp_stream>(executor);
  stream->expires_after(times_.connect);
  co_await stream->async_connect(found, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return no_answer(endpoint, "connect", error);
  stream->socket().set_option(asio::ip::tcp::no_delay(true), error);
  co_return stream;
}

asio::awaitable<Result<std::string>> EtcdClient::exchange(beast::tcp_stream& stream,
                                                          EtcdEndpoint endpoint, std::string path,
                                                          std::string body) {
  const HttpRequest request = make_request(endpoint, path, std::move(body));
  boost::system::error_code error;
  stream.expires_after(times_.request);
  co_await beast::http::async_write(stream, request,
                                    asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return no_answer(endpoint, "write", error);
  beast::flat_buffer buffer;
  beast::http::response_parser<beast::http::string_body> parser;
  parser.body_limit(kAnswerBytesMax);
  co_await beast::http::async_read(stream, buffer, parser,
                                   asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return no_answer(endpoint, "read", error);
  const unsigned status = parser.get().result_int();
  std::string text = std::move(parser.get().body());
  if (status == 200) co_return text;
  const std::string context = "etcd at " + endpoint.host + ":" + endpoint.port + " answers " +
                              std::to_string(status) + ": " + text.substr(0, 500);
  // Such as 'no leader', or 'timed out': it may be done all the same.
  co_return fail(status >= 500 ? Errc::io_error : Errc::internal, context);
}

asio::awaitable<Result<nlohmann::json>> EtcdClient::call(std::string path, nlohmann::json body,
                                                         Repeat repeat) {
  const std::string text = body.dump();
  std::optional<Error> last;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const std::size_t at = preferred_;
    auto stream = co_await connect(endpoints_[at]);
    if (!stream) {
      last = std::move(stream).error();
      avoid(at);
      continue;
    }
    auto answer = co_await exchange(**stream, endpoints_[at], path, text);
    if (answer) {
      auto parsed = nlohmann::json::parse(*answer, nullptr, false);
      if (parsed.is_discarded()) co_return fail(Errc::internal, "etcd's answer is not JSON");
      co_return parsed;
    }
    if (answer.error().code != Errc::io_error) co_return std::unexpected(answer.error());
    avoid(at);
    last = std::move(answer).error();
    if (repeat == Repeat::never) {
      last->code = Errc::outcome_unknown;
      break;
    }
  }
  co_return std::unexpected(*last);
}

asio::awaitable<Result<void>> EtcdClient::stream(
    std::string path, nlohmann::json body, std::function<bool(const nlohmann::json&)> received) {
  const std::size_t at = preferred_;
  const EtcdEndpoint endpoint = endpoints_[at];
  auto connected = co_await connect(endpoint);
  if (!connected) {
    avoid(at);
    co_return std::unexpected(std::move(connected).error());
  }
  beast::tcp_stream& stream = **connected;
  const HttpRequest request = make_request(endpoint, path, body.dump());
  boost::system::error_code error;
  stream.expires_after(times_.request);
  co_await beast::http::async_write(stream, request,
                                    asio::redirect_error(asio::use_awaitable, error));
  beast::flat_buffer buffer;
  beast::http::response_parser<beast::http::buffer_body> parser;
  parser.body_limit(boost::none);
  if (!error) {
    co_await beast::http::async_read_header(stream, buffer, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
  }
  if (!error && parser.get().result_int() != 200) {
    avoid(at);
    co_return fail(Errc::io_error, "etcd answers " + std::to_string(parser.get().result_int()));
  }
  // One message a line.
  std::string pending;
  std::string chunk(kReadBytes, '\0');
  while (!error && !parser.is_done()) {
    parser.get().body().data = chunk.data();
    parser.get().body().size = chunk.size();
    stream.expires_after(times_.silence);
    co_await beast::http::async_read_some(stream, buffer, parser,
                                          asio::redirect_error(asio::use_awaitable, error));
    if (error == beast::http::error::need_buffer) error = {};
    pending.append(chunk, 0, chunk.size() - parser.get().body().size);
    if (pending.size() > kAnswerBytesMax) co_return fail(Errc::too_large, "a message of etcd");
    for (std::size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const auto message = nlohmann::json::parse(
          pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
      pending.erase(0, end + 1);
      if (message.is_discarded()) co_return fail(Errc::internal, "etcd's stream is not JSON");
      if (!received(message)) co_return Result<void>();
    }
  }
  avoid(at);
  co_return no_answer(endpoint, "stream", error ? error : beast::http::error::end_of_stream);
}

std::string to_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // with the zero that OpenSSL adds
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return bytes;
}

}  // namespace keelson::http
