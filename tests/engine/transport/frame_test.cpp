#include "engine/transport/frame.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/base/coding.h"
#include "tests/support/hex.h"

using namespace keelson;
using namespace keelson::transport;

namespace {

constexpr std::uint64_t kSeed = 42;
constexpr FrameRules kRules{kSeed, 1000, 500};

std::string file_frame(std::string_view message, std::string_view region) {
  const FrameHeader header =
      make_frame_header(FrameKind::file, kSeed, message, static_cast<std::uint32_t>(region.size()));
  return std::string(bytes_of(header)) + std::string(message) + std::string(region);
}

/// All frames of `bytes`, which arrive `piece` at a time; what follows them must be nothing.
Result<std::vector<Frame>> parse(std::string_view bytes, std::size_t piece = 1 << 20) {
  FrameParser parser(kRules);
  std::vector<Frame> frames;
  while (!bytes.empty()) {
    std::string_view arrived = bytes.substr(0, piece);
    bytes.remove_prefix(arrived.size());
    while (!arrived.empty()) {
      KEELSON_TRY_ASSIGN(auto frame, parser.take(arrived));
      if (frame) frames.push_back(*std::move(frame));
    }
  }
  if (parser.within_frame()) return fail(Errc::closed, "cut off");
  return frames;
}

Errc error_of(std::string_view bytes) {
  const auto parsed = parse(bytes);
  REQUIRE(!parsed.has_value());
  return parsed.error().code;
}

}  // namespace

TEST_CASE("frame: comes out as it went in, in whatever pieces it arrives") {
  const std::vector<Frame> frames{{FrameKind::message, "hello", ""},
                                  {FrameKind::message, "", ""},
                                  {FrameKind::file, "take this", std::string(500, 'r')},
                                  {FrameKind::file, "", "x"},
                                  {FrameKind::file, "empty region", ""},
                                  {FrameKind::message, std::string(1000, 'm'), ""}};
  std::string bytes;
  for (const Frame& frame : frames) {
    bytes += frame.kind == FrameKind::file ? file_frame(frame.payload, frame.region)
                                           : encode_frame(frame.kind, kSeed, frame.payload);
  }
  for (std::size_t piece = 1; piece < 600; ++piece) {
    CAPTURE(piece);
    const auto parsed = parse(bytes, piece);
    REQUIRE(parsed.has_value());
    REQUIRE(*parsed == frames);
  }
}

TEST_CASE("frame: golden bytes of version 1") {
  CHECK(test::to_hex(encode_frame(FrameKind::message, 7, "hi")) ==
        "4b4c543101000400"
        "0200000000000000"
        "f81df2643b062451"
        "4b6c52e64b0687bf"
        "6869");
}

TEST_CASE("frame: no bit of header or payload may change") {
  const std::string good = file_frame("message", "region");
  const std::size_t covered = good.size() - 6;
  for (std::size_t bit = 0; bit < covered * 8; ++bit) {
    CAPTURE(bit);
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const auto parsed = parse(bytes);
    REQUIRE(!parsed.has_value());
    CHECK((parsed.error().code == Errc::corruption ||
           parsed.error().code == Errc::unsupported_format));
  }
  CHECK(parse(good).has_value());
}

TEST_CASE("frame: a region is not covered, its length is") {
  std::string bytes = file_frame("message", "region");
  bytes.back() = 'N';
  const auto parsed = parse(bytes);
  REQUIRE(parsed.has_value());
  CHECK(parsed->front().region == "regioN");
}

TEST_CASE("frame: another connection's seed is another checksum") {
  CHECK(error_of(encode_frame(FrameKind::message, kSeed + 1, "hello")) == Errc::corruption);
  CHECK(error_of(encode_frame(FrameKind::message, kSeed + 1, "")) == Errc::corruption);
}

TEST_CASE("frame: another version is told from damage") {
  std::string bytes = encode_frame(FrameKind::message, kSeed, "hello");
  put(bytes.data() + frame_header::kVersion, std::uint16_t{2});
  CHECK(error_of(bytes) == Errc::unsupported_format);
  CHECK(error_of("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n") == Errc::corruption);
}

TEST_CASE("frame: what is over a limit is refused by its header alone") {
  const auto of_header = [](FrameKind kind, std::size_t payload, std::uint32_t region) {
    const FrameHeader header = make_frame_header(kind, kSeed, std::string(payload, 'x'), region);
    return std::string(bytes_of(header));
  };
  CHECK(error_of(of_header(FrameKind::message, 1001, 0)) == Errc::too_large);
  CHECK(error_of(of_header(FrameKind::file, 0, 501)) == Errc::too_large);
  CHECK(error_of(of_header(FrameKind::message, 0, 1)) == Errc::corruption);
  CHECK(error_of(of_header(static_cast<FrameKind>(6), 0, 0)) == Errc::corruption);
  CHECK(error_of(of_header(static_cast<FrameKind>(0), 0, 0)) == Errc::corruption);
  // Within the limits the rest is waited for.
  CHECK(error_of(of_header(FrameKind::message, 1000, 0)) == Errc::closed);
}

TEST_CASE("frame: rules hold from the next frame on") {
  FrameParser parser(FrameRules{1, 10, 0});
  const std::string bytes = encode_frame(FrameKind::message, 1, "first") +
                            encode_frame(FrameKind::message, 2, "second, longer");
  std::string_view rest = bytes;
  auto frame = parser.take(rest);
  REQUIRE((frame && *frame));
  CHECK((*frame)->payload == "first");
  parser.set_rules({2, 100, 0});
  frame = parser.take(rest);
  REQUIRE((frame && *frame));
  CHECK((*frame)->payload == "second, longer");
  CHECK(rest.empty());
}
