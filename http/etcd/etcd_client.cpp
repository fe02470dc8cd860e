#include "http/etcd/etcd_client.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/beast/ssl.hpp>
#include <filesystem>
#include <initializer_list>
#include <system_error>
#include <utility>

namespace keelson::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using nlohmann::json;

namespace {

constexpr std::size_t kAnswerBytesMax = 64u << 20;
constexpr std::size_t kReadBytes = 16u << 10;

using HttpRequest = beast::http::request<beast::http::string_body>;
using StringParser = beast::http::response_parser<beast::http::string_body>;
using BufferParser = beast::http::response_parser<beast::http::buffer_body>;
using boost::system::error_code;

HttpRequest make_request(const EtcdEndpoint& endpoint, const std::string& path,
                         const std::string& token, std::string body) {
  HttpRequest request{beast::http::verb::post, path, 11};
  request.set(beast::http::field::host, endpoint.authority());
  request.set(beast::http::field::content_type, "application/json");
  if (!token.empty()) request.set(beast::http::field::authorization, token);
  request.body() = std::move(body);
  request.prepare_payload();
  return request;
}

json name_and_password(const std::string& user, const std::string& password) {
  return {{"name", user}, {"password", password}};
}

/// What etcd says of an error, without its own name before.
std::string words_of(const std::string& answer) {
  const json parsed = json::parse(answer, nullptr, false);
  std::string words = answer.substr(0, std::min<std::size_t>(answer.find('\n'), 500));
  if (parsed.is_object() && parsed.contains("error") && parsed["error"].is_string()) {
    words = parsed["error"].get<std::string>();
  }
  for (const std::string_view prefix : {"etcdserver: ", "auth: "}) {
    if (words.starts_with(prefix)) words.erase(0, prefix.size());
  }
  return words;
}

bool has_any(const std::string& words, std::initializer_list<std::string_view> of) {
  for (const std::string_view one : of) {
    if (words.find(one) != std::string::npos) return true;
  }
  return false;
}

/// With a new token the same may be done.
bool blames_token(const std::string& words) {
  return has_any(words,
                 {"invalid auth token", "user name is empty", "revision of auth store is old"});
}

/// Nothing is done for this client, whatever it asks, before somebody has changed something.
bool blames_client(const std::string& words) {
  return blames_token(words) || has_any(words, {"permission denied", "authentication failed",
                                                "is not enabled", "CommonName of client"});
}

/// Of a watch: there was no leave for it, or what it asked for has been compacted, say.
std::optional<std::string> reason_of_end(const json& message) {
  const auto result = message.is_object() ? message.find("result") : message.end();
  if (result == message.end() || !result->is_object()) {
    if (message.is_object() && message.contains("error")) return message["error"].dump();
    return std::nullopt;
  }
  const auto canceled = result->find("canceled");
  if (canceled == result->end() || !canceled->is_boolean() || !canceled->get<bool>()) {
    return std::nullopt;
  }
  const auto why = result->find("cancel_reason");
  return why != result->end() && why->is_string() ? why->get<std::string>() : "no reason given";
}

Result<std::unique_ptr<asio::ssl::context>> make_tls_context(const EtcdOptions& options) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                           asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1,
                       error);
  context->set_verify_mode(asio::ssl::verify_peer, error);
  const auto unusable = [&](const char* flag, const std::string& file) {
    return fail(Errc::bad_request,
                std::string(flag) + " '" + file + "' cannot be used: " + error.message());
  };
  error = {};
  if (options.authority_file.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(options.authority_file, error);
  }
  if (error) return unusable("--etcd-ca", options.authority_file);
  if (options.certificate_file.empty()) return context;
  context->use_certificate_chain_file(options.certificate_file, error);
  if (error) return unusable("--etcd-cert", options.certificate_file);
  context->use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error) return unusable("--etcd-key", options.key_file);
  return context;
}

/// Certificates must be for the name, or the address, that etcd is asked at.
void expect_name(SSL* ssl, const std::string& host) {
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1) return;
  SSL_set1_host(ssl, host.c_str());
  SSL_set_tlsext_host_name(ssl, host.c_str());
}

}  // namespace

/// With TLS or without.
class EtcdConnection {
 public:
  EtcdConnection(const asio::any_io_executor& executor, asio::ssl::context* tls)
      : plain_(executor) {
    if (tls != nullptr) tls_.emplace(std::move(plain_), *tls);
  }

  [[nodiscard]] beast::tcp_stream& tcp() { return tls_ ? tls_->next_layer() : plain_; }

