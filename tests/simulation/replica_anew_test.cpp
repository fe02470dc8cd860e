// A coordinator that has lost its record or gone back, as one replica sees it: rules 11 and 15.
#include <doctest/doctest.h>

#include "tests/simulation/scripted_replica.h"

using namespace keelson;
using namespace keelson::simulation;

TEST_CASE("replication rule 15: who has batches of a later epoch shows that the record is old") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.now += 10s;
  node.replica->on_tick(node.now);
  const std::uint64_t round = node.last<Probe>(kSecond)->round;
  node.receive(kSecond, ProbeAnswer{round, {Epoch(2), BatchNo(4)}, false});
  node.receive(kThird, ProbeAnswer{round, {}, false});
  node.replica->on_tick(node.now);
  CHECK_FALSE(node.swapped);
  REQUIRE(node.reading != 0);
  SUBCASE("the watch was late") {
    const PartitionRecord record{Epoch(2), kSecond, {kSelf, kSecond, kThird}, {}};
    node.replica->on_record_read(node.reading, record, Revision(10), node.now);
    CHECK_FALSE(node.replica->halted());
  }
  SUBCASE("the coordinator has gone back") {
    node.may_halt = true;
    const PartitionRecord record{Epoch(1), kThird, {kSelf, kSecond, kThird}, {}};
    node.replica->on_record_read(node.reading, record, Revision(9), node.now);
    CHECK(node.replica->halted());
  }
}

TEST_CASE("replication rule 15: of two who lead one epoch the second is not obeyed") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.receive(kSecond, Fence{Epoch(2)});
  node.run_disk();
  REQUIRE(node.stored == Promise(Epoch(2), kSecond));
  node.may_halt = true;
  SUBCASE("in this life") {
    node.receive(kThird, Fence{Epoch(2)});
    node.run_disk();
    CHECK_FALSE(node.last<Promised>(kThird));
    CHECK(node.replica->halted());
  }
  SUBCASE("in the next") {
    Scripted later({{Epoch(1), 0}}, *node.stored);
    later.may_halt = true;
    later.receive(kThird, Fence{Epoch(2)});
    later.run_disk();
    CHECK_FALSE(later.last<Promised>(kThird));
    CHECK(later.replica->halted());
  }
}

TEST_CASE("replication rule 15: what was pledged is nobody's, and fences who leads") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
  REQUIRE(node.replica->role() == Replica::Role::leading);
  CHECK_FALSE(node.replica->pledge(Epoch(2), node.now));
  REQUIRE(node.replica->pledge(Epoch(100), node.now));
  CHECK(node.replica->role() == Replica::Role::following);
  CHECK(node.replica->promise() == Epoch(2));  // not durable yet
  node.run_disk();
  CHECK(node.replica->promise() == Epoch(100));
  CHECK(node.stored->led == Epoch(2));
  for (const std::uint64_t epoch : {99, 100}) {
    node.receive(kSecond, Fence{Epoch(epoch)});
    node.run_disk();
    REQUIRE(node.last<Refused>(kSecond));
    CHECK(node.last<Refused>(kSecond)->epoch == Epoch(100));
    CHECK_FALSE(node.last<Promised>(kSecond));
  }
  node.receive(kSecond, Fence{Epoch(101)});
  node.run_disk();
  CHECK(node.last<Promised>(kSecond));
}

// A rebuild of the records that was cut short.
TEST_CASE("replication rule 12: one that has pledged itself does not hold up a majority") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  SUBCASE("while it takes over") { node.take_over(Epoch(2)); }
  SUBCASE("while it leads") { node.lead(Epoch(2)); }
  const auto role = node.replica->role();
  REQUIRE(role != Replica::Role::following);
  node.receive(kThird, Refused{Epoch(100)});
  node.receive(kThird, Refused{Epoch(100)});
  CHECK(node.replica->role() == role);
  node.receive(kSecond, Refused{Epoch(100)});
  CHECK(node.replica->role() == Replica::Role::following);
}

TEST_CASE("replication rule 12: who has refused an earlier epoch counts in the next") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kThird, Refused{Epoch(3)});
  node.see(Epoch(3), kThird, 3);
  node.run_disk();
  node.stand();
  REQUIRE(node.swapped);
  node.replica->on_swapped(Revision(4), node.now);
  node.run_disk();
  REQUIRE(node.replica->role() == Replica::Role::taking_over);
  node.receive(kSecond, Refused{Epoch(5)});
  CHECK(node.replica->role() == Replica::Role::taking_over);
}

