// What a replica remembers in each of its roles. Nothing of one role outlives it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "engine/base/types.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/member.h"
#include "engine/replication/message.h"
#include "engine/replication/partition_record.h"

namespace keelson::replication {

/// Since some moment; never goes back.
using Moment = std::chrono::nanoseconds;

/// Number of something that was asked of the log: they are done in this order.
using LogOperation = std::uint64_t;

/// Asks the others before it stands.
struct ProbeRound {
  std::uint64_t number = 0;
  Moment until{};
  std::map<Member, ProbeAnswer> answers;
};

/// Follows the leader of the epoch promised, or looks for one.
struct Following {
  std::optional<Member> leader;  ///< of the epoch promised, once heard
  Moment last_heard{};
  Moment suspect_at{};
  std::optional<Moment> asked_at;  ///< when `Follow` was sent on this connection
  std::uint64_t asked = 0;         ///< its number
  bool matched = false;            ///< and answered
  BatchNo expected;                ///< end of the batches taken in this epoch, durable or not
  BatchNo durable;                 ///< end of those that are durable and verified in this epoch
  BatchNo leader_commit;
  std::uint64_t round = 0;             ///< highest of the leader's heartbeats
  std::optional<BatchNo> readable_at;  ///< the leader's commit at the match
  std::optional<ProbeRound> probe;
  int deferred = 0;  ///< how often a better candidate was let by
  /// Since when a majority of the old members answers, but none of the new ones.
  std::optional<Moment> new_members_gone_since;
};

/// Leads by the record, and collects what it needs to begin.
struct TakingOver {
  Epoch epoch;
  Moment since{};
  Moment fenced_at{};
  std::map<Member, LogEnd> promised;
  std::optional<Member> source;  ///< whose log is copied
  std::uint64_t pulled = 0;      ///< number of the last `Pull`
  Moment pulled_at{};
};

/// A replica that is fed.
struct Peer {
  bool matched = false;
  BatchNo next;     ///< to be sent
  BatchNo durable;  ///< known, in this epoch
  BatchNo commit_sent;
  Moment heard{};  ///< last answer in this epoch
  std::uint64_t round = 0;
  std::uint64_t window_bytes = 0;                      ///< of `sent`
  std::deque<std::pair<BatchNo, std::uint64_t>> sent;  ///< ends and bytes, not known durable
};

struct PendingRead {
  std::uint64_t id = 0;
  std::uint64_t round = 0;
  BatchNo commit;  ///< when it began
};

/// Writes the log.
struct Leading {
  Epoch epoch;
  BatchNo start;         ///< of the control batch that starts the epoch
  bool started = false;  ///< that one is committed
  BatchNo appended;      ///< here
  BatchNo durable;       ///< here
  Moment synced_at{};    ///< last time nothing waited for the disk here, or it moved
  Moment since{};
  Moment heartbeat_at{};
  std::uint64_t round = 0;
  std::map<Member, Peer> peers;
  MemberList learners;
  std::deque<PendingRead> reads;
};

/// A compare-and-set whose outcome is not known yet.
struct PendingSwap {
  PartitionRecord replaced;
  Revision expected;  ///< of `replaced`
  PartitionRecord record;
  std::optional<Moment> retry_at;  ///< set when no answer says what became of it
};

/// The record has been asked for. No answer is older than what was known then.
struct RecordReading {
  std::uint64_t number = 0;
  Epoch promise;
  std::uint64_t generation = 0;
  Revision revision;
};

struct PendingOperation {
  enum class Kind {
    change,   ///< batches are appended, or cut
    receive,  ///< of another beginning; the log stays what it is
    begin,    ///< the log begins, and ends, there
  };
  LogOperation number = 0;
  BatchNo end;  ///< of the log once it is done
  Kind kind = Kind::change;
};

}  // namespace keelson::replication
