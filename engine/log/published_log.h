// What readers may see of a log, shared by everything that reads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/base/result.h"
#include "engine/log/batch.h"
#include "engine/log/segment.h"
#include "engine/log/segment_index.h"
#include "engine/log/stored_batch.h"
#include "engine/log/verified_batches.h"

namespace keelson::log {

/// The segments and how far they are published. Thread-safe. Readers take `end` first: it makes
/// everything below it visible.
struct PublishedLog {
  explicit PublishedLog(const Uuid& identity) : seed(checksum_seed(identity)), hasher(identity) {}

  const ChecksumSeed seed;
  const KeyHasher hasher;
  SegmentList segments;
  mutable SegmentFileCache files;
  mutable VerifiedBatches verified;
  std::atomic<std::uint64_t> end_offset = 0;

  [[nodiscard]] Offset end() const { return Offset(end_offset.load(std::memory_order_acquire)); }
  [[nodiscard]] Offset start() const { return segments.all()->front()->start().end; }
};

/// The batch at `position` of a segment, its header checked and its body not.
/// @error corruption  context has file and byte.
[[nodiscard]] Result<StoredBatch> batch_at(const SegmentFile& file, std::uint64_t position,
                                           ChecksumSeed seed);

/// `error` with the file and the byte where it was found.
[[nodiscard]] Error located(Error error, const SegmentFile& file, std::uint64_t position);

}  // namespace keelson::log
