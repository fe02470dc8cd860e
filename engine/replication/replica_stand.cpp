// Suspecting a leader, and standing in its place: rules 1, 3, 10, 14 and 16.
#include <algorithm>
#include <string>
#include <utility>

#include "engine/replication/replica.h"
#include "engine/replication/rules.h"

namespace keelson::replication {

namespace {

/// How often a member with a greater log is let by. Then one that cannot stand, or does not suspect
/// anybody, holds up nobody: whoever leads copies its log.
constexpr int kDeferrals = 3;

}  // namespace

bool Replica::hears_leader(Moment now) const {
  const auto* const following = std::get_if<Following>(&state_);
  if (following == nullptr) return true;
  return following->leader && connected(*following->leader) &&
         now - following->last_heard < options_.times.suspicion;
}

void Replica::tick_following(Following& following, Moment now) {
  // Nor who waits for the outcome of an earlier try or for its promise to be durable, nor one whose
  // disk does not answer: it could not begin an epoch.
  if (!record_ || !record_->has(self_) || swap_ || promising_ || !log_at_rest()) return;
  if (record_gone_ && holds(Rule::wait_for_records_anew)) return;
  if (following.probe) {
    const bool all = std::ranges::all_of(others(), [&](const Member& member) {
      return !connected(member) || following.probe->answers.contains(member);
    });
    if (all || now >= following.probe->until) end_probe(following, now);
  } else if (now >= following.suspect_at) {
    if (!holds(Rule::ask_before_standing)) {
      following.suspect_at = now + options_.times.suspicion + jitter(options_.times.suspicion);
      return stand();
    }
    begin_probe(following, now);
  }
}

void Replica::begin_probe(Following& following, Moment now) {
  following.probe = ProbeRound{++requests_, now + options_.times.probe, {}};
  for (const Member& member : others()) {
    if (connected(member)) ports_.send(member, Probe{requests_});
  }
}

void Replica::end_probe(Following& following, Moment now) {
  const auto answers = std::move(following.probe->answers);
  following.probe.reset();
  const auto wait = [&](Moment moment) { following.suspect_at = now + moment + jitter(moment); };
  const ReplicaTimes& times = options_.times;
  // Whoever has a batch of a later epoch has obeyed its leader, and the record was of that epoch
  // then: it is known too late here, or the coordinator has gone back (rule 15).
  Epoch obeyed = record_->epoch;
  for (const auto& [member, answer] : answers) obeyed = std::max(obeyed, answer.durable.epoch);
  if (obeyed > record_->epoch && holds(Rule::look_for_later_epochs)) {
    wait(options_.times.heartbeat);
    return read_record(obeyed);
  }
  const bool heard =
      std::ranges::any_of(answers, [](const auto& a) { return a.second.hears_leader; });
  if (heard || hears_leader(now)) return wait(times.suspicion / 2);
  // Without a majority nothing can be won; to raise the epoch would only disturb the others.
  const auto reached = [&](const Member& member) {
    return member == self_ || answers.contains(member);
  };
  if (!agreed(reached)) {
    wait(times.heartbeat);
    const bool new_members_gone = record_->changing() && contains(record_->old_replicas, self_) &&
                                  majority(record_->old_replicas, reached);
    if (!new_members_gone) return following.new_members_gone_since.reset();
    if (!following.new_members_gone_since) following.new_members_gone_since = now;
    if (now - *following.new_members_gone_since > times.abandon_change) abandon_change();
    return;
  }
  const bool greatest =
      std::ranges::all_of(answers, [&](const auto& a) { return a.second.durable <= log_.end(); });
  if (!greatest && following.deferred < kDeferrals && holds(Rule::let_greatest_stand)) {
    ++following.deferred;
    return wait(times.heartbeat);
  }
  following.deferred = 0;
  wait(times.suspicion);
  stand();
}

/// Rule 1: the epoch after the record's, the lists as they are.
void Replica::stand() {
  PartitionRecord next = *record_;
  next.leader = self_;
  stand_for(std::move(next));
}

/// Rule 9: the new members may have lost their disks. Nothing was committed without a majority of
/// the old ones.
void Replica::abandon_change() {
  PartitionRecord next = *record_;
  next.leader = self_;
  next.replicas = std::exchange(next.old_replicas, {});
  stand_for(std::move(next));
}

/// Rule 16. A majority of one list does not need it either: it finishes the change of members, or
/// takes it back.
Result<void> Replica::force_lead(Epoch confirmed) {
  if (halted_) return fail(Errc::halted, "this replica has halted, and must not lead");
  if (!record_ || !record_->has(self_)) {
    return fail(Errc::bad_request, "this node is no replica of the partition");
  }
  if (record_gone_) {
    return fail(Errc::bad_request,
                "the coordinator has lost the record: it has to be made anew first");
  }
  if (record_->epoch != confirmed && holds(Rule::force_what_was_seen)) {
    return fail(Errc::already_exists,
                "the record is of epoch " + std::to_string(record_->epoch.value) + ", not " +
                    std::to_string(confirmed.value) + "; look again at who has what");
  }
  const auto reached = [&](const Member& member) { return member == self_ || connected(member); };
  const bool one_majority =
      agreed(reached) || (record_->changing() && majority(record_->old_replicas, reached));
  if (one_majority && holds(Rule::force_without_majority)) {
    return fail(Errc::bad_request, "a majority of the replicas is connected to this node");
  }
  if (!std::holds_alternative<Following>(state_) || swap_ || promising_ || !log_at_rest()) {
    return fail(Errc::overloaded, "the replica is not at rest");
  }
  if (record_->epoch < promise_) {
    read_record();
    return fail(Errc::overloaded, "the record known here is older than the replica's promise");
  }
  shut_out_ = others();
  PartitionRecord next = *record_;
  next.leader = self_;
  next.replicas = {self_};
  next.old_replicas.clear();
  stand_for(std::move(next));
  return {};
}

/// Compared by the revision of the record that is known.
void Replica::stand_for(PartitionRecord next) {
  if (record_->epoch < promise_) {
    // The watch is behind: whoever was promised that epoch has written it into the record.
    return read_record();
  }
  ++next.epoch;
  swap(std::move(next));
}

void Replica::on(const Member& from, const Probe& probe, Moment now) {
  ports_.send(from, ProbeAnswer{probe.round, log_.end(), hears_leader(now)});
}

void Replica::on(const Member& from, const ProbeAnswer& answer, Moment) {
  auto* const following = std::get_if<Following>(&state_);
  if (following == nullptr || !following->probe) return;
  if (following->probe->number == answer.round) following->probe->answers[from] = answer;
}

void Replica::on(const Member& from, const Succeed& succeed, Moment) {
  const auto* const following = std::get_if<Following>(&state_);
  if (following == nullptr || following->leader != from || succeed.epoch != promise_) return;
  if (record_ && record_->has(self_) && !swap_ && !promising_ && !record_gone_) stand();
}

}  // namespace keelson::replication
