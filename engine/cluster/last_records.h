// The coordinator's records as this node has last seen them, kept on disk: from these they can be
// made anew when the coordinator has lost them. Small text files, replaced as a whole.
//
//   TOPIC/last-placement   the record of a topic
//   TOPIC/P/last-record    the record of a partition
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/cluster/cluster_records.h"
#include "engine/io/file_system.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/partition_record.h"

namespace keelson::cluster {

struct LastRecord {
  replication::PartitionRecord record;
  replication::Revision revision;
  bool operator==(const LastRecord&) const = default;
};

/// @param partition  its identity, so that the record of another one is noticed.
[[nodiscard]] std::string encode_last_record(const Uuid& partition, const LastRecord& last);
/// Accepts what `encode_last_record` writes and nothing else.
/// @error corruption          context says what is wrong with it; or it is of another partition.
/// @error unsupported_format  it is of another version.
[[nodiscard]] Result<LastRecord> decode_last_record(const Uuid& partition, std::string_view text);

/// Durable on return. Nothing waits for it: who finds an older record than the promise beside it
/// knows that there was a later one.
/// @error any  of the file system: the file is the one before or this one.
[[nodiscard]] Result<void> store_last_record(io::FileSystem& files, const std::string& folder,
                                             const Uuid& partition, const LastRecord& last);
/// Nothing when none was ever stored. @error corruption, unsupported_format
[[nodiscard]] Result<std::optional<LastRecord>> load_last_record(io::FileSystem& files,
                                                                 const std::string& folder,
                                                                 const Uuid& partition);

/// @param folder  of the topic. As above.
[[nodiscard]] Result<void> store_last_placement(io::FileSystem& files, const std::string& folder,
                                                const TopicPlacement& placement);
[[nodiscard]] Result<std::optional<TopicPlacement>> load_last_placement(io::FileSystem& files,
                                                                        const std::string& folder);

}  // namespace keelson::cluster
