// Making filters over groups of sealed segments.
#pragma once

#include <optional>
#include <string>

#include "engine/base/result.h"
#include "engine/log/published_log.h"
#include "engine/log/segment_group.h"

namespace keelson::log {

/// The next group to make: sixteen sealed segments, or groups of level 1, that follow each other
/// and are in none yet; or one whose filter is damaged. Nothing when there is none. Cheap enough to
/// be asked after each batch.
[[nodiscard]] std::optional<GroupId> next_group(const PublishedLog& log);

/// Makes the filter's file of `group` in `folder` and opens it. Reads the hashes in the indexes of
/// all its segments, some bytes for each stream and commit; holds 8 MiB of the filter at a time.
/// Durable on return, and until then not there.
/// @error disk_full, io_error  there is no such file; to be tried again.
/// @error corruption           a segment's index is damaged.
[[nodiscard]] Result<std::shared_ptr<const SegmentGroup>> make_group(const PublishedLog& log,
                                                                     const std::string& folder,
                                                                     const GroupId& group);

/// Opens the group filters among `names`, files of `folder`, that fit the log's segments. Removes
/// the others.
[[nodiscard]] Result<void> open_groups(PublishedLog& log, const std::string& folder,
                                       const std::vector<std::string>& names);

}  // namespace keelson::log
