#include "engine/transport/handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/coding.h"

namespace keelson::transport {

namespace {

/// Frames of the handshake; what comes later has seeds of its own.
constexpr std::uint64_t kHandshakeSeed = 0;

std::string_view label_of(Side side) {
  return side == Side::dialler ? kDiallerLabel : kAcceptorLabel;
}

Side other(Side side) { return side == Side::dialler ? Side::acceptor : Side::dialler; }

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::string code(kProofBytes, '\0');
  unsigned length = 0;
  const unsigned char* const done =
      ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(),
             reinterpret_cast<unsigned char*>(code.data()), &length);
  KEELSON_ASSERT(done != nullptr && length == kProofBytes);
  return code;
}

/// In a time that does not tell where they differ.
bool equal_secretly(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// What a stranger wrote, for a log.
std::string printable(std::string_view text) {
  std::string shown(text.substr(0, kRefusalBytesMax));
  std::ranges::replace_if(
      shown, [](char c) { return c < ' ' || c > '~'; }, '?');
  return shown;
}

std::string name_of(NodeId node) { return "node " + std::to_string(node.value); }

}  // namespace

std::string encode_hello(const Hello& hello) {
  KEELSON_ASSERT(hello.cluster.size() <= kClusterNameBytesMax);
  std::string bytes;
  append(bytes, kProtocolVersion);
  append(bytes, static_cast<std::uint8_t>(hello.cluster.size()));
  append(bytes, std::uint8_t{0});
  append(bytes, hello.member.node.value);
  bytes += bytes_of(hello.member.data.bytes);
  bytes += bytes_of(hello.nonce);
  append(bytes, hello.incarnation.number);
  bytes += bytes_of(hello.incarnation.id.bytes);
  bytes += hello.cluster;
  return bytes;
}

Result<Hello> decode_hello(std::string_view bytes) {
  if (bytes.size() < sizeof kProtocolVersion) return fail(Errc::corruption, "a hello is cut off");
  const auto version = get<std::uint16_t>(bytes, hello_fields::kVersion);
  if (version != kProtocolVersion) {
    return fail(Errc::unsupported_format, "version " + std::to_string(version) +
                                              " of the protocol is not spoken here, only " +
                                              std::to_string(kProtocolVersion));
  }
  if (bytes.size() < hello_fields::kName) return fail(Errc::corruption, "a hello is cut off");
  const std::string_view name = bytes.substr(hello_fields::kName);
  if (get<std::uint8_t>(bytes, hello_fields::kNameLength) != name.size() ||
      get<std::uint8_t>(bytes, hello_fields::kReserved) != 0) {
    return fail(Errc::corruption, "a hello contradicts itself");
  }
  Hello hello;
  hello.cluster = name;
  hello.member.node = NodeId(get<std::uint32_t>(bytes, hello_fields::kNode));
  std::memcpy(hello.member.data.bytes.data(), bytes.data() + hello_fields::kData,
              hello.member.data.bytes.size());
  std::memcpy(hello.nonce.data(), bytes.data() + hello_fields::kNonce, hello.nonce.size());
  hello.incarnation.number = get<std::uint64_t>(bytes, hello_fields::kStart);
  std::memcpy(hello.incarnation.id.bytes.data(), bytes.data() + hello_fields::kIncarnation,
              hello.incarnation.id.bytes.size());
  return hello;
}

Handshake::Handshake(const Identity& identity, Side side, Admit admit, Random& random)
    : identity_(identity), side_(side), admit_(std::move(admit)) {
  ours_.cluster = identity.cluster;
  ours_.member = identity.self;
  ours_.incarnation = identity.incarnation;
  for (std::size_t at = 0; at < kNonceBytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next();
    std::memcpy(ours_.nonce.data() + at, &word, sizeof word);
  }
}

std::string Handshake::begin() const {
  if (side_ == Side::acceptor) return {};
  return encode_frame(FrameKind::hello, kHandshakeSeed, encode_hello(ours_));
}

Result<Handshake::Step> Handshake::on_frame(const Frame& frame) {
  if (frame.kind == FrameKind::refusal) {
    was_refused_ = true;
    return fail(Errc::bad_request, "refused by the other side: " + printable(frame.payload));
  }
  if (frame.kind == FrameKind::hello && awaited_ == Awaited::hello) return on_hello(frame);
  if (frame.kind == FrameKind::proof && awaited_ == Awaited::proof) return on_proof(frame);
  return fail(Errc::corruption, "a frame that is not due in a handshake");
}

Result<Handshake::Step> Handshake::on_hello(const Frame& frame) {
  KEELSON_TRY_ASSIGN(theirs_, decode_hello(frame.payload));
  KEELSON_TRY(check_hello());
  awaited_ = Awaited::proof;
  if (side_ == Side::acceptor) {
    return Step{encode_frame(FrameKind::hello, kHandshakeSeed, encode_hello(ours_))};
  }
  return Step{encode_frame(FrameKind::proof, kHandshakeSeed, proof_of(side_))};
}

Result<Handshake::Step> Handshake::on_proof(const Frame& frame) {
  if (!equal_secretly(frame.payload, proof_of(other(side_)))) {
    return fail(Errc::bad_request,
                name_of(peer().node) + " has another secret than " + name_of(identity_.self.node));
  }
  awaited_ = Awaited::nothing;
  Step step{{}, true};
  if (side_ == Side::acceptor) {
    step.send = encode_frame(FrameKind::proof, kHandshakeSeed, proof_of(side_));
  }
  return step;
}

Result<void> Handshake::check_hello() const {
  if (theirs_.cluster != identity_.cluster) {
    return fail(Errc::bad_request, name_of(identity_.self.node) + " is of the cluster '" +
                                       printable(identity_.cluster) + "', not of '" +
                                       printable(theirs_.cluster) + "'");
  }
  if (theirs_.member == identity_.self && theirs_.incarnation != identity_.incarnation) {
    return fail(Errc::locked, "another process runs with the data folder of " +
                                  name_of(identity_.self.node) + ", or a copy of it");
  }
  if (theirs_.member == identity_.self) {
    return fail(Errc::bad_request, name_of(identity_.self.node) + " has reached itself");
  }
  if (theirs_.member.node == identity_.self.node) {
    return fail(Errc::bad_request, "two nodes call themselves " + name_of(identity_.self.node));
  }
  return admit_(theirs_.member, theirs_.incarnation);
}

std::string Handshake::transcript() const {
  const bool dialled = side_ == Side::dialler;
  return encode_hello(dialled ? ours_ : theirs_) + encode_hello(dialled ? theirs_ : ours_);
}

std::string Handshake::proof_of(Side side) const {
  return hmac_sha256(identity_.secret, std::string(label_of(side)) + transcript());
}

std::uint64_t Handshake::seed_out() const {
  const std::string text = std::string(label_of(side_)) + transcript();
  return XXH3_64bits(text.data(), text.size());
}

std::uint64_t Handshake::seed_in() const {
  const std::string text = std::string(label_of(other(side_))) + transcript();
  return XXH3_64bits(text.data(), text.size());
}

std::string encode_refusal(std::string_view reason) {
  return encode_frame(FrameKind::refusal, kHandshakeSeed, reason.substr(0, kRefusalBytesMax));
}

}  // namespace keelson::transport
