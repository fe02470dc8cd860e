// How much of a log is kept.
#pragma once

#include <chrono>
#include <cstdint>

#include "engine/base/types.h"

namespace keelson::log {

/// When the oldest full segment of a partition may go: as soon as one of the limits says so. The
/// segment that is written stays in any case.
struct Retention {
  /// The newest `bytes` of full segments are kept at least; 0: all.
  std::uint64_t bytes = 0;
  /// Events are kept for so long at least; 0: for ever.
  std::chrono::seconds age{0};

  bool operator==(const Retention&) const = default;

  [[nodiscard]] bool keeps_all() const { return bytes == 0 && age.count() == 0; }

  /// The oldest full segment, and the time.
  struct Oldest {
    std::uint64_t bytes;
    TimeUs last_time;  ///< of its newest event
    TimeUs now;
  };
  /// @param all_bytes  of all full segments, the oldest included.
  [[nodiscard]] bool expires(const Oldest& oldest, std::uint64_t all_bytes) const {
    using std::chrono::microseconds;
    if (bytes != 0 && all_bytes >= oldest.bytes && all_bytes - oldest.bytes >= bytes) return true;
    return age.count() != 0 &&
           oldest.now - oldest.last_time > std::chrono::duration_cast<microseconds>(age).count();
  }
};

}  // namespace keelson::log
