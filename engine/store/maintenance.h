// How the work on a log goes that nobody waits for.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/types.h"

namespace keelson {

/// The kinds of that work.
enum class Maintenance {
  segments,     ///< indexes full ones, makes filters over groups
  retention,    ///< removes the oldest segments
  compression,  ///< compresses full ones
};
inline constexpr std::array kAllMaintenance{Maintenance::segments, Maintenance::retention,
                                            Maintenance::compression};

/// `segments`, `retention`, `compression`.
[[nodiscard]] constexpr std::string_view to_string(Maintenance work) {
  switch (work) {
    case Maintenance::segments: return "segments";
    case Maintenance::retention: return "retention";
    case Maintenance::compression: break;
  }
  return "compression";
}

/// Nothing is lost when it fails, and it is tried again; but nobody is answered with the error, and
/// what it is for does not happen: the disk fills.
struct MaintenanceStatus {
  std::uint64_t failures = 0;    ///< tries that have failed since the start
  std::optional<Error> failing;  ///< of the last try; none: it did what there was to do
};

/// The work of one partition begins to fail, fails for another reason, or works again.
struct MaintenanceChange {
  std::string topic;
  PartitionId partition;
  Maintenance work;
  std::optional<Error> failing;  ///< none: it works again
};

}  // namespace keelson
