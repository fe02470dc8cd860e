// Making the coordinator's records anew from what the nodes' data folders know;
// docs/replication.md, "Records made anew".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/cluster/cluster_records.h"
#include "engine/cluster/last_records.h"
#include "engine/replication/log_prefix.h"
#include "engine/replication/promise.h"

namespace keelson::cluster {

/// What a data folder knows of a partition.
struct PartitionTestimony {
  replication::Promise promise;
  std::optional<LastRecord> last;  ///< as it was last seen there; nothing: never
  replication::LogEnd end;         ///< of the log
  /// The log or the promise is damaged: what is said here counts for nothing.
  std::optional<Error> damage;
  /// It has found no record, or has halted since that had gone back: whatever the coordinator has
  /// by now, it takes part by a record that is made anew.
  bool without_record = false;
};

struct TopicTestimony {
  std::string name;
  Uuid id;
  std::optional<TopicPlacement> placement;  ///< as it was last seen there; nothing: never
  std::vector<PartitionTestimony> partitions;
};

struct NodeTestimony {
  std::string cluster;
  replication::Member member;
  std::vector<TopicTestimony> topics;
};

/// How far beyond all that is known an epoch begins that is made anew, at least: so many elections
/// in a row would have to have gone unnoticed by a majority for one of them to have had it.
inline constexpr std::uint64_t kRebuiltEpochGap = 1u << 20;

/// What is to become of a partition's record.
struct RebuiltRecord {
  /// What was known last, of all that was said, and what the coordinator has.
  std::optional<LastRecord> known;
  /// To be written; nothing: the coordinator has what was known last, and it stays.
  std::optional<replication::PartitionRecord> record;
  /// Why it may not be the last one, or a log with acknowledged data may not be among those that
  /// can lead: each for an operator to answer for.
  std::vector<std::string> doubts;
};

/// @param said   by members, each once.
/// @param there  what the coordinator has; nothing: no record.
/// @param began  where the partition began: better than nothing. Empty: not known.
/// @param generation  of the new record: higher than any known.
/// @error corruption  two members know different records of one epoch: there was a second history.
/// @error not_found   nobody knows any record, nor where the partition began.
[[nodiscard]] Result<RebuiltRecord> rebuild_record(
    const std::map<replication::Member, PartitionTestimony>& said,
    const std::optional<LastRecord>& there, const replication::MemberList& began,
    std::uint64_t generation);

/// Whether `pledged`, what each member had promised when it was fenced, allows `rebuilt` to be
/// written: a majority of every list is fenced, and none of them has promised anything to a leader
/// that was not known.
/// @error not_enough_replicas  says who is missing.
/// @error version_conflict     somebody has been elected meanwhile: look again.
[[nodiscard]] Result<void> check_fenced(
    const RebuiltRecord& rebuilt,
    const std::map<replication::Member, replication::Promise>& pledged);

}  // namespace keelson::cluster
