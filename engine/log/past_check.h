// Verifies what is left of the segments that retention has removed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"
#include "engine/log/log_finding.h"
#include "engine/log/log_state.h"

namespace keelson::log {

struct PastCheck {
  std::vector<BatchNo> removed;  ///< first batches of the segments whose index is good
  /// Where the log goes on, without epoch and time; nothing when the last index is damaged.
  std::optional<LogPoint> end = LogPoint();
  std::vector<LogFinding> findings;
};

/// Reads every index of a removed segment whole, one at a time. Nothing could make one again, so
/// whatever is wrong with it is `lost`, or of a newer version, or cannot be read.
/// @param names    what is in the folder.
/// @param fetched  those count as well that came from another replica: see log_install.h.
[[nodiscard]] PastCheck check_past(io::FileSystem& files, const std::string& folder,
                                   const Uuid& identity, const std::vector<std::string>& names,
                                   bool fetched);

}  // namespace keelson::log
