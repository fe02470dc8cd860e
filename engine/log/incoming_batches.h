// Batches of another replica, verified, and how they will be written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "engine/log/log_state.h"
#include "engine/log/segment_fill.h"

namespace keelson::log {

/// The end of a log, real or to be: what verifying further batches goes on from.
struct LogPlace {
  LogState state;
  SegmentFill fill;  ///< of the last segment
  BatchNo durable;   ///< all before is durable; perhaps more
};

/// Made by `PartitionLog::verify_batches`, from a thread of its own if need be: hashing them takes
/// longer than writing them. Never changed. The views are of `bytes`, so it stays where it is.
struct IncomingBatches {
  /// Those that are written at once, into one segment.
  struct Run {
    std::string_view bytes;
    BatchNo first;
    std::uint64_t entries = 0;
    LogState after;
    std::uint64_t roll_for = 0;  ///< bytes of the first batch when it needs a new segment
    BatchNo claims;              ///< what one of them knows to be durable; never after `first`
  };

  std::string bytes;
  LogPlace before;
  std::vector<Run> runs;
  LogPlace after;
};

}  // namespace keelson::log
