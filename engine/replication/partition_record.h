// The record that the nodes of a cluster agree on for each partition, kept by the coordinator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/replication/member.h"

namespace keelson::replication {

/// Changed by compare-and-set on its revision only, so that each epoch has one leader by
/// construction. The rules are those of docs/replication.md.
struct PartitionRecord {
  Epoch epoch;                   ///< 0: nobody has led yet
  std::optional<Member> leader;  ///< of `epoch`
  MemberList replicas;           ///< at least one
  /// Those before a change of members that is not over: until then a majority of both is needed.
  MemberList old_replicas;
  /// How often the records have been made anew, since the coordinator had lost them: what is of a
  /// later generation prevails, whatever its revision.
  std::uint64_t generation = 0;

  bool operator==(const PartitionRecord&) const = default;

  [[nodiscard]] bool changing() const { return !old_replicas.empty(); }
  /// Of either list, each once.
  [[nodiscard]] MemberList members() const;
  [[nodiscard]] bool has(const Member& member) const {
    return contains(replicas, member) || contains(old_replicas, member);
  }
  /// Whether `holds` for a majority of each list.
  [[nodiscard]] bool agreed(const std::function<bool(const Member&)>& holds) const {
    return majority(replicas, holds) && (!changing() || majority(old_replicas, holds));
  }
};

/// Of a list.
inline constexpr std::size_t kMembersMax = 16;

/// Whether a record can have `list` as its replicas.
/// @error bad_request  it is empty or too long, or names a member twice.
[[nodiscard]] Result<void> check_members(const MemberList& list);

/// Lines of `key value`. Its lists must be good by `check_members`, but for an empty
/// `old_replicas`.
[[nodiscard]] std::string encode_partition_record(const PartitionRecord& record);
/// Accepts what `encode_partition_record` writes and nothing else.
/// @error corruption  context says what is wrong with it.
[[nodiscard]] Result<PartitionRecord> decode_partition_record(std::string_view text);

}  // namespace keelson::replication
