// One request's bytes to a request, step by step. Private to the library.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/problem.h"
#include "http/request.h"

namespace keelson::http {

/// Head first, so that what is decided on the head (route, authorisation, limits) is decided before
/// any of the body is read. Framing that two parsers could read differently (RFC 9112, 11.2) is
/// refused: the connection cannot be trusted after it.
class RequestParser {
 public:
  enum class Status { need_more, done, failed };

  explicit RequestParser(std::uint32_t header_bytes_max);

  /// Consumes from `buffer` what belongs to the head.
  [[nodiscard]] Status parse_head(boost::beast::flat_buffer& buffer);
  /// Consumes from `buffer` what belongs to the body. After `set_body_limit`. Fields that follow a
  /// chunked body are dropped: what proxies and this server decide on is the head.
  [[nodiscard]] Status parse_body(boost::beast::flat_buffer& buffer);
  /// What was wrong, after `failed`.
  [[nodiscard]] const Problem& problem() const { return *problem_; }

  // --- after the head ---
  [[nodiscard]] Method method() const { return method_; }
  [[nodiscard]] std::string_view target() const;
  [[nodiscard]] std::optional<std::string_view> field(boost::beast::http::field name) const;
  [[nodiscard]] bool keep_alive() const { return parser_.keep_alive(); }
  [[nodiscard]] bool is_http_1_1() const { return parser_.get().version() >= 11; }
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] bool has_body() const;
  [[nodiscard]] std::optional<std::uint64_t> content_length() const;
  [[nodiscard]] bool is_websocket_upgrade() const;
  void set_body_limit(std::uint64_t bytes_max);

  /// Bytes of the body received so far.
  [[nodiscard]] std::size_t body_bytes() const { return parser_.get().body().size(); }

  /// Moves what was parsed into a request: method, target, path, headers, body.
  void move_into(Request& request);
  /// The head as Beast has it, for a WebSocket handshake.
  [[nodiscard]] boost::beast::http::request<boost::beast::http::empty_body> handshake() const;

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  Status fail(Problem problem);
  Status fail(const boost::system::error_code& error);
  [[nodiscard]] std::optional<Problem> check_head() const;

  const std::uint32_t header_bytes_max_;
  std::uint64_t head_bytes_ = 0;  ///< consumed so far
  std::uint64_t body_bytes_max_ = 0;
  Parser parser_;
  std::optional<Parser::value_type::header_type> head_;  ///< of a chunked request: see parse_body
  Method method_ = Method::get;
  std::optional<Problem> problem_;
};

/// A problem of HTTP itself, below the API.
[[nodiscard]] Problem protocol_problem(unsigned status, std::string_view code,
                                       std::string_view title, std::string detail);

}  // namespace keelson::http
