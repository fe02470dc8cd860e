#include "engine/transport/handshake.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "engine/base/coding.h"
#include "tests/support/hex.h"

using namespace keelson;
using namespace keelson::transport;

namespace {

/// Counts: what it gives is different each time, and known.
class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return ++last_; }

 private:
  std::uint64_t last_ = 0;
};

Member make_member(std::uint32_t node) {
  Member member{NodeId(node), {}};
  member.data.bytes.fill(static_cast<std::byte>(0xd0 + node));
  return member;
}

Identity make_identity(std::uint32_t node, std::string secret = "the secret of all") {
  Incarnation incarnation{7, {}};
  incarnation.id.bytes.fill(std::byte{0xe5});
  return {"cluster", std::move(secret), make_member(node), incarnation};
}

Result<void> anybody(const Member&, const Incarnation&) { return {}; }

Frame frame_of(std::string_view bytes) {
  FrameParser parser{FrameRules{}};
  auto frame = parser.take(bytes);
  REQUIRE((frame && *frame));
  return **std::move(frame);
}

/// Two sides, and what they have said.
struct Pair {
  Pair(const Identity& dialling, const Identity& accepting) : one(dialling), two(accepting) {}

  CountingRandom random;
  Identity one;
  Identity two;
  Handshake dialler{one, Side::dialler, anybody, random};
  Handshake acceptor{two, Side::acceptor, anybody, random};
};

Errc error_of(const Result<Handshake::Step>& step) {
  REQUIRE(!step.has_value());
  return step.error().code;
}

}  // namespace

TEST_CASE("handshake: both sides come to know each other, and take turns in proving") {
  Pair pair(make_identity(1), make_identity(2));
  CHECK(pair.acceptor.begin().empty());
  const auto hello = pair.acceptor.on_frame(frame_of(pair.dialler.begin()));
  REQUIRE(hello.has_value());
  CHECK(!hello->done);
  const auto proof = pair.dialler.on_frame(frame_of(hello->send));
  REQUIRE(proof.has_value());
  CHECK(!proof->done);
  const auto answer = pair.acceptor.on_frame(frame_of(proof->send));
  REQUIRE(answer.has_value());
  CHECK(answer->done);
  const auto end = pair.dialler.on_frame(frame_of(answer->send));
  REQUIRE(end.has_value());
  CHECK(end->done);
  CHECK(end->send.empty());
  CHECK(pair.dialler.peer() == make_member(2));
  CHECK(pair.acceptor.peer() == make_member(1));
  CHECK(pair.dialler.seed_out() == pair.acceptor.seed_in());
  CHECK(pair.dialler.seed_in() == pair.acceptor.seed_out());
  CHECK(pair.dialler.seed_in() != pair.dialler.seed_out());
}

TEST_CASE("handshake: golden bytes of version 2") {
  Pair pair(make_identity(1), make_identity(2));
  const auto hello = pair.acceptor.on_frame(frame_of(pair.dialler.begin()));
  REQUIRE(hello.has_value());
  const auto proof = pair.dialler.on_frame(frame_of(hello->send));
  REQUIRE(proof.has_value());
  const auto answer = pair.acceptor.on_frame(frame_of(proof->send));
  REQUIRE(answer.has_value());
  CHECK(test::to_hex(frame_of(pair.dialler.begin()).payload) ==
        "0200070001000000"
        "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
        "0100000000000000"
        "0200000000000000"
        "0300000000000000"
        "0400000000000000"
        "0700000000000000"
        "e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5"
        "636c7573746572");
  CHECK(test::to_hex(frame_of(proof->send).payload) ==
        "c77fb548d65956a69fd428792309459ae34a6c62a475c2674ea3044669f8043b");
  CHECK(test::to_hex(frame_of(answer->send).payload) ==
        "9f8c9ef271c7565013f798e36778a95ab1387cb48602c42facb373ebef7e03b1");
  CHECK(pair.dialler.seed_out() == 17017680051458570179ull);
  CHECK(pair.dialler.seed_in() == 2050853903736461368);
}

TEST_CASE("handshake: another secret is found out by the acceptor, before it has proved anything") {
  Pair pair(make_identity(1, "another secret ..."), make_identity(2));
  const auto hello = pair.acceptor.on_frame(frame_of(pair.dialler.begin()));
  REQUIRE(hello.has_value());
  const auto proof = pair.dialler.on_frame(frame_of(hello->send));
  REQUIRE(proof.has_value());
  CHECK(error_of(pair.acceptor.on_frame(frame_of(proof->send))) == Errc::bad_request);
}

