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

/// Whether a stored batch holds what it should.
enum class FoundBatch {
  whole,
  bad_header,  ///< no header that can be believed: its length is unknown
  bad_body,    ///< the header is whole, the body is not
};

/// Goes through batches that follow each other in memory, verifying all of each: its checksums,
/// that its numbers follow, its frames and its Merkle root.
class BatchScan {
 public:
  /// @param position  of the first one in `bytes`; `start` is where the log is there.
  BatchScan(std::string_view bytes, const LogState& start, ChecksumSeed seed,
            std::uint64_t position = kSegmentHeaderBytes)
      : bytes_(bytes), seed_(seed), state_(start), position_(position) {}

  /// Looks at the next batch: its header, that it follows, and its body's checksum.
  /// @error corruption, unsupported_format  it was written so; context has the byte.
  [[nodiscard]] Result<FoundBatch> look();
  /// Moves past the one that `look` has found whole, verifying its frames and its Merkle root.
  /// @error corruption, unsupported_format  context has the byte.
  [[nodiscard]] Result<void> take();
  /// Both, until one is not whole.
  [[nodiscard]] Result<FoundBatch> run(const BatchVisitor& visit);

  /// The one that was looked at last.
  [[nodiscard]] const StoredBatch& batch() const { return batch_; }
  /// After the last one taken.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] LogState& state() { return state_; }

 private:
  [[nodiscard]] Result<void> verify();

  std::string_view bytes_;
  ChecksumSeed seed_;
  LogState state_;
  std::uint64_t position_;
  StoredBatch batch_;
};

/// What lies after the last whole batch and is not zero: a write that a crash cut short, or a batch
/// that has rotted.
struct TornBytes {
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;   ///< to the last one that is not zero
  std::uint64_t extent = 0;  ///< to where the batches end that they are of, as far as that is known
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

/// A place between two batches of a segment.
struct SegmentPlace {
  LogState state;
  std::uint64_t position = 0;
  std::uint64_t entries = 0;  ///< events and commits before it
};

/// Scans a segment up to batch `to`. Everything before it was durable, so nothing can be torn.
/// @error corruption, unsupported_format  as above
[[nodiscard]] Result<SegmentPlace> scan_until(std::string_view segment, const LogState& start,
                                              BatchNo to, ChecksumSeed seed);

/// Scans a segment that another one follows: all of it was durable, so nothing of it can be torn.
/// The batches must end at `next`, where the following segment starts.
/// @return where the batches end.
/// @error corruption, unsupported_format  as above
[[nodiscard]] Result<std::uint64_t> scan_sealed(std::string_view segment, const LogState& start,
                                                const LogPoint& next, ChecksumSeed seed,
                                                const BatchVisitor& visit);

}  // namespace keelson::log
