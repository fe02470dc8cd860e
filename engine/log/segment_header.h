// The first block of a segment file. The layout is docs/log-format.md, section "Segment".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/log/log_state.h"

namespace keelson::log {

/// What a segment knows of all that came before it, so that opening needs no other segment.
struct SegmentHeader {
  Uuid identity;               ///< of the partition
  std::uint64_t capacity = 0;  ///< bytes of the file as it was made, this block included
  LogState start;
};

/// `kSegmentHeaderBytes` bytes, checksum included.
[[nodiscard]] std::string encode_segment_header(const SegmentHeader& header);

/// @error corruption          magic, checksum or a field is wrong.
/// @error unsupported_format  whole, but of a later format version, or of another partition.
[[nodiscard]] Result<SegmentHeader> decode_segment_header(std::string_view bytes,
                                                          const Uuid& identity);

/// `00000000000000000042.seg`: sorts as numbers do.
[[nodiscard]] std::string segment_name(BatchNo first_batch);
/// Nothing when `name` is not a segment's.
[[nodiscard]] std::optional<BatchNo> parse_segment_name(std::string_view name);

}  // namespace keelson::log
