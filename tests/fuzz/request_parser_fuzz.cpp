// A connection's bytes to requests. They arrive in pieces that the first bytes of the input choose;
// what is read must be the same as when all of it arrives at once.
#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "http/request_parser.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson::http;
namespace beast = boost::beast;

struct Bounds {
  std::uint32_t header_bytes_max;
  std::uint64_t body_bytes_max;
};

bool is_plain(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos;
}

/// One request as text, with all that was read of it.
std::string described(RequestParser& parser, const Bounds& bounds) {
  const auto head = parser.handshake();
  std::string text(to_string(parser.method()));
  text += parser.keep_alive() ? " keep " : " close ";
  text += parser.is_http_1_1() ? "1.1 " : "1.0 ";
  text += parser.expects_continue() ? "expects " : "";
  text += parser.is_websocket_upgrade() ? "upgrades " : "";
  std::size_t header_bytes = 0;
  for (const auto& field : head) {
    const std::string name(field.name_string());
    const std::string value(field.value());
    KEELSON_ASSERT(!name.empty() && is_plain(name) && is_plain(value));
    header_bytes += name.size() + value.size();
    text += "\n" + name + ": " + value;
  }
  KEELSON_ASSERT(header_bytes + parser.target().size() <= bounds.header_bytes_max);
  // Two parsers must not differ about where the request ends, or for whom it is.
  using beast::http::field;
  KEELSON_ASSERT(head.count(field::host) == 1 || !parser.is_http_1_1());
  KEELSON_ASSERT(head.count(field::transfer_encoding) + head.count(field::content_length) <= 1);
  const auto length = parser.content_length();

  Request request;
  parser.move_into(request);
  KEELSON_ASSERT(is_plain(request.target) && request.target.find(' ') == std::string::npos);
  KEELSON_ASSERT(request.target.starts_with(request.path));
  KEELSON_ASSERT(request.body.size() <= bounds.body_bytes_max);
  constexpr std::size_t kMark = 3;  // a byte order mark is not of the text
  if (length) {
    KEELSON_ASSERT(request.body.size() == *length || request.body.size() + kMark == *length);
  }
  return text + "\n" + request.target + "\n" + request.body;
}

/// Reads requests off `buffer` as a session does, and keeps what came of them.
class Connection {
 public:
  explicit Connection(const Bounds& bounds) : bounds_(bounds) {}

  void receive(std::string_view bytes) {
    if (ended_) return;
    buffer_.commit(boost::asio::buffer_copy(buffer_.prepare(bytes.size()),
                                            boost::asio::buffer(bytes.data(), bytes.size())));
    while (step()) {
    }
  }

  /// Ends what is not complete. Of a line whose beginning it has seen, and of a chunked body that
  /// may end with these few bytes, the parser looks at the rest no sooner than there is more: what
  /// is wrong with them is found sooner or later.
  void end() { receive("\r\n\r\n\r\n"); }

  /// Asserts that `other` has read the same requests, and found the same wrong with the next one. A
  /// head that is both wrong and too large is refused for either.
  void require_same(const Connection& other) const {
    KEELSON_ASSERT(seen_ == other.seen_);
    KEELSON_ASSERT(ended_ == other.ended_);
    if (too_large_ || other.too_large_) return;
    KEELSON_ASSERT(problem_ == other.problem_);
  }

 private:
  /// False when it needs more, or nothing more is read.
  bool step() {
    using Status = RequestParser::Status;
    if (!head_) {
      const Status status = parser_->parse_head(buffer_);
      if (status != Status::done) return stop(status);
      head_ = true;
      parser_->set_body_limit(bounds_.body_bytes_max);
    }
    const Status status = parser_->parse_body(buffer_);
    if (status != Status::done) return stop(status);
    seen_.push_back(described(*parser_, bounds_));
    parser_.emplace(bounds_.header_bytes_max);
    head_ = false;
    return true;
  }

  bool stop(RequestParser::Status status) {
    if (status == RequestParser::Status::failed) {
      const Problem& problem = parser_->problem();
      KEELSON_ASSERT(problem.status >= 400 && problem.status < 600 && !problem.code.empty());
      problem_ = std::to_string(problem.status) + problem.code + problem.detail;
      too_large_ = problem.status == 431;
      ended_ = true;
    }
    return false;
  }

  Bounds bounds_;
  beast::flat_buffer buffer_;
  std::optional<RequestParser> parser_{std::in_place, bounds_.header_bytes_max};
  bool head_ = false;
  bool ended_ = false;
  std::vector<std::string> seen_;
  std::string problem_;
  bool too_large_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  const Bounds bounds{input.byte() % 2 == 0 ? 8192u : 96u, 64};
  std::vector<std::size_t> pieces(input.byte() % 16);
  for (std::size_t& piece : pieces) piece = input.byte();
  const std::string_view bytes = input.rest();

  Connection at_once(bounds);
  at_once.receive(bytes);
  at_once.end();
  Connection in_pieces(bounds);
  for (const std::size_t piece : pieces) in_pieces.receive(input.bytes(piece));
  in_pieces.receive(input.rest());
  in_pieces.end();
  in_pieces.require_same(at_once);
  Connection byte_by_byte(bounds);
  for (std::size_t i = 0; i < bytes.size() && i < 512; ++i)
    byte_by_byte.receive(bytes.substr(i, 1));
  byte_by_byte.receive(bytes.substr(std::min<std::size_t>(bytes.size(), 512)));
  byte_by_byte.end();
  byte_by_byte.require_same(at_once);
  return 0;
}
