// Where a log ends: what the next batch must continue from.
#pragma once

#include "engine/base/types.h"
#include "engine/log/batch.h"
#include "engine/log/merkle.h"

namespace keelson::log {

/// A place between two batches.
struct LogPoint {
  BatchNo next_batch;
  Offset end;        ///< offset of the next event
  Epoch last_epoch;  ///< of the batch before; 0 at the start of the log
  TimeUs last_time;  ///< of the batch before; 0 at the start of the log
  bool operator==(const LogPoint&) const = default;

  /// Moves past `batch`, which must follow.
  void advance(const BatchHeader& batch) {
    next_batch = batch.batch_no + 1;
    end = batch.end_offset();
    last_epoch = batch.epoch;
    last_time = batch.time;
  }
};

/// The same with the Merkle tree over all events before it.
struct LogState {
  LogPoint point;
  MerkleFrontier tree;
};

/// Whether `batch` is the one that comes next.
/// @error corruption  context says which number does not follow.
[[nodiscard]] Result<void> check_follows(const BatchHeader& batch, const LogPoint& point);

}  // namespace keelson::log
