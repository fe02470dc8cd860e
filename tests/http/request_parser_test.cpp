#include "http/request_parser.h"

#include <doctest/doctest.h>

#include <boost/asio/buffer.hpp>
#include <string_view>

using namespace keelson::http;

namespace {

constexpr std::string_view kRequest =
    "\r\n\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";

/// Parses `bytes`, which arrive in two parts, the first of them `split` bytes long.
Request parse_in_two(std::string_view bytes, std::size_t split) {
  RequestParser parser(8192);
  boost::beast::flat_buffer buffer;
  const auto arrive = [&](std::string_view part) {
    buffer.commit(boost::asio::buffer_copy(buffer.prepare(part.size()),
                                           boost::asio::buffer(part.data(), part.size())));
  };
  bool head = false;
  RequestParser::Status status = RequestParser::Status::need_more;
  for (const std::string_view part : {bytes.substr(0, split), bytes.substr(split)}) {
    arrive(part);
    if (!head) {
      status = parser.parse_head(buffer);
      REQUIRE(status != RequestParser::Status::failed);
      head = status == RequestParser::Status::done;
      if (head) parser.set_body_limit(100);
    }
    if (head) status = parser.parse_body(buffer);
    REQUIRE(status != RequestParser::Status::failed);
  }
  REQUIRE(status == RequestParser::Status::done);
  Request request;
  parser.move_into(request);
  return request;
}

}  // namespace

TEST_CASE("request parser: a request may be split anywhere, within an empty line before it too") {
  for (std::size_t split = 0; split <= kRequest.size(); ++split) {
    CAPTURE(split);
    const Request request = parse_in_two(kRequest, split);
    CHECK(request.method == Method::post);
    CHECK(request.path == "/echo");
    CHECK(request.body == "hello");
  }
}
