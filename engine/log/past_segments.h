// What is left of the segments that retention has removed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/log_state.h"

namespace keelson::log {

/// A removed segment: its index is there, its events are not.
struct PastSegment {
  std::string path;            ///< of the segment's file, as it was
  LogPoint start;              ///< without the epoch, which no index has
  std::uint64_t used_end = 0;  ///< where its batches ended, in bytes
  std::uint64_t index_bytes = 0;
};

/// The removed segments of a log, oldest first, from batch 0 on and without a gap.
struct Past {
  std::vector<PastSegment> segments;
  LogPoint end;  ///< where the first segment that has been kept begins; without the epoch

  [[nodiscard]] bool contains(BatchNo first_batch) const;
};

/// Reads a header and a block of each index file; `names` is what is in the folder.
/// @error corruption, unsupported_format  an index is damaged, missing or of another log. Nothing
///                                        can make it again: what it knew is lost.
[[nodiscard]] Result<Past> read_past(io::FileSystem& files, const std::string& folder,
                                     const Uuid& identity, const std::vector<std::string>& names);

/// The end of the removed segment whose index is the file `path`; without the epoch.
/// @param start  where it must begin.
/// @error corruption, unsupported_format  as above.
[[nodiscard]] Result<LogPoint> look_at_past(io::FileSystem& files, const std::string& path,
                                            const Uuid& identity, const LogPoint& start);

}  // namespace keelson::log
