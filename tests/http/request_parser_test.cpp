#include "http/request_parser.h"

#include <doctest/doctest.h>

#include <boost/asio/buffer.hpp>
#include <string>
#include <string_view>

using namespace keelson::http;

namespace {

constexpr std::string_view kRequest =
    "\r\n\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";

void receive(boost::beast::flat_buffer& buffer, std::string_view part) {
  buffer.commit(boost::asio::buffer_copy(buffer.prepare(part.size()),
                                         boost::asio::buffer(part.data(), part.size())));
}

/// Parses `bytes`, which arrive in two parts, the first of them `split` bytes long.
Request parse_in_two(std::string_view bytes, std::size_t split) {
  RequestParser parser(8192);
  boost::beast::flat_buffer buffer;
  bool head = false;
  RequestParser::Status status = RequestParser::Status::need_more;
  for (const std::string_view part : {bytes.substr(0, split), bytes.substr(split)}) {
    receive(buffer, part);
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

TEST_CASE("request parser: a head is over the limit or not, however it arrives") {
  constexpr std::size_t kLimit = 96;
  for (const std::size_t size : {kLimit - 1, kLimit, kLimit + 1, kLimit + 16, 2 * kLimit}) {
    CAPTURE(size);
    std::string head = "GET / HTTP/1.1\r\nHost: t\r\nX: ";
    head.resize(size - 4, 'x');
    head += "\r\n\r\n";
    for (std::size_t split = 0; split <= head.size(); ++split) {
      CAPTURE(split);
      RequestParser parser(kLimit);
      boost::beast::flat_buffer buffer;
      auto status = RequestParser::Status::need_more;
      for (const std::string& part : {head.substr(0, split), head.substr(split)}) {
        receive(buffer, part);
        if (status == RequestParser::Status::need_more) status = parser.parse_head(buffer);
      }
      CHECK((status == RequestParser::Status::done) == (size <= kLimit));
      if (status == RequestParser::Status::failed) CHECK(parser.problem().status == 431);
    }
  }
}

TEST_CASE("request parser: a chunked body may arrive in any pieces") {
  constexpr std::string_view kHead =
      "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string_view body :
       {"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "1;x=y\r\na\r\n2\r\nbc\r\n0;x\r\nT: 1\r\n\r\n"}) {
    CAPTURE(body);
    for (std::size_t size = 1; size <= body.size(); ++size) {
      CAPTURE(size);
      RequestParser parser(1024);
      parser.set_body_limit(1024);
      boost::beast::flat_buffer buffer;
      receive(buffer, kHead);
      REQUIRE(parser.parse_head(buffer) == RequestParser::Status::done);
      auto status = parser.parse_body(buffer);
      for (std::size_t at = 0; at < body.size(); at += size) {
        REQUIRE(status == RequestParser::Status::need_more);
        receive(buffer, body.substr(at, size));
        status = parser.parse_body(buffer);
      }
      REQUIRE(status == RequestParser::Status::done);
      Request request;
      parser.move_into(request);
      CHECK(request.body == (body.size() == 5 ? "" : "abc"));
      CHECK(buffer.size() == 0);
    }
  }
}

TEST_CASE("request parser: the head of a chunk and a trailer have a limit") {
  for (const std::string_view begun : {"1;x=", "0\r\nT: "}) {
    CAPTURE(begun);
    RequestParser parser(128);
    parser.set_body_limit(1024);
    boost::beast::flat_buffer buffer;
    receive(buffer, "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    REQUIRE(parser.parse_head(buffer) == RequestParser::Status::done);
    receive(buffer, begun);
    auto status = parser.parse_body(buffer);
    for (int i = 0; i < 200 && status == RequestParser::Status::need_more; ++i) {
      receive(buffer, "x");
      status = parser.parse_body(buffer);
    }
    REQUIRE(status == RequestParser::Status::failed);
    CHECK(parser.problem().status == 431);
  }
}

TEST_CASE("request parser: a request may be split anywhere, within an empty line before it too") {
  for (std::size_t split = 0; split <= kRequest.size(); ++split) {
    CAPTURE(split);
    const Request request = parse_in_two(kRequest, split);
    CHECK(request.method == Method::post);
    CHECK(request.path == "/echo");
    CHECK(request.body == "hello");
  }
}

TEST_CASE("request parser: where a request ends, and for whom it is, is said once") {
  const auto parsed = [](std::string_view fields) {
    RequestParser parser(8192);
    boost::beast::flat_buffer buffer;
    receive(buffer, "POST / HTTP/1.1\r\n" + std::string(fields) + "\r\nx");
    const auto status = parser.parse_head(buffer);
    if (status == RequestParser::Status::failed) CHECK(parser.problem().status == 400);
    return status == RequestParser::Status::done;
  };
  CHECK(parsed("Host: t\r\nContent-Length: 1\r\n"));
  CHECK_FALSE(parsed("Host: t\r\nContent-Length: 1\r\nContent-Length: 1\r\n"));
  CHECK_FALSE(parsed("Host: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n"));
  CHECK_FALSE(parsed("Host: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"));
  CHECK_FALSE(parsed("Host: t\r\nHost: t\r\nContent-Length: 1\r\n"));
  CHECK_FALSE(parsed("Content-Length: 1\r\n"));
}

TEST_CASE("request parser: what follows a chunked body does not become of the head") {
  for (std::size_t split = 0; split < 40; ++split) {
    CAPTURE(split);
    const Request request = parse_in_two(
        "POST /echo HTTP/1.1\r\nHost: t\r\nIf-Match: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n0\r\nHost: u\r\nIdempotency-Key: k\r\nIf-Match: \"2\"\r\n\r\n",
        80 + split);
    CHECK(request.body == "hello");
    CHECK(request.headers.find("Host") == "t");
    CHECK(request.headers.find("If-Match") == "\"1\"");
    CHECK_FALSE(request.headers.find("Idempotency-Key"));
  }
}