  asio::awaitable<error_code> handshake(std::string host) {
    error_code error;
    if (!tls_) co_return error;
    expect_name(tls_->native_handle(), host);
    co_await tls_->async_handshake(asio::ssl::stream_base::client,
                                   asio::redirect_error(asio::use_awaitable, error));
    co_return error;
  }
  /// Why a certificate of the other side was not believed; empty: it was not for that.
  [[nodiscard]] std::string disbelief() {
    const long result = tls_ ? SSL_get_verify_result(tls_->native_handle()) : X509_V_OK;
    return result == X509_V_OK ? std::string() : X509_verify_cert_error_string(result);
  }
  asio::awaitable<error_code> write(const HttpRequest& request) {
    error_code error;
    if (tls_) {
      co_await beast::http::async_write(*tls_, request,
                                        asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await beast::http::async_write(plain_, request,
                                        asio::redirect_error(asio::use_awaitable, error));
    }
    co_return error;
  }
  asio::awaitable<error_code> read(StringParser& parser) {
    error_code error;
    if (tls_) {
      co_await beast::http::async_read(*tls_, buffer_, parser,
                                       asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await beast::http::async_read(plain_, buffer_, parser,
                                       asio::redirect_error(asio::use_awaitable, error));
    }
    co_return error;
  }
  asio::awaitable<error_code> read_header(BufferParser& parser) {
    error_code error;
    if (tls_) {
      co_await beast::http::async_read_header(*tls_, buffer_, parser,
                                              asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await beast::http::async_read_header(plain_, buffer_, parser,
                                              asio::redirect_error(asio::use_awaitable, error));
    }
    co_return error;
  }
  asio::awaitable<error_code> read_some(BufferParser& parser) {
    error_code error;
    if (tls_) {
      co_await beast::http::async_read_some(*tls_, buffer_, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await beast::http::async_read_some(plain_, buffer_, parser,
                                            asio::redirect_error(asio::use_awaitable, error));
    }
    co_return error;
  }

 private:
  beast::tcp_stream plain_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> tls_;
  beast::flat_buffer buffer_;
};

Result<std::unique_ptr<EtcdClient>> EtcdClient::open(EtcdOptions options, EtcdTimes times) {
  KEELSON_TRY_ASSIGN(auto endpoints, parse_etcd_endpoints(options.endpoints));
  Tls tls;
  if (endpoints.front().tls) {
    // Before they are read: what is written meanwhile is a change.
    tls.files = states_of(options);
    KEELSON_TRY_ASSIGN(tls.context, make_tls_context(options));
  }
  return std::unique_ptr<EtcdClient>(
      new EtcdClient(std::move(options), std::move(endpoints), times, std::move(tls)));
}

EtcdClient::EtcdClient(EtcdOptions options, std::vector<EtcdEndpoint> endpoints, EtcdTimes times,
                       Tls tls)
    : options_(std::move(options)),
      endpoints_(std::move(endpoints)),
      times_(times),
      tls_(std::move(tls)),
      password_(options_.password) {}

EtcdClient::~EtcdClient() = default;

std::vector<EtcdClient::FileState> EtcdClient::states_of(const EtcdOptions& options) {
  std::vector<FileState> states;
  for (const auto& file : {options.authority_file, options.certificate_file, options.key_file}) {
    std::error_code ignored;
    states.push_back({std::filesystem::last_write_time(file, ignored),
                      std::filesystem::file_size(file, ignored)});
  }
  return states;
}

/// Connections that there are keep what they began with.
void EtcdClient::renew_tls() {
  if (!tls_.context) return;
  auto states = states_of(options_);
  if (states == tls_.files) return;
  tls_.files = std::move(states);
  auto renewed = make_tls_context(options_);
  if (renewed) {
    tls_.context = *std::move(renewed);
    say_over(said_of_tls_, "etcd: what is in the files of its certificates is used again");
  } else {  // one of two files has been changed, say
    say(said_of_tls_, "etcd: " + renewed.error().context + "; goes on with what it was before");
  }
}

std::string EtcdClient::password() {
  if (options_.password_file.empty()) return password_;
  auto now = read_etcd_password(options_.password_file);
  if (now) {
    password_ = *std::move(now);
    say_over(said_of_password_, "etcd: what is in --etcd-password-file is used again");
  } else {
    say(said_of_password_, "etcd: " + now.error().context + "; goes on with what it was before");
  }
  return password_;
}

/// Once, until there is something else to be said.
void EtcdClient::say(std::string& said, const std::string& what) {
  if (std::exchange(said, what) != what) options_.report(what);
}

/// If something was.
void EtcdClient::say_over(std::string& said, const std::string& what) {
  if (!std::exchange(said, {}).empty()) options_.report(what);
}

void EtcdClient::avoid(const EtcdEndpoint& endpoint) {
  if (endpoints_[preferred_] == endpoint) preferred_ = (preferred_ + 1) % endpoints_.size();
}

// --- what an operator is told ---

void EtcdClient::on_trouble(const std::string& what) {
  if (muted_) return;
  const Trouble trouble = refusal_.empty() ? Trouble::away : Trouble::refused;
  if (std::exchange(reported_, trouble) != trouble) options_.report(what);
}

void EtcdClient::on_answer() {
  refusal_.clear();
  if (std::exchange(reported_, Trouble::none) != Trouble::none) {
    options_.report("etcd answers again");
  }
}

Error EtcdClient::unreached(const EtcdEndpoint& endpoint, const char* what,
                            const error_code& error) {
  const std::string words =
      "etcd at " + endpoint.authority() + ": " + what + ": " + error.message();
  const bool closes = error == asio::ssl::error::stream_truncated;
  if (error.category() == asio::error::get_ssl_category() && !closes) refusal_ = words;
  return {Errc::io_error, words, {}};
}

Error EtcdClient::refused(const EtcdEndpoint& endpoint, const std::string& words) {
  const std::string who = options_.user.empty() ? "this client, who has no --etcd-user"
                                                : "the user '" + options_.user + "'";
  refusal_ = "etcd at " + endpoint.authority() + " refuses " + who + ": " + words;
  return {Errc::io_error, refusal_, {}};
}

// --- one request at one endpoint ---

asio::awaitable<Result<std::unique_ptr<EtcdConnection>>> EtcdClient::connect(
    EtcdEndpoint endpoint) {
  const auto executor = co_await asio::this_coro::executor;
  error_code error;
  asio::ip::tcp::resolver resolver(executor);
  const std::string port = std::to_string(endpoint.address.port);
  const auto found = co_await resolver.async_resolve(
      endpoint.address.host, port, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return std::unexpected(unreached(endpoint, "resolve", error));
  renew_tls();
  auto connection = std::make_unique<EtcdConnection>(executor, tls_.context.get());
  connection->tcp().expires_after(times_.connect);
  co_await connection->tcp().async_connect(found, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return std::unexpected(unreached(endpoint, "connect", error));
  connection->tcp().socket().set_option(asio::ip::tcp::no_delay(true), error);
  connection->tcp().expires_after(times_.handshake);
  error = co_await connection->handshake(endpoint.address.host);
  if (error) {
    Error failed = unreached(endpoint, "TLS", error);
    if (const std::string why = connection->disbelief(); !why.empty()) {
      failed.context += ": " + why;
      refusal_ = failed.context;
    }
    co_return std::unexpected(std::move(failed));
  }
  co_return connection;
}

asio::awaitable<EtcdClient::Tried> EtcdClient::exchange(EtcdConnection& connection,
                                                        EtcdEndpoint endpoint, std::string path,
                                                        std::string body) {
  Tried tried;
  tried.sent = true;
  const std::string token = token_;
  const HttpRequest request = make_request(endpoint, path, token, std::move(body));
  error_code error = co_await connection.write(request);
  const char* const what = error ? "write" : "read";
  StringParser parser;
  parser.body_limit(kAnswerBytesMax);
  if (!error) error = co_await connection.read(parser);
  if (error) {
    tried.error = unreached(endpoint, what, error);
    co_return tried;
  }
  const unsigned status = parser.get().result_int();
  std::string text = std::move(parser.get().body());
  if (status == 200) {
    tried.answer = std::move(text);
    co_return tried;
  }
  const std::string words = words_of(text);
  if (status < 500 && blames_client(words)) {
    tried.token_refused = blames_token(words) && !token.empty();
    if (tried.token_refused && token_ == token) token_.clear();
    tried.sent = false;
    tried.error = refused(endpoint, words);
    co_return tried;
  }
  // Such as 'no leader', or 'timed out': it may be done all the same.
  tried.error =
      Error{status >= 500   ? Errc::io_error
            : status == 429 ? Errc::overloaded
                            : Errc::internal,
            "etcd at " + endpoint.authority() + " answers " + std::to_string(status) + ": " + words,
            {}};
  co_return tried;
}

asio::awaitable<EtcdClient::Tried> EtcdClient::try_at(EtcdEndpoint endpoint, std::string path,
                                                      std::string body) {
  Tried tried;
  for (int i = 0; i < 2; ++i) {
    const auto token = co_await have_token(endpoint);
    if (!token) {
      tried.error = token.error();
      co_return tried;
    }
    const auto connection = co_await connect(endpoint);
    if (!connection) {
      tried.error = connection.error();
      co_return tried;
    }
    (*connection)->tcp().expires_after(times_.request);
    tried = co_await exchange(**connection, endpoint, path, body);
    // Nothing else is sent again here: it may have been done.
    if (!tried.token_refused) break;
  }
  co_return tried;
}

// --- tokens ---

asio::awaitable<Result<std::string>> EtcdClient::authenticate(EtcdEndpoint endpoint) {
  auto connection = co_await connect(endpoint);
  if (!connection) co_return std::unexpected(std::move(connection).error());
  (*connection)->tcp().expires_after(times_.authenticate);
  std::string body = name_and_password(options_.user, password()).dump();
  const Tried tried =
      co_await exchange(**connection, endpoint, "/v3/auth/authenticate", std::move(body));
  if (!tried.answer) co_return std::unexpected(*tried.error);
  const json answer = json::parse(*tried.answer, nullptr, false);
  const auto token = answer.is_object() ? answer.find("token") : answer.end();
  if (token == answer.end() || !token->is_string() ||
      token->get_ref<const std::string&>().empty()) {
    co_return fail(Errc::io_error, "etcd at " + endpoint.authority() + " gives no token");
  }
  co_return token->get<std::string>();
}

/// One asks at a time, since it is costly, and all others wait for what comes of it.
asio::awaitable<Result<void>> EtcdClient::have_token(EtcdEndpoint endpoint) {
  if (options_.user.empty() || !token_.empty()) co_return Result<void>();
  if (authenticating_) {
    error_code woken;
    co_await authenticating_->async_wait(asio::redirect_error(asio::use_awaitable, woken));
    if (!token_.empty() || !not_authenticated_) co_return Result<void>();
    co_return std::unexpected(*not_authenticated_);
  }
  authenticating_ = std::make_unique<asio::steady_timer>(co_await asio::this_coro::executor,
                                                         asio::steady_timer::time_point::max());
  auto token = co_await authenticate(endpoint);
  not_authenticated_.reset();
  if (token) {
    token_ = *std::move(token);
  } else {
    not_authenticated_ = token.error();
  }
  authenticating_.reset();  // wakes the others
  if (!token) co_return std::unexpected(*not_authenticated_);
  co_return Result<void>();
}

// --- requests ---

asio::awaitable<Result<json>> EtcdClient::call(std::string path, json body, Repeat repeat) {
  const std::string text = body.dump();
  std::optional<Error> last;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const EtcdEndpoint endpoint = endpoints_[preferred_];
    Tried tried = co_await try_at(endpoint, path, text);
    if (tried.answer) {
      on_answer();
      auto parsed = json::parse(*tried.answer, nullptr, false);
      if (parsed.is_discarded()) co_return fail(Errc::internal, "etcd's answer is not JSON");
      co_return parsed;
    }
    last = std::move(tried.error);
    if (last->code != Errc::io_error) co_return std::unexpected(*last);
    avoid(endpoint);
    if (repeat == Repeat::never && tried.sent) {
      last->code = Errc::outcome_unknown;
      break;
    }
  }
  on_trouble(last->context);
  co_return std::unexpected(*last);
}

asio::awaitable<Result<void>> EtcdClient::stream(std::string path, json body,
                                                 std::function<bool(const json&)> received) {
  const EtcdEndpoint endpoint = endpoints_[preferred_];
  if (const auto token = co_await have_token(endpoint); !token) {
    avoid(endpoint);
    co_return std::unexpected(token.error());
  }
  const auto connected = co_await connect(endpoint);
  if (!connected) {
    avoid(endpoint);
    co_return std::unexpected(connected.error());
  }
  EtcdConnection& connection = **connected;
  const std::string shown = token_;
  const HttpRequest request = make_request(endpoint, path, shown, body.dump());
  connection.tcp().expires_after(times_.request);
  error_code error = co_await connection.write(request);
  BufferParser parser;
  parser.body_limit(boost::none);
  if (!error) error = co_await connection.read_header(parser);
  if (!error && parser.get().result_int() != 200) {
    avoid(endpoint);
    co_return fail(Errc::io_error, "etcd answers " + std::to_string(parser.get().result_int()));
  }
  // One message a line.
  std::string pending;
  std::string chunk(kReadBytes, '\0');
  while (!error && !parser.is_done()) {
    parser.get().body().data = chunk.data();
    parser.get().body().size = chunk.size();
    connection.tcp().expires_after(times_.silence);
    error = co_await connection.read_some(parser);
    if (error == beast::http::error::need_buffer) error = {};
    pending.append(chunk, 0, chunk.size() - parser.get().body().size);
    if (pending.size() > kAnswerBytesMax) co_return fail(Errc::too_large, "a message of etcd");
    for (std::size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const auto message = json::parse(
          pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
      pending.erase(0, end + 1);
      if (message.is_discarded()) co_return fail(Errc::internal, "etcd's stream is not JSON");
      if (const auto why = reason_of_end(message)) {
        if (blames_token(*why) && token_ == shown) token_.clear();
        if (blames_client(*why)) on_trouble(refused(endpoint, *why).context);
        co_return fail(Errc::io_error, "etcd has ended the stream: " + *why);
      }
      if (!received(message)) co_return Result<void>();
    }
  }
  avoid(endpoint);
  co_return std::unexpected(
      unreached(endpoint, "stream", error ? error : beast::http::error::end_of_stream));
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
