// Look-ups by stream, command and time over all segments of a published log. Each takes the newest
// segment first and stops as soon as it knows. Any thread.
#pragma once

#include <optional>
#include <string_view>

#include "engine/base/result.h"
#include "engine/log/partition_log.h"
#include "engine/log/published_log.h"

namespace keelson::log {

/// Takes off `left` what it has visited, so that a read that has failed can be taken up again.
/// @param seen  an error when what was visited last is not what is stored: that read is over.
[[nodiscard]] Result<void> read_stream(const PublishedLog& log, StreamSlice& left,
                                       const PartitionLog::Visitor& visit, Result<void>& seen);
[[nodiscard]] Result<Version> stream_version(const PublishedLog& log, std::string_view stream,
                                             Offset before);
[[nodiscard]] Result<std::optional<FoundCommit>> find_command(const PublishedLog& log,
                                                              const CommandKey& key);
[[nodiscard]] Result<Offset> end_at(const PublishedLog& log, TimeUs time);

}  // namespace keelson::log