TEST_CASE("replication rule 15: a pledge is above a record that has not gone back") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  CHECK_FALSE(node.replica->pledged());
  REQUIRE(node.replica->pledge(Epoch(100), node.now));
  node.run_disk();
  CHECK(node.replica->pledged() == Epoch(100));
  node.stand();
  REQUIRE(node.reading != 0);
  const PartitionRecord same{Epoch(1), kThird, {kSelf, kSecond, kThird}, {}};
  node.replica->on_record_read(node.reading, same, Revision(9), node.now);
  CHECK_FALSE(node.replica->halted());
  CHECK_FALSE(node.swapped);
  const PartitionRecord anew{Epoch(100), std::nullopt, {kSelf, kSecond, kThird}, {}, 1};
  node.replica->on_record(anew, Revision(3), node.now);
  CHECK_FALSE(node.replica->pledged());
}

TEST_CASE("replication rule 15: nobody stands while the coordinator has lost the record") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  REQUIRE(node.swapped);
  node.swapped.reset();
  node.replica->on_record_missing(node.now);
  REQUIRE(node.reading != 0);
  node.replica->on_record_gone(node.reading);
  CHECK(node.replica->record_gone());
  node.now += 10s;
  node.replica->on_tick(node.now);
  node.now += 10s;
  node.replica->on_tick(node.now);
  CHECK_FALSE(node.swapped);
  // Made anew it stands at a revision that the old one had, or never had.
  PartitionRecord anew{Epoch(100), std::nullopt, {kSelf, kSecond, kThird}, {}, 1};
  node.replica->on_record(anew, Revision(3), node.now);
  node.stand();
  REQUIRE(node.swapped);
  CHECK(node.swapped->epoch == Epoch(101));
  CHECK(node.swapped->generation == 1);
  node.replica->on_swapped(Revision(4), node.now);
  CHECK(node.replica->record()->leader == kSelf);
  // Nothing of before is believed any more.
  node.see(Epoch(7), kThird, 50);
  CHECK(node.replica->record()->leader == kSelf);
}

TEST_CASE("replication rule 15: one that has halted takes part when the records are made anew") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.may_halt = true;
  node.see(Epoch(1), kThird, 3);
  REQUIRE(node.replica->halted());
  REQUIRE(node.replica->pledge(Epoch(100), node.now));
  node.run_disk();
  CHECK(node.replica->promise() == Epoch(100));
  CHECK_FALSE(node.resumed);
  PartitionRecord anew{Epoch(100), std::nullopt, {kSelf, kSecond, kThird}, {}, 1};
  node.replica->on_record(anew, Revision(2), node.now);
  CHECK(node.resumed);
  CHECK_FALSE(node.replica->halted());
  node.stand();
  REQUIRE(node.swapped);
  CHECK(node.swapped->epoch == Epoch(101));
}

TEST_CASE("replication rule 15: a record that is there again as it was is stood by again") {
  const PartitionRecord known{Epoch(1), kThird, {kSelf, kSecond, kThird}, {}};
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  REQUIRE(node.swapped);
  node.swapped.reset();
  node.replica->on_record_missing(node.now);
  node.replica->on_record_gone(node.reading);
  REQUIRE(node.replica->without_record());
  // Looked for once a second; a watch proves nothing.
  const std::uint64_t before = node.readings;
  for (int i = 0; i < 300; ++i) {
    node.now += 10ms;
    node.replica->on_tick(node.now);
  }
  CHECK(node.readings - before >= 3);
  CHECK(node.readings - before <= 4);
  node.replica->on_record(known, Revision(9), node.now);
  CHECK(node.replica->record_gone());
  SUBCASE("an answer to an earlier look does not count") {
    const std::uint64_t earlier = node.reading;
    node.now += 1s;
    node.replica->on_tick(node.now);
    node.replica->on_record_read(earlier, known, Revision(9), node.now);
    CHECK(node.replica->record_gone());
  }
  SUBCASE("as it was") {
    node.replica->on_record_read(node.reading, known, Revision(9), node.now);
    CHECK_FALSE(node.replica->record_gone());
    const std::uint64_t looked = node.readings;
    node.stand();
    CHECK(node.swapped);
    CHECK(node.readings == looked);
  }
  SUBCASE("another at that revision is none") {
    PartitionRecord other = known;
    other.leader = kSecond;
    node.replica->on_record_read(node.reading, other, Revision(9), node.now);
    CHECK(node.replica->record_gone());
  }
  SUBCASE("an earlier one is one that has gone back") {
    node.may_halt = true;
    node.replica->on_record_read(node.reading, known, Revision(8), node.now);
    CHECK(node.replica->halted());
    CHECK(node.replica->without_record());
  }
}

