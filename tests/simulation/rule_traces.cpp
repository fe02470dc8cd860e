#include "tests/simulation/rule_traces.h"

#include <doctest/doctest.h>

#include <cstdint>

#include "tests/simulation/scripted_replica.h"

namespace keelson::simulation {

/// A leader that has promised, but not durably, forgets it in a crash: the leader before commits
/// with it what the new one does not know.
bool promises_before_it_is_durable() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.receive(kSecond, Fence{Epoch(2)});
  return node.last<Promised>(kSecond).has_value();
}

/// A zombie of epoch 1 goes on, after epoch 2 has been promised to another.
bool takes_batches_of_a_zombie() {
  Scripted node({{Epoch(1), 0}}, Epoch(2));
  node.receive(kThird, Fence{Epoch(2)});
  node.receive(kSecond, Append{Epoch(1), 1, BatchNo(1), true, {}, {}, {}});
  return !node.last<Refused>(kSecond);
}

/// An acknowledgement of epoch 2 arrives when the same leader has begun epoch 4, with another batch
/// at that place.
bool counts_an_answer_of_an_earlier_epoch() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kThird, Fence{Epoch(3)});
  node.run_disk();
  node.see(Epoch(3), kThird, 3);
  node.stand();
  node.replica->on_swapped(Revision(4), node.now);
  node.run_disk();
  node.receive(kSecond, Promised{Epoch(4), {}});
  node.run_disk();
  REQUIRE(node.log.end() == LogEnd{Epoch(4), BatchNo(3)});
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(3)});
  return node.log.published > 0;
}

/// Figure 8 of the Raft paper: a batch of an earlier epoch on a majority may still be replaced, as
/// long as nothing of the leader's own epoch is above it.
bool commits_an_older_batch() {
  Scripted node({{Epoch(1), 0}, {Epoch(2), 7}}, Epoch(3));
  node.lead(Epoch(4));
  node.receive(kSecond, Ack{Epoch(4), 1, BatchNo(2)});
  return node.log.published > 0;
}

/// The old members may have another leader, and commit with it.
bool begins_without_the_old_members() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.change_members();
  node.run_disk();
  node.receive(kFourth, Promised{Epoch(3), {Epoch(2), BatchNo(2)}});
  return node.replica->role() == Replica::Role::starting;
}

/// Until its promise is durable the leader leads the epoch before, whose start proves nothing of
/// the new members.
bool ends_a_change_by_the_epoch_before() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.change_members();
  node.replica->on_tick(node.now);
  return !node.swapped->changing();
}

/// A new leader does not know yet what the one before has committed.
bool answers_reads_before_it_knows() {
  Scripted node({{Epoch(1), 0}, {Epoch(1), 7}}, Epoch(1));
  node.lead(Epoch(2));
  REQUIRE(node.replica->role() == Replica::Role::starting);
  node.replica->begin_read(1, node.now);
  node.receive(kSecond, Ack{Epoch(2), 10, BatchNo(1)});
  return node.answered == 1;
}

/// Members that have nothing yet would make a majority.
bool changes_to_members_that_have_nothing() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
  REQUIRE(node.replica->role() == Replica::Role::leading);
  return node.replica->change_members({kSelf, kFourth, kFifth}, node.now).has_value();
}

/// Who leads goes on leading in its epoch, when it has seen that another one has the next.
bool leads_against_a_later_record() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.see(Epoch(3), kThird, 9);
  return node.replica->role() != Replica::Role::following;
}

bool leads_against_a_later_message() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kThird, Fence{Epoch(3)});
  return node.replica->role() != Replica::Role::following;
}

namespace {

/// The answers to each probe, until it stands or has let the others by often enough.
bool stands_at_last(Scripted& node, const LogEnd& end_of_second, int probes) {
  for (int i = 0; i < probes && !node.swapped; ++i) {
    node.now += 10s;
    node.replica->on_tick(node.now);
    const std::uint64_t round = node.last<Probe>(kSecond)->round;
    node.receive(kSecond, ProbeAnswer{round, end_of_second, false});
    node.receive(kThird, ProbeAnswer{round, {}, false});
    node.replica->on_tick(node.now);
  }
  return node.swapped.has_value();
}

}  // namespace

/// It would have to copy that log first, and nobody would lead meanwhile.
bool stands_below_a_greater_log() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  return stands_at_last(node, {Epoch(1), BatchNo(5)}, 1);
}

/// Records of epochs that are over would come again, and be followed by others of the same epochs.
bool goes_on_when_the_coordinator_has_gone_back() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.may_halt = true;
  node.see(Epoch(1), kThird, 3);
  return !node.replica->halted();
}

/// The others have left that record behind, and perhaps its members.
bool stands_by_a_record_left_behind() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  return stands_at_last(node, {Epoch(2), BatchNo(4)}, 10);
}

/// What it asks for might be the first record of a coordinator that is about to be made anew.
bool stands_without_a_record() {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  node.swapped.reset();
  node.replica->on_record_missing(node.now);
  node.replica->on_record_gone(node.reading);
  node.stand();
  return node.swapped.has_value();
}

/// The others could elect one who has all that was acknowledged.
bool is_forced_against_a_majority() {
  Scripted node({{Epoch(1), 0}, {Epoch(2), 7}}, Epoch(2));
  node.see(Epoch(2), kThird, 1);
  node.replica->on_disconnected(kThird, node.now);
  return node.replica->force_lead(Epoch(2)).has_value();
}

/// The operator has compared logs that have gone on since.
bool is_forced_by_what_was_seen_before() {
  Scripted node({{Epoch(1), 0}, {Epoch(2), 7}}, Epoch(2));
  node.see(Epoch(2), kThird, 1);
  node.replica->on_disconnected(kThird, node.now);
  node.replica->on_disconnected(kSecond, node.now);
  return node.replica->force_lead(Epoch(1)).has_value();
}

/// Its log differs in what nobody can compare any more.
bool goes_on_from_another_log_than_was_removed() {
  Scripted node({{Epoch(1), 0}, {Epoch(1), 1}, {Epoch(2), 2}, {Epoch(2), 3}}, Epoch(2));
  node.log.removed = 3;
  node.lead(Epoch(3));
  ModelLog other;
  other.batches.assign(3, {Epoch(1), 1});
  node.receive(kThird, Follow{Epoch(3), 5, other.tail(BatchNo(0)).value()});
  return node.last<Matched>(kThird).has_value();
}

}  // namespace keelson::simulation
