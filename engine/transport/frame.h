// Frames: how bytes on a connection become messages. Private to the library.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/transport/frame_format.h"

namespace keelson::transport {

using FrameHeader = std::array<char, frame_header::kBytes>;

/// @param seed           of the checksums, of this connection and direction.
/// @param region_length  of the bytes that follow the payload.
[[nodiscard]] FrameHeader make_frame_header(FrameKind kind, std::uint64_t seed,
                                            std::string_view payload,
                                            std::uint32_t region_length = 0);
/// Header and payload.
[[nodiscard]] std::string encode_frame(FrameKind kind, std::uint64_t seed,
                                       std::string_view payload);

struct Frame {
  FrameKind kind{};
  std::string payload;
  std::string region;
  bool operator==(const Frame&) const = default;
};

/// What may come now.
struct FrameRules {
  std::uint64_t seed = 0;
  std::uint32_t payload_bytes_max = kHandshakeBytesMax;
  std::uint32_t region_bytes_max = 0;
};

/// Takes frames off a connection's bytes, however they arrive.
///
/// Invariants: a length is believed only after the header's checksum, and never over the limit; the
/// memory taken is at most twice what has arrived, whatever the lengths say; of a frame that fails
/// its checksum nothing is handed out. Of no use after an error.
class FrameParser {
 public:
  explicit FrameParser(FrameRules rules) : rules_(rules) {}

  /// From the next frame on.
  void set_rules(FrameRules rules);

  /// Takes bytes off the front of `bytes`, until a frame is complete (which is returned) or there
  /// are none left (nothing is).
  /// @error unsupported_format  another version's frame.
  /// @error corruption          no frame, or a damaged one.
  /// @error too_large           over the limits.
  [[nodiscard]] Result<std::optional<Frame>> take(std::string_view& bytes);

  /// Whether a part of a frame has come.
  [[nodiscard]] bool within_frame() const { return !header_.empty(); }

 private:
  [[nodiscard]] Result<void> read_header();
  [[nodiscard]] Result<void> check_payload() const;

  FrameRules rules_;
  std::string header_;
  Frame frame_;
  std::uint32_t payload_length_ = 0;
  std::uint32_t region_length_ = 0;
  std::uint64_t payload_checksum_ = 0;
  bool payload_good_ = false;
};

}  // namespace keelson::transport