TEST_CASE("handshake: no proof is good for the other side, another node or another connection") {
  Pair pair(make_identity(1), make_identity(2));
  const auto hello = pair.acceptor.on_frame(frame_of(pair.dialler.begin()));
  REQUIRE(hello.has_value());
  const Frame proof = frame_of(pair.dialler.on_frame(frame_of(hello->send))->send);
  SUBCASE("the dialler's own comes back") {
    CHECK(error_of(pair.dialler.on_frame(proof)) == Errc::bad_request);
  }
  SUBCASE("its connection is another") {
    Handshake later(pair.two, Side::acceptor, anybody, pair.random);
    REQUIRE(later.on_frame(frame_of(pair.dialler.begin())).has_value());
    CHECK(error_of(later.on_frame(proof)) == Errc::bad_request);
  }
  SUBCASE("one bit of it is another") {
    for (std::size_t i = 0; i < proof.payload.size(); ++i) {
      Handshake acceptor = pair.acceptor;
      Frame changed = proof;
      changed.payload[i] = static_cast<char>(changed.payload[i] ^ 1);
      CHECK(error_of(acceptor.on_frame(changed)) == Errc::bad_request);
    }
  }
  SUBCASE("it is cut off, or longer") {
    for (const std::string& payload :
         {std::string(), proof.payload.substr(1), proof.payload + "x"}) {
      Handshake acceptor = pair.acceptor;
      CHECK(error_of(acceptor.on_frame({FrameKind::proof, payload, ""})) == Errc::bad_request);
    }
  }
  SUBCASE("the hello was changed on its way") {
    const std::string sent = frame_of(pair.dialler.begin()).payload;
    for (std::size_t i = hello_fields::kNode; i < hello_fields::kName; ++i) {
      CAPTURE(i);
      std::string changed = sent;
      changed[i] = static_cast<char>(changed[i] ^ 4);
      CountingRandom same;  // so that the acceptor's nonce is the one that was proved
      for (int k = 0; k < 4; ++k) CHECK(same.next() > 0);
      Handshake acceptor(pair.two, Side::acceptor, anybody, same);
      REQUIRE(acceptor.on_frame({FrameKind::hello, changed, ""}).has_value());
      CHECK(error_of(acceptor.on_frame(proof)) == Errc::bad_request);
    }
    CountingRandom same;
    for (int k = 0; k < 4; ++k) CHECK(same.next() > 0);
    Handshake acceptor(pair.two, Side::acceptor, anybody, same);
    REQUIRE(acceptor.on_frame({FrameKind::hello, sent, ""}).has_value());
    CHECK(acceptor.on_frame(proof).has_value());
  }
}

TEST_CASE("handshake: frames come in their order or not at all") {
  Pair pair(make_identity(1), make_identity(2));
  const Frame hello = frame_of(pair.dialler.begin());
  for (const FrameKind kind : {FrameKind::proof, FrameKind::message, FrameKind::file}) {
    CHECK(error_of(pair.acceptor.on_frame({kind, "", ""})) == Errc::corruption);
  }
  REQUIRE(pair.acceptor.on_frame(hello).has_value());
  CHECK(error_of(pair.acceptor.on_frame(hello)) == Errc::corruption);
}

TEST_CASE("handshake: a refusal is told to the log in characters that do no harm") {
  Pair pair(make_identity(1), make_identity(2));
  const auto step = pair.dialler.on_frame(frame_of(encode_refusal("no\x1b[2J\n you")));
  REQUIRE(!step.has_value());
  CHECK(step.error().context == "refused by the other side: no?[2J? you");
  CHECK(pair.dialler.was_refused());
  CHECK(frame_of(encode_refusal(std::string(5000, 'x'))).payload.size() == kRefusalBytesMax);
}

TEST_CASE("hello: malformed ones are refused, one by one") {
  const Hello hello{"cluster", make_member(3), make_identity(3).incarnation, {}};
  const std::string good = encode_hello(hello);
  REQUIRE(decode_hello(good).has_value());
  CHECK(*decode_hello(good) == hello);
  const auto code_of = [](std::string_view bytes) {
    const auto decoded = decode_hello(bytes);
    REQUIRE(!decoded.has_value());
    return decoded.error().code;
  };
  for (std::size_t length = 0; length < good.size(); ++length) {
    CAPTURE(length);
    CHECK(code_of(std::string_view(good).substr(0, length)) == Errc::corruption);
  }
  CHECK(code_of(good + "x") == Errc::corruption);
  std::string bytes = good;
  put(bytes.data() + hello_fields::kReserved, std::uint8_t{1});
  CHECK(code_of(bytes) == Errc::corruption);
  bytes = good;
  put(bytes.data() + hello_fields::kVersion, std::uint16_t{1});
  CHECK(code_of(bytes) == Errc::unsupported_format);
  // Whatever else the other version has.
  CHECK(code_of(bytes.substr(0, 2)) == Errc::unsupported_format);
}
