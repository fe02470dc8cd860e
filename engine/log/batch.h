// The header of a batch. The layout is docs/log-format.md, section "Batch".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/log/codec.h"
#include "engine/log/log_format.h"
#include "engine/log/merkle.h"
#include "engine/log/record.h"

namespace keelson::log {

struct BatchHeader {
  BatchKind kind = BatchKind::events;
  Codec codec = Codec::none;
  std::uint32_t length = 0;  ///< header and body, without padding
  std::uint32_t event_count = 0;
  std::uint32_t commit_count = 0;
  BatchNo batch_no;
  Epoch epoch;
  Offset base_offset;
  TimeUs time;
  /// All batches below this were durable when this one was written. Recovery uses it to tell a
  /// torn batch from one that was whole and has rotted.
  BatchNo durable_batches;
  Hash tree_root{};  ///< over all events of the partition up to and with this batch
  std::uint64_t body_checksum = 0;

  [[nodiscard]] Offset end_offset() const { return base_offset + event_count; }
  /// Bytes from its start to where the next batch starts.
  [[nodiscard]] std::uint64_t padded_bytes() const { return align_batch(length); }
};

/// Mixed into every checksum of a partition: bytes of another partition, or a batch that a user
/// has put into an event's data, are not taken for a batch of this one.
using ChecksumSeed = std::uint64_t;
[[nodiscard]] ChecksumSeed checksum_seed(const Uuid& identity);
[[nodiscard]] std::uint64_t checksum(std::string_view bytes, ChecksumSeed seed);

/// The header's bytes, checksum included.
[[nodiscard]] std::array<char, kBatchHeaderBytes> encode_batch_header(const BatchHeader& header,
                                                                      ChecksumSeed seed);

/// Reads the header at the start of `bytes`.
/// @error corruption          magic, checksum, a length or a reserved field is wrong.
/// @error unsupported_format  whole, but of a later format version or codec.
[[nodiscard]] Result<BatchHeader> decode_batch_header(std::string_view bytes, ChecksumSeed seed);

/// The bytes of the batch at the start of `bytes`, header and padding included, by the length in
/// its header alone; nothing when that cannot be. For a batch whose header has been decoded before.
[[nodiscard]] std::string_view batch_bytes(std::string_view bytes);

/// Checks the body checksum. `batch` begins with the header and is `padded_bytes()` long.
/// @error corruption
[[nodiscard]] Result<void> check_batch_body(const BatchHeader& header, std::string_view batch,
                                            ChecksumSeed seed);

}  // namespace keelson::log
