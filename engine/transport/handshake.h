// How two nodes find out whether they belong together. Private to the library.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/replication/member.h"
#include "engine/transport/frame.h"

namespace keelson::transport {

using replication::Incarnation;
using replication::Member;
using replication::NodeId;

/// What a node says it is, and what it knows.
struct Identity {
  std::string cluster;
  std::string secret;
  Member self;
  Incarnation incarnation;
};

/// The beginning of a connection as one side says it.
struct Hello {
  std::string cluster;
  Member member;
  Incarnation incarnation;
  std::array<std::byte, kNonceBytes> nonce{};
  bool operator==(const Hello&) const = default;
};

[[nodiscard]] std::string encode_hello(const Hello& hello);
/// @error unsupported_format  of another version of the protocol.
/// @error corruption          not what `encode_hello` writes.
[[nodiscard]] Result<Hello> decode_hello(std::string_view bytes);

enum class Side { dialler, acceptor };

/// One side of a handshake, as a pure step machine: frames come in, bytes go out.
///
///     dialler                                acceptor
///        hello  ---------------------------->
///               <----------------------------  hello
///        proof  ---------------------------->
///               <----------------------------  proof
///
/// A proof is an HMAC-SHA256 by the cluster's secret over the side's label and both hellos: both
/// nonces and both identities are in it, so that it is good for this connection and this side only.
/// The acceptor proves nothing before it has seen a proof.
///
/// Invariants: `peer` has proved the secret once `Step::done` was returned; the nonce is new for
/// each handshake.
class Handshake {
 public:
  /// Whether the other side may be that member.
  using Admit = std::function<Result<void>(const Member& peer, const Incarnation& incarnation)>;

  /// @param identity  must outlive the handshake.
  Handshake(const Identity& identity, Side side, Admit admit, Random& random);

  /// What goes out before anything came: nothing from an acceptor.
  [[nodiscard]] std::string begin() const;

  struct Step {
    std::string send;
    bool done = false;
  };
  /// @error  why the other side is refused, or has refused (see `was_refused`).
  [[nodiscard]] Result<Step> on_frame(const Frame& frame);

  /// The error came from the other side, and need not be told there.
  [[nodiscard]] bool was_refused() const { return was_refused_; }

  /// Who the other side says it is; after the first step.
  [[nodiscard]] const Member& peer() const { return theirs_.member; }
  [[nodiscard]] const Incarnation& incarnation() const { return theirs_.incarnation; }
  /// Of the checksums of frames that are sent and received after the handshake.
  [[nodiscard]] std::uint64_t seed_out() const;
  [[nodiscard]] std::uint64_t seed_in() const;

 private:
  enum class Awaited { hello, proof, nothing };

  [[nodiscard]] Result<Step> on_hello(const Frame& frame);
  [[nodiscard]] Result<Step> on_proof(const Frame& frame);
  [[nodiscard]] Result<void> check_hello() const;
  [[nodiscard]] std::string proof_of(Side side) const;
  /// Both hellos, the dialler's first.
  [[nodiscard]] std::string transcript() const;

  const Identity& identity_;
  const Side side_;
  const Admit admit_;
  Hello ours_;
  Hello theirs_;
  Awaited awaited_ = Awaited::hello;
  bool was_refused_ = false;
};

/// The frame that tells the other side why.
[[nodiscard]] std::string encode_refusal(std::string_view reason);

}  // namespace keelson::transport
