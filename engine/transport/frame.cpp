#include "engine/transport/frame.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "engine/base/coding.h"

namespace keelson::transport {

namespace {

std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

/// Moves bytes from the front of `bytes` to `to`, until that has `length`; whether it has.
bool fill(std::string& to, std::size_t length, std::string_view& bytes) {
  const std::string_view taken = bytes.substr(0, std::min(length - to.size(), bytes.size()));
  to.append(taken);
  bytes.remove_prefix(taken.size());
  return to.size() == length;
}

bool is_kind(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(FrameKind::hello) &&
         kind <= static_cast<std::uint8_t>(FrameKind::file);
}

}  // namespace

FrameHeader make_frame_header(FrameKind kind, std::uint64_t seed, std::string_view payload,
                              std::uint32_t region_length) {
  FrameHeader header{};
  put(header.data() + frame_header::kMagic, kFrameMagic);
  put(header.data() + frame_header::kVersion, kFrameVersion);
  put(header.data() + frame_header::kKind, static_cast<std::uint8_t>(kind));
  put(header.data() + frame_header::kPayloadLength, static_cast<std::uint32_t>(payload.size()));
  put(header.data() + frame_header::kRegionLength, region_length);
  put(header.data() + frame_header::kPayloadChecksum, checksum(payload, seed));
  put(header.data() + frame_header::kHeaderChecksum,
      checksum(bytes_of(header).substr(0, frame_header::kHeaderChecksum), seed));
  return header;
}

std::string encode_frame(FrameKind kind, std::uint64_t seed, std::string_view payload) {
  std::string bytes(bytes_of(make_frame_header(kind, seed, payload)));
  bytes += payload;
  return bytes;
}

void FrameParser::set_rules(FrameRules rules) {
  KEELSON_ASSERT(!within_frame());
  rules_ = rules;
}

Result<std::optional<Frame>> FrameParser::take(std::string_view& bytes) {
  if (header_.size() < frame_header::kBytes) {
    if (!fill(header_, frame_header::kBytes, bytes)) return std::nullopt;
    KEELSON_TRY(read_header());
  }
  if (!payload_good_) {
    if (!fill(frame_.payload, payload_length_, bytes)) return std::nullopt;
    KEELSON_TRY(check_payload());
    payload_good_ = true;
  }
  if (!fill(frame_.region, region_length_, bytes)) return std::nullopt;
  header_.clear();
  payload_good_ = false;
  return std::exchange(frame_, Frame{});
}

Result<void> FrameParser::read_header() {
  if (get<std::uint32_t>(header_, frame_header::kMagic) != kFrameMagic) {
    return fail(Errc::corruption, "what came is not a frame");
  }
  // Before the checksum: of another version it may stand elsewhere.
  const auto version = get<std::uint16_t>(header_, frame_header::kVersion);
  if (version != kFrameVersion) {
    return fail(Errc::unsupported_format, "frames of version " + std::to_string(version) +
                                              " are not understood, only " +
                                              std::to_string(kFrameVersion));
  }
  const std::string_view checked =
      std::string_view(header_).substr(0, frame_header::kHeaderChecksum);
  if (get<std::uint64_t>(header_, frame_header::kHeaderChecksum) !=
      checksum(checked, rules_.seed)) {
    return fail(Errc::corruption, "a frame's header fails its checksum");
  }
  const auto kind = get<std::uint8_t>(header_, frame_header::kKind);
  if (!is_kind(kind) || get<std::uint8_t>(header_, frame_header::kReserved) != 0) {
    return fail(Errc::corruption, "a frame of unknown kind " + std::to_string(kind));
  }
  frame_.kind = static_cast<FrameKind>(kind);
  payload_length_ = get<std::uint32_t>(header_, frame_header::kPayloadLength);
  region_length_ = get<std::uint32_t>(header_, frame_header::kRegionLength);
  payload_checksum_ = get<std::uint64_t>(header_, frame_header::kPayloadChecksum);
  if (payload_length_ > rules_.payload_bytes_max) {
    return fail(Errc::too_large, "a frame of " + std::to_string(payload_length_) +
                                     " bytes is over the limit of " +
                                     std::to_string(rules_.payload_bytes_max));
  }
  if (region_length_ > rules_.region_bytes_max) {
    return fail(Errc::too_large, "a region of " + std::to_string(region_length_) +
                                     " bytes is over the limit of " +
                                     std::to_string(rules_.region_bytes_max));
  }
  if (region_length_ != 0 && frame_.kind != FrameKind::file) {
    return fail(Errc::corruption, "a region in a frame that has none");
  }
  frame_.region.reserve(region_length_);
  return {};
}

Result<void> FrameParser::check_payload() const {
  if (checksum(frame_.payload, rules_.seed) != payload_checksum_) {
    return fail(Errc::corruption, "a frame's payload fails its checksum");
  }
  return {};
}

}  // namespace keelson::transport
