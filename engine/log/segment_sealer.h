// Sealing: what is done once to a segment that is full.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/sealed_index.h"
#include "engine/log/tail_index.h"

namespace keelson::log {

/// Cuts the unused rest off the segment at `path`, then writes its index beside it. In this order,
/// so that a segment with an index has its final size. Durable on return.
/// @param tail  complete: every batch of the segment has been added.
/// @error disk_full, io_error  the segment is whole, its index missing: to be tried again.
[[nodiscard]] Result<void> seal_segment(io::FileSystem& files, const std::string& path,
                                        const TailIndex& tail, const SegmentId& segment);

/// The second half of that alone.
[[nodiscard]] Result<void> write_index(io::FileSystem& files, const std::string& path,
                                       const TailIndex& tail, const SegmentId& segment);

/// Where the index of the segment at `segment_path` is.
[[nodiscard]] std::string index_path(std::string_view segment_path);

/// Where the index is once retention has removed the segment.
[[nodiscard]] std::string past_path(std::string_view segment_path);

/// Opens the index in the file `path`, which `seal_segment` wrote for `segment`.
/// @error not_found, corruption, unsupported_format  it is to be built again.
[[nodiscard]] Result<std::shared_ptr<const SealedIndex>> load_index(io::FileSystem& files,
                                                                    const std::string& path,
                                                                    const SegmentId& segment);
/// The same of a segment that nothing else is known of.
[[nodiscard]] Result<std::pair<SegmentId, std::shared_ptr<const SealedIndex>>> load_past_index(
    io::FileSystem& files, const std::string& path);

}  // namespace keelson::log
