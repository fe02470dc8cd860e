// What readers may see of a log, shared by everything that reads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/result.h"
#include "engine/log/batch.h"
#include "engine/log/open_segment.h"
#include "engine/log/segment.h"
#include "engine/log/segment_group.h"
#include "engine/log/segment_index.h"
#include "engine/log/stored_batch.h"

namespace keelson::log {

/// The segments and how far they are published. Thread-safe. Readers take `end` first: it makes
/// everything below it visible.
struct PublishedLog {
  explicit PublishedLog(SegmentContext segment_context)
      : context(std::move(segment_context)),
        seed(checksum_seed(context.identity)),
        hasher(context.identity) {}

  const SegmentContext context;  ///< of all its segments
  const ChecksumSeed seed;
  const KeyHasher hasher;
  SegmentList segments;
  GroupList groups;
  std::atomic<std::uint64_t> end_offset = 0;
  std::atomic<std::uint64_t> start_offset = 0;  ///< above 0 once retention has removed segments
  std::atomic<std::uint64_t> beginnings = 0;    ///< how often it was given another beginning
  /// Makes damaged indexes again: see `repairing`. Set by the log that owns this.
  std::function<Result<bool>(std::uint64_t repairs_before)> repair_indexes;
  std::atomic<std::uint64_t> index_repairs = 0;  ///< made so far

  [[nodiscard]] Offset end() const { return Offset(end_offset.load(std::memory_order_acquire)); }
  [[nodiscard]] Offset start() const {
    return Offset(start_offset.load(std::memory_order_acquire));
  }
};

/// `what` was in a segment that retention has removed.
[[nodiscard]] std::unexpected<Error> removed(const PublishedLog& log, const std::string& what);

/// Runs a look-up. An index is derived: when one turns out damaged, gone or of another format it
/// is made again from its segment, and the look-up is run once more.
template <class Lookup>
[[nodiscard]] auto repairing(const PublishedLog& log, const Lookup& lookup) -> decltype(lookup()) {
  const std::uint64_t before = log.index_repairs.load(std::memory_order_acquire);
  auto found = lookup();
  if (found || !is_damage(found.error().code)) return found;
  KEELSON_TRY_ASSIGN(const bool repaired, log.repair_indexes(before));
  return repaired ? lookup() : std::move(found);
}

/// The batch at `position` of a segment, its header checked and its body not: who reads that asks
/// `check_read` afterwards.
/// @error corruption  context has file and byte.
[[nodiscard]] Result<StoredBatch> batch_at(const SegmentFile& file, std::uint64_t position,
                                           ChecksumSeed seed);

/// `error` with the file and the byte where it was found.
[[nodiscard]] Error located(Error error, const SegmentFile& file, std::uint64_t position);

}  // namespace keelson::log
