// The rules of docs/replication.md that can be switched off, to see that the simulation notices.
#pragma once

#include <cstdint>

namespace keelson::replication {

/// Each names what is left out when it does not hold.
enum class Rule : std::uint8_t {
  promise_before_acting,    ///<  2: the promise is durable first
  refuse_lower_requests,    ///<  2: requests of lower epochs are refused
  ignore_lower_answers,     ///<  2: answers to an earlier epoch's questions are dropped
  new_epoch_after_restart,  ///<  3: a restarted leader does not go on in its epoch
  sync_found_tail,          ///<  4: what is read back at a start is made durable
  fence_majority,           ///<  5: a majority promises before the epoch begins
  take_greatest_log,        ///<  5: the greatest log of that majority is taken over
  commit_by_majority,       ///<  8: what a majority has is committed, not what the leader has
  commit_own_epoch,         ///<  8: older batches are committed through one of this epoch
  match_by_epochs,          ///<  7: the common prefix is found by epochs, not by lengths
  commit_after_match,       ///<  7: the leader's commit index counts for what was matched only
  publish_committed,        ///<  7: a follower shows what is committed, not all that it has
  acknowledge_durable,      ///<  7, 8: only what is durable is acknowledged
  both_majorities,          ///<  9: while members change, a majority of each list is needed
  caught_up_majority,       ///<  9: the new members have the leader's log before they count
  finish_after_start,       ///<  9: a change ends when its epoch has begun under both lists
  resolve_by_revision,      ///< 10: only a later revision shows what became of a request
  adopt_increasing,         ///< 11: a record that is older than the known one is dropped
  read_after_round,         ///< 13: a read waits for a round of heartbeats that began after it
  read_after_start,         ///< 13: and for the start of the epoch to be committed
  readable_after_match,     ///< 13: a follower serves reads when it is where it may have been
};

#ifdef KEELSON_RULES_CAN_BE_SWITCHED_OFF
/// Of the simulation only: one bit for each rule that is left out.
inline std::uint32_t rules_left_out = 0;
[[nodiscard]] inline bool holds(Rule rule) {
  return (rules_left_out >> static_cast<unsigned>(rule) & 1) == 0;
}
#else
[[nodiscard]] constexpr bool holds(Rule) { return true; }
#endif

}  // namespace keelson::replication