TEST_CASE("replication rule 15: who hears a leader has no need to look for a lost record") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  node.replica->on_record_missing(node.now);
  node.replica->on_record_gone(node.reading);
  REQUIRE(node.replica->record_gone());
  node.follow(Epoch(1));
  const std::uint64_t before = node.readings;
  node.now += 500ms;
  node.replica->on_tick(node.now);
  CHECK(node.readings == before);
  node.now += 1s;
  node.replica->on_tick(node.now);
  CHECK(node.readings == before + 1);
}

TEST_CASE("replication rule 15: who has halted takes part when the coordinator is the right one") {
  const PartitionRecord known{Epoch(2), kThird, {kSelf, kSecond, kThird}, {}};
  PartitionRecord next = known;
  next.epoch = Epoch(3);
  next.leader = kSecond;
  Scripted node({{Epoch(1), 0}}, Promise(Epoch(2), kThird));
  node.replica->on_record(known, Revision(9), node.now);
  node.stand();
  REQUIRE(node.swapped);
  const auto next_by_itself = node.swapped;
  node.may_halt = true;
  const PartitionRecord old{Epoch(1), kSecond, {kSelf, kSecond, kThird}, {}};
  node.replica->on_not_swapped(old, Revision(5), node.now);
  REQUIRE(node.reading != 0);
  node.replica->on_record_read(node.reading, old, Revision(5), node.now);
  REQUIRE(node.replica->halted());
  const auto look = [&](const PartitionRecord& record, std::uint64_t revision) {
    const std::uint64_t before = node.readings;
    node.now += 1s;
    node.replica->on_tick(node.now);
    REQUIRE(node.readings == before + 1);
    node.replica->on_record_read(node.reading, record, Revision(revision), node.now);
    return !node.replica->halted();
  };
  CHECK_FALSE(look(old, 5));
  // Never by what is told: it may be late.
  node.replica->on_record(known, Revision(9), node.now);
  node.replica->on_record(next, Revision(10), node.now);
  REQUIRE(node.replica->halted());
  SUBCASE("with the record that is known") {
    REQUIRE(look(known, 9));
    CHECK(node.resumed);
    CHECK_FALSE(node.replica->without_record());
    // What it had asked for has no outcome yet, and is asked for again.
    node.swapped.reset();
    node.replica->on_tick(node.now);
    CHECK(node.swapped == next_by_itself);
  }
  SUBCASE("with what elections have made of it") {
    REQUIRE(look(next, 10));
    CHECK(node.replica->record() == next);
  }
  SUBCASE("not with other lists, which another history may have") {
    next.replicas = {kSelf, kSecond, kFourth};
    CHECK_FALSE(look(next, 10));
    next = known;
    next.epoch = Epoch(3);
    next.old_replicas = {kSelf, kSecond, kFourth};
    CHECK_FALSE(look(next, 10));
  }
  SUBCASE("nor with another of the same epoch or revision") {
    PartitionRecord other = known;
    other.leader = kSecond;
    CHECK_FALSE(look(other, 9));
    CHECK_FALSE(look(other, 10));
  }
}

TEST_CASE("replication rule 15: who has halted for what others have obeyed waits for that") {
  const PartitionRecord known{Epoch(1), kThird, {kSelf, kSecond, kThird}, {}};
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.replica->on_record(known, Revision(9), node.now);
  node.now += 10s;
  node.replica->on_tick(node.now);
  const std::uint64_t round = node.last<Probe>(kSecond)->round;
  node.receive(kSecond, ProbeAnswer{round, {Epoch(2), BatchNo(4)}, false});
  node.receive(kThird, ProbeAnswer{round, {}, false});
  node.replica->on_tick(node.now);
  node.may_halt = true;
  node.replica->on_record_read(node.reading, known, Revision(9), node.now);
  REQUIRE(node.replica->halted());
  node.now += 2s;
  node.replica->on_tick(node.now);
  node.replica->on_record_read(node.reading, known, Revision(9), node.now);
  CHECK(node.replica->halted());
  PartitionRecord next = known;
  next.epoch = Epoch(2);
  node.now += 2s;
  node.replica->on_tick(node.now);
  node.replica->on_record_read(node.reading, next, Revision(10), node.now);
  CHECK_FALSE(node.replica->halted());
}

