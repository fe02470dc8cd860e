#include "http/request_parser.h"

#include <boost/beast/websocket/rfc6455.hpp>
#include <utility>

namespace keelson::http {

namespace {

constexpr std::string_view kLastChunk = "0\r\n\r\n";

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

namespace beast = boost::beast;
using beast::http::field;

std::string_view text(beast::string_view view) { return {view.data(), view.size()}; }

}  // namespace

Problem protocol_problem(unsigned status, std::string_view code, std::string_view title,
                         std::string detail) {
  Problem problem;
  problem.status = status;
  problem.code = code;
  problem.title = title;
  problem.detail = std::move(detail);
  return problem;
}

RequestParser::RequestParser(std::uint32_t header_bytes_max) : header_bytes_max_(header_bytes_max) {
  parser_.header_limit(header_bytes_max);
  parser_.body_limit(boost::none);  // set once the route is known
}

RequestParser::Status RequestParser::parse_head(beast::flat_buffer& buffer) {
  // RFC 9112, 2.2: an empty line before a request is to be ignored.
  if (!parser_.got_some()) {
    while (buffer.size() >= 2 && std::memcmp(buffer.data().data(), "\r\n", 2) == 0)
      buffer.consume(2);
    // Half of one, perhaps: Beast must not see it before the rest is there.
    if (buffer.size() == 1 && *static_cast<const char*>(buffer.data().data()) == '\r')
      return Status::need_more;
  }
  if (buffer.size() == 0) return Status::need_more;
  boost::system::error_code error;
  parser_.eager(false);
  const std::size_t used = parser_.put(buffer.data(), error);
  buffer.consume(used);
  head_bytes_ += used;
  if (error && error != beast::http::error::need_more) return fail(error);
  // Beast holds the request line and the header against the limit each by itself when they arrive
  // together. What has arrived of a head that is not complete is of it too.
  const bool complete = parser_.is_header_done();
  if (head_bytes_ + (complete ? 0 : buffer.size()) > header_bytes_max_) {
    return fail(beast::http::error::header_limit);
  }
  if (!complete) return Status::need_more;
  if (auto problem = check_head()) return fail(*std::move(problem));
  if (parser_.chunked()) head_ = parser_.get().base();
  method_ = *parse_method(text(parser_.get().method_string()));
  return Status::done;
}

std::optional<Problem> RequestParser::check_head() const {
  const auto& head = parser_.get();
  if (!parse_method(text(head.method_string()))) {
    return protocol_problem(501, "not-implemented", "Not implemented",
                            "The method is not one that this server knows.");
  }
  // RFC 9112, 3.2: exactly one Host, or the request may have been meant for someone else.
  if (is_http_1_1() && head.count(field::host) != 1) {
    return bad_request("A request must have exactly one Host header");
  }
  // RFC 9112, 6.3: the same length said twice may be taken, but who says it is not to be trusted.
  if (head.count(field::content_length) > 1) {
    return bad_request("A request must have at most one Content-Length");
  }
  if (head.count(field::transfer_encoding) > 0) {
    if (!is_http_1_1()) return bad_request("HTTP/1.0 has no Transfer-Encoding");
    if (head.count(field::transfer_encoding) > 1 ||
        !beast::iequals(head[field::transfer_encoding], "chunked")) {
      return protocol_problem(501, "not-implemented", "Not implemented",
                              "The only Transfer-Encoding known here is 'chunked'.");
    }
    if (head.count(field::content_length) > 0) {
      return bad_request("A request must not have both Transfer-Encoding and Content-Length");
    }
  }
  if (const auto expect = head.find(field::expect);
      expect != head.end() && !beast::iequals(expect->value(), "100-continue")) {
    return protocol_problem(417, "expectation-failed", "Expectation failed",
                            "The only expectation known here is '100-continue'.");
  }
  return std::nullopt;
}

RequestParser::Status RequestParser::parse_body(beast::flat_buffer& buffer) {
  // Beast holds a declared length against the limit at the end of the head only, where it was not
  // known yet.
  if (content_length().value_or(0) > body_bytes_max_) return fail(beast::http::error::body_limit);
  parser_.eager(true);
  // Beast asserts that there are so many when it comes back to a last chunk whose trailer has not
  // arrived, and every chunked body ends with as many from each of its chunks' heads on.
  const std::size_t bytes_min = parser_.chunked() ? kLastChunk.size() : 1;
  while (!parser_.is_done()) {
    if (buffer.size() < bytes_min) return Status::need_more;
    boost::system::error_code error;
    const std::size_t used = parser_.put(buffer.data(), error);
    buffer.consume(used);
    if (error == beast::http::error::need_more) {
      // The head of a chunk, with its extensions, or the trailer, which have no limit of their own.
      if (buffer.size() > header_bytes_max_) return fail(beast::http::error::header_limit);
      return Status::need_more;
    }
    if (error) return fail(error);
  }
  // Beast adds a trailer's fields to the head's, on which everything has been decided by now.
  if (head_) parser_.get().base() = *std::exchange(head_, std::nullopt);
  return Status::done;
}

RequestParser::Status RequestParser::fail(Problem problem) {
  problem_ = std::move(problem);
  return Status::failed;
}

RequestParser::Status RequestParser::fail(const boost::system::error_code& error) {
  using E = beast::http::error;
  if (error == E::header_limit || error == E::buffer_overflow) {
    return fail(protocol_problem(431, "header-too-large", "Header too large",
                                 "The request line and header are limited to " +
                                     std::to_string(header_bytes_max_) + " bytes."));
  }
  if (error == E::body_limit) {
    return fail(problem_of(
        Error{Errc::too_large,
              "the body is over the limit of " + std::to_string(body_bytes_max_) + " bytes",
              std::nullopt}));
  }
  if (error == E::bad_version) {
    return fail(protocol_problem(505, "http-version-not-supported", "HTTP version not supported",
                                 "This server speaks HTTP/1.1."));
  }
  return fail(bad_request("The request is not well-formed HTTP (" + error.message() + ")"));
}

std::string_view RequestParser::target() const { return text(parser_.get().target()); }

std::optional<std::string_view> RequestParser::field(beast::http::field name) const {
  const auto found = parser_.get().find(name);
  if (found == parser_.get().end()) return std::nullopt;
  return text(found->value());
}

bool RequestParser::expects_continue() const {
  return is_http_1_1() && parser_.get().count(beast::http::field::expect) > 0;
}

bool RequestParser::has_body() const {
  return parser_.chunked() || content_length().value_or(0) > 0;
}

std::optional<std::uint64_t> RequestParser::content_length() const {
  const auto length = parser_.content_length();
  if (!length) return std::nullopt;
  return *length;
}

bool RequestParser::is_websocket_upgrade() const {
  return beast::websocket::is_upgrade(parser_.get());
}

void RequestParser::set_body_limit(std::uint64_t bytes_max) {
  body_bytes_max_ = bytes_max;
  parser_.body_limit(bytes_max);
}

void RequestParser::move_into(Request& request) {
  auto& message = parser_.get();
  request.method = method_;
  request.target = target();
  request.path = request.target.substr(0, request.target.find('?'));
  request.headers.reserve();
  for (const auto& header : message) {
    request.headers.add(text(header.name_string()), text(header.value()));
  }
  request.body = std::move(message.body());
  // Every body is JSON. RFC 8259, section 8.1 lets a mark before it be ignored; that is done here,
  // so that no route differs and the same command with and without it has the same fingerprint.
  if (request.body.starts_with(kByteOrderMark)) request.body.erase(0, kByteOrderMark.size());
}

beast::http::request<beast::http::empty_body> RequestParser::handshake() const {
  return beast::http::request<beast::http::empty_body>(parser_.get().base());
}

}  // namespace keelson::http
