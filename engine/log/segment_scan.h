// Walking the batches of one segment from its first byte, as opening does. Pure: bytes in, findings
// out; the caller repairs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "engine/log/log_state.h"
#include "engine/log/stored_batch.h"

namespace keelson::log {

/// Sees each batch that a scan has verified. An error ends the scan.
using BatchVisitor = std::function<Result<void>(const StoredBatch&)>;

/// What lies after the last whole batch and is not zero: a write that a crash cut short.
struct TornBytes {
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
};

struct SegmentScan {
  LogState end;                ///< after the last whole batch
  std::uint64_t position = 0;  ///< where the next batch goes
  std::optional<TornBytes> torn;
};

/// Scans the segment that is still written: verifies every batch (checksums, continuity, frames,
/// Merkle root), then tells a torn tail from corruption.
///
/// A batch that fails its checksum is torn unless a batch after it says that it had been durable
/// (`durable_batches`): then it was whole once, and it is corruption. What cannot be told apart
/// stands in docs/log-format.md, "Torn or corrupt".
/// @param segment  all bytes of the file; `start` is from its header.
/// @error corruption          context has the byte, not the file.
/// @error unsupported_format
[[nodiscard]] Result<SegmentScan> scan_tail(std::string_view segment, const LogState& start,
                                            ChecksumSeed seed, const BatchVisitor& visit);

/// Scans a segment that another one follows: all of it was durable, so nothing of it can be torn.
/// The batches must end at `next`, where the following segment starts.
/// @return where the batches end.
/// @error corruption, unsupported_format  as above
[[nodiscard]] Result<std::uint64_t> scan_sealed(std::string_view segment, const LogState& start,
                                                const LogPoint& next, ChecksumSeed seed,
                                                const BatchVisitor& visit);

}  // namespace keelson::log
