// Making segment files.
#pragma once

#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/open_segment.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

/// Makes the segment that starts at `header.start`, with room on disk for `header.capacity` bytes.
/// Durable but for its name: the caller syncs the folder.
///
/// The room is allocated and not written, so this takes two syncs' time whatever the size; the
/// writer turns it into written zeros as it goes (`LogWriter`).
///
/// Crash: it is made as `next.tmp`, which is never looked at again; `remove_unfinished_segment`
/// removes it. A file gets a segment's name only when its header is durable, so a segment's header
/// that cannot be read is corruption always.
/// @error disk_full, io_error  there is no such segment.
[[nodiscard]] Result<std::shared_ptr<SegmentFile>> create_segment(io::FileSystem& files,
                                                                  const std::string& folder,
                                                                  const SegmentHeader& header);

/// Removes what a crash, or a failure to make a segment, left behind.
[[nodiscard]] Result<void> remove_unfinished_segment(io::FileSystem& files,
                                                     const std::string& folder);

}  // namespace keelson::log
