// The records of a cluster beside those of its partitions: nodes and topics, as texts;
// docs/replication.md, "What the cluster agrees on".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/replication/member.h"
#include "engine/store/options.h"

namespace keelson::cluster {

/// Of a node that is alive: there for as long as it shows signs of life. Who is a replica of what
/// does not depend on it: a dead node keeps its place.
struct NodeRecord {
  replication::Member member;
  replication::Incarnation incarnation;
  std::string peer_address;  ///< `host:port` for other nodes
  std::string http_address;  ///< `host:port` for clients, as they should be told
  std::string version;       ///< of Keelson that it runs

  bool operator==(const NodeRecord&) const = default;
};

/// Whether `record` can be written: addresses and version are printable ASCII without spaces.
/// @error bad_request  which is not.
[[nodiscard]] Result<void> check_node_record(const NodeRecord& record);
/// Lines of `key value`. Must be good by `check_node_record`.
[[nodiscard]] std::string encode_node_record(const NodeRecord& record);
/// Accepts what `encode_node_record` writes and nothing else.
/// @error corruption          context says what is wrong with it.
/// @error unsupported_format  it is of another version.
[[nodiscard]] Result<NodeRecord> decode_node_record(std::string_view text);

/// The last one to use a data folder as a member. Stays when it is gone: who comes next must know
/// it.
struct FolderRecord {
  replication::Member member;
  replication::Incarnation incarnation;

  bool operator==(const FolderRecord&) const = default;
};

/// Lines of `key value`.
[[nodiscard]] std::string encode_folder_record(const FolderRecord& record);
/// Accepts what `encode_folder_record` writes and nothing else.
/// @error corruption, unsupported_format
[[nodiscard]] Result<FolderRecord> decode_folder_record(std::string_view text);

/// Replicas of a partition when a topic is made: odd, since an even one more is no safer.
inline constexpr std::size_t kReplicationFactorMax = 7;
/// @error bad_request  it is even, or too high.
[[nodiscard]] Result<void> check_replication_factor(std::size_t factor);

/// A topic, and where each of its partitions began. Where it is now says its own record.
struct TopicPlacement {
  Uuid topic;
  TopicOptions options;
  std::size_t replication_factor = 1;
  std::vector<replication::MemberList> partitions;  ///< by their numbers
  std::uint64_t generation = 0;                     ///< as of `PartitionRecord`

  bool operator==(const TopicPlacement&) const = default;
};

/// Whether `placement` can be written.
/// @error bad_request  says what does not fit together.
[[nodiscard]] Result<void> check_topic_placement(const TopicPlacement& placement);
/// Lines of `key value`, the last ones those of the topic's own record, as it lies in its folder.
/// Must be good by `check_topic_placement`.
[[nodiscard]] std::string encode_topic_placement(const TopicPlacement& placement);
/// Accepts what `encode_topic_placement` writes and nothing else.
/// @error corruption          context says what is wrong with it.
/// @error unsupported_format  it, or the topic's record in it, is of another version.
[[nodiscard]] Result<TopicPlacement> decode_topic_placement(std::string_view text);

}  // namespace keelson::cluster
