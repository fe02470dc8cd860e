// Constants and layout of what nodes send each other, version 1. The description, with tables, is
// docs/replication.md, "Transport"; a change here changes that page and the golden bytes in
// tests/engine/transport/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace keelson::transport {

inline constexpr std::uint32_t kFrameMagic = 0x31544C4B;  // "KLT1" as bytes
/// How frames are taken apart. What they mean is the protocol's version, in the hello.
inline constexpr std::uint16_t kFrameVersion = 1;

/// Positions of a frame header's fields.
namespace frame_header {
inline constexpr std::size_t kMagic = 0;
inline constexpr std::size_t kVersion = 4;
inline constexpr std::size_t kKind = 6;
inline constexpr std::size_t kReserved = 7;  ///< zero
inline constexpr std::size_t kPayloadLength = 8;
inline constexpr std::size_t kRegionLength = 12;
inline constexpr std::size_t kPayloadChecksum = 16;
inline constexpr std::size_t kHeaderChecksum = 24;  ///< of all before it
inline constexpr std::size_t kBytes = 32;
}  // namespace frame_header

enum class FrameKind : std::uint8_t {
  hello = 1,
  proof = 2,
  refusal = 3,  ///< why the connection ends before it has begun
  message = 4,
  file = 5,  ///< a message, then a region of a file without a checksum
};

// --- handshake ---
inline constexpr std::uint16_t kProtocolVersion = 2;

/// Positions of a hello's fields.
namespace hello_fields {
inline constexpr std::size_t kVersion = 0;  ///< stays here in all versions
inline constexpr std::size_t kNameLength = 2;
inline constexpr std::size_t kReserved = 3;  ///< zero
inline constexpr std::size_t kNode = 4;
inline constexpr std::size_t kData = 8;
inline constexpr std::size_t kNonce = 24;
inline constexpr std::size_t kStart = 56;        ///< number of its incarnation
inline constexpr std::size_t kIncarnation = 64;  ///< its id
inline constexpr std::size_t kName = 80;         ///< of the cluster, to the end
}  // namespace hello_fields

inline constexpr std::size_t kNonceBytes = 32;
inline constexpr std::size_t kProofBytes = 32;
inline constexpr std::size_t kClusterNameBytesMax = 255;
inline constexpr std::size_t kRefusalBytesMax = 256;
/// Of any payload before the other side is known.
inline constexpr std::size_t kHandshakeBytesMax = 512;
static_assert(hello_fields::kName + kClusterNameBytesMax <= kHandshakeBytesMax);
static_assert(kRefusalBytesMax <= kHandshakeBytesMax);

/// What the proofs of the two sides are made of, before both hellos: one cannot be the other's.
inline constexpr std::string_view kDiallerLabel = "keelson transport 1 dialler";
inline constexpr std::string_view kAcceptorLabel = "keelson transport 1 acceptor";

}  // namespace keelson::transport
