// Taking the leader's log: rule 7.
#include <algorithm>

#include "engine/replication/replica.h"
#include "engine/replication/rules.h"

namespace keelson::replication {

void Replica::hear(const Member& leader, Moment now) {
  auto& following = std::get<Following>(state_);
  if (following.leader != leader) {
    following = Following{};
    following.leader = leader;
  }
  following.last_heard = now;
  following.suspect_at = now + options_.times.suspicion + jitter(options_.times.suspicion / 2);
  if (!holds(Rule::suspect_silence)) following.suspect_at = Moment::max();
  following.probe.reset();
  following.new_members_gone_since.reset();
}

/// Once for each connection and epoch, unless it got lost, and when the log is at rest: what is
/// said of it must hold.
void Replica::ask_to_follow(Following& following, Moment now) {
  const bool waits = following.asked_at && now - *following.asked_at < options_.times.suspicion;
  if (waits || !log_at_rest() || now < retry_log_at_) return;
  auto tail = log_.tail(committed_);
  if (!tail) return on_unreadable(tail.error(), now);
  following.asked_at = now;
  following.asked = ++requests_;
  ports_.send(*following.leader, Follow{promise_, following.asked, *std::move(tail)});
}

void Replica::acknowledge(const Following& following) {
  BatchNo durable = following.matched ? following.durable : BatchNo(0);
  if (!holds(Rule::acknowledge_durable)) durable = following.expected;
  ports_.send(*following.leader, Ack{promise_, following.round, durable});
}

/// The leader's commit index counts only for what was verified after the cut.
void Replica::publish_known(Following& following) {
  const BatchNo committed =
      holds(Rule::publish_committed) ? following.leader_commit : following.durable;
  const BatchNo known = std::min(committed, following.durable);
  if (known > committed_) publish(known);
  if (following.readable_at && committed_ >= *following.readable_at) readable_ = true;
}

/// What follows who has asked its leader `number`, unless that is an older question's answer.
Following* Replica::asked(const Member& from, Epoch epoch, std::uint64_t number, Moment now) {
  if (!admit(from, epoch, now)) return nullptr;
  auto* const following = std::get_if<Following>(&state_);
  if (following == nullptr || !following->asked_at || following->matched ||
      number != following->asked || !log_at_rest()) {
    return nullptr;
  }
  hear(from, now);
  return following;
}

void Replica::on(const Member& from, const Matched& matched, Moment now) {
  Following* const following = asked(from, matched.epoch, matched.number, now);
  if (following == nullptr) return;
  if (matched.common < committed_) {
    return halt(Errc::corruption, "the leader's log ends, or differs, at batch " +
                                      std::to_string(matched.common.value) +
                                      ", before what is committed here, " +
                                      std::to_string(committed_.value));
  }
  following->matched = true;
  following->expected = following->durable = matched.common;
  if (matched.common < log_.end().end) ask_log_to_cut(matched.common);
  acknowledge(*following);
}

// --- another beginning, when what would come next has been removed ---

void Replica::fetch(Following& following, Moment now) {
  const log::InstallPlace place = log_.install_place();
  following.asked_at = now;
  following.asked = ++requests_;
  ports_.send(*following.leader, Fetch{promise_, following.asked, place.segment, place.position});
}

/// Nothing of this log counts then but what is committed, and all of that is below `start`.
void Replica::on(const Member& from, const Behind& behind, Moment now) {
  if (auto* const taking = std::get_if<TakingOver>(&state_)) {
    // Whoever has that log is to lead: this replica would have to be led, to get it.
    const bool answers =
        behind.epoch == taking->epoch && taking->source == from && behind.number == taking->pulled;
    if (answers) step_down(now, options_.times.suspicion);
    return;
  }
  Following* const following = asked(from, behind.epoch, behind.number, now);
  if (following != nullptr && behind.start > committed_) fetch(*following, now);
}

void Replica::on(const Member& from, Fetched fetched, Moment now) {
  if (asked(from, fetched.epoch, fetched.number, now) == nullptr) return;
  ask_log_to_take(
      {fetched.segment, fetched.position, fetched.file_bytes, std::move(fetched.bytes), {}});
}

void Replica::on(const Member& from, const Begin& begin, Moment now) {
  if (asked(from, begin.epoch, begin.number, now) == nullptr) return;
  if (begin.header.empty() || begin.segment < committed_) {
    return halt(Errc::corruption, "the leader's log has no segment that begins at batch " +
                                      std::to_string(begin.segment.value) +
                                      ", as this one has; what is committed here ends at " +
                                      std::to_string(committed_.value));
  }
  ask_log_to_begin(begin.segment, begin.header);
}

void Replica::on(const Member& from, Append append, Moment now) {
  if (!admit(from, append.epoch, now)) return;
  if (!std::holds_alternative<Following>(state_)) return;
  hear(from, now);
  auto& following = std::get<Following>(state_);
  following.round = std::max(following.round, append.round);
  if (!following.matched) {
    if (!holds(Rule::commit_after_match) && log_at_rest()) {
      const BatchNo known = std::min(append.commit, log_.end().end);
      if (known > committed_) publish(known);
    }
    ask_to_follow(following, now);
    return halted_ ? void() : acknowledge(following);
  }
  following.leader_commit = std::max(following.leader_commit, append.commit);
  // Before its epoch has started the leader itself may not know all that readers have seen here.
  if (!following.readable_at && append.started) following.readable_at = append.commit;
  publish_known(following);
  // A batch got lost, or the leader has forgotten that it knows where this log ends.
  const bool astray = append.batches.empty() ? append.first != following.expected
                                             : append.first > following.expected;
  if (astray) {
    following.asked_at.reset();
    following.matched = false;
    ask_to_follow(following, now);
    return halted_ ? void() : acknowledge(following);
  }
  if (append.batches.empty()) return acknowledge(following);
  if (append.first < following.expected) return;
  following.expected = append.end;
  ask_log_to_append(append.end, std::move(append.batches));
}

}  // namespace keelson::replication
