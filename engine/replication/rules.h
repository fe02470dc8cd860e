// The rules of docs/replication.md that can be switched off, to see that the simulation notices.
#pragma once

#include <cstdint>

namespace keelson::replication {

/// Each names what is left out when it does not hold.
enum class Rule : std::uint8_t {
  compare_revisions,        ///<  1: a record is replaced by its revision, not by its epoch alone
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
  end_lead,                 ///< 12: who leads obeys a record or a message of a later epoch
  read_after_round,         ///< 13: a read waits for a round of heartbeats that began after it
  read_after_start,         ///< 13: and for the start of the epoch to be committed
  readable_after_match,     ///< 13: a follower serves reads when it is where it may have been
  suspect_silence,          ///< 14: a leader that says nothing is suspected
  ask_before_standing,      ///< 14: the others are asked first whether they hear it
  let_greatest_stand,       ///< 14: and whether one of them has a greater log
  aside_without_majority,   ///< 14: a leader that reaches no majority steps aside
  aside_without_disk,       ///< 14: one that cannot sync does
  repeat_requests,          ///< 14: what the coordinator has not answered is asked again
  halt_when_gone_back,      ///< 15: a replica halts when the coordinator's records have gone back
  look_for_later_epochs,    ///< 15: who stands looks first whether others have obeyed a later one
  wait_for_records_anew,    ///< 15: nobody stands while the coordinator has lost the record
  force_without_majority,   ///< 16: no force while a majority is connected
  force_what_was_seen,      ///< 16: nor on a record that is not the one that was looked at
  tell_who_is_behind,       ///< 17: who lacks what has been removed does not go on from its own log
};
/// How many there are.
inline constexpr unsigned kRules = static_cast<unsigned>(Rule::tell_who_is_behind) + 1;

#ifdef KEELSON_RULES_CAN_BE_SWITCHED_OFF
/// Of the simulation only: one bit for each rule that is left out.
inline std::uint64_t rules_left_out = 0;
[[nodiscard]] inline bool holds(Rule rule) {
  return (rules_left_out >> static_cast<unsigned>(rule) & 1) == 0;
}
#else
[[nodiscard]] constexpr bool holds(Rule) { return true; }
#endif

}  // namespace keelson::replication