TEST_CASE("replication rule 15: one of before in the place of a record made anew is noticed") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  PartitionRecord anew{Epoch(100), std::nullopt, {kSelf, kSecond, kThird}, {}, 1};
  node.replica->on_record(anew, Revision(3), node.now);
  node.stand();
  REQUIRE(node.swapped);
  const PartitionRecord before{Epoch(7), kThird, {kSelf, kSecond, kThird}, {}};
  node.replica->on_not_swapped(before, Revision(4), node.now);
  REQUIRE(node.reading != 0);
  node.may_halt = true;
  node.replica->on_record_read(node.reading, before, Revision(4), node.now);
  CHECK(node.replica->halted());
}

TEST_CASE("replication rule 15: what was not there before the records were made anew is no loss") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  REQUIRE(node.swapped);
  node.replica->on_record_missing(node.now);
  REQUIRE(node.reading != 0);
  // The watch is quicker than the answers to the read and to a later try.
  PartitionRecord anew{Epoch(100), std::nullopt, {kSelf, kSecond, kThird}, {}, 1};
  node.replica->on_record(anew, Revision(3), node.now);
  node.replica->on_record_gone(node.reading);
  node.replica->on_record_missing(node.now);
  CHECK_FALSE(node.replica->record_gone());
  node.swapped.reset();
  node.stand();
  CHECK(node.swapped);
}

TEST_CASE("replication rule 15: an answer that says too little is asked for again") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  REQUIRE(node.swapped);
  node.swapped.reset();
  SUBCASE("the record was not there") { node.replica->on_record_missing(node.now); }
  SUBCASE("it was older") {
    const PartitionRecord older{Epoch(1), kThird, {kSelf, kSecond, kThird}, {}};
    node.replica->on_not_swapped(older, Revision(7), node.now);
  }
  // And the read that it leads to is never answered.
  node.now += 10s;
  node.replica->on_tick(node.now);
  CHECK(node.swapped);
}

TEST_CASE(
    "replication rule 15: what was read of a record that is gone meanwhile is no reason to halt") {
  Scripted node({{Epoch(1), 0}}, Epoch(3));
  node.see(Epoch(2), kThird, 1);
  node.stand();
  REQUIRE(node.reading != 0);
  node.replica->on_record_gone(node.reading);
  const PartitionRecord before{Epoch(2), kThird, {kSelf, kSecond, kThird}, {}};
  node.replica->on_record_read(node.reading, before, Revision(1), node.now);
  CHECK_FALSE(node.replica->halted());
}

TEST_CASE(
    "replication rule 15: another record of the revision that was to be replaced is noticed") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  REQUIRE(node.swapped);
  node.may_halt = true;
  const PartitionRecord other{Epoch(1), kSecond, {kSelf, kSecond, kThird}, {}};
  SUBCASE("of the same generation") {
    node.replica->on_not_swapped(other, Revision(9), node.now);
    CHECK(node.replica->halted());
  }
  SUBCASE("made anew") {
    PartitionRecord anew = other;
    anew.generation = 1;
    node.replica->on_not_swapped(anew, Revision(9), node.now);
    CHECK_FALSE(node.replica->halted());
    CHECK(node.replica->record() == anew);
  }
}

TEST_CASE("replication rule 11: a record of an earlier life is remembered") {
  const PartitionRecord known{Epoch(4), kSecond, {kSelf, kSecond, kThird}, {}};
  Scripted node({{Epoch(1), 0}}, Epoch(4));
  node.replica->remember(known, Revision(20));
  node.see(Epoch(3), kThird, 12);
  CHECK(node.replica->record() == known);
  node.replica->on_record(known, Revision(20), node.now);
  CHECK(node.replica->revision() == Revision(20));
  node.see(Epoch(5), kThird, 21);
  CHECK(node.replica->record()->epoch == Epoch(5));
}
