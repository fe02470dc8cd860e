// Traces too rare for random runs: one replica, and what the others say to it, written out.
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/replication/replica.h"
#include "tests/simulation/scripted_replica.h"

using namespace keelson;
using namespace keelson::replication;
using namespace keelson::simulation;
using namespace std::chrono_literals;

namespace {

std::string encoded(const ModelBatch& batch) {
  return {reinterpret_cast<const char*>(&batch), sizeof(batch)};
}

}  // namespace

TEST_CASE("replication rule 9: a member named twice does not come into the record") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
  REQUIRE(node.replica->role() == Replica::Role::leading);
  const auto asked = node.swapped;
  const auto refused = node.replica->change_members({kSelf, kSecond, kSelf}, node.now);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::bad_request);
  CHECK(node.swapped == asked);
}

TEST_CASE(
    "replication rule 2: an epoch that was won is not begun after a promise to a higher one") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 1);
  node.stand();
  REQUIRE(node.swapped);
  node.receive(kSecond, Fence{Epoch(3)});
  node.run_disk();
  REQUIRE(node.last<Promised>(kSecond));
  node.replica->on_swapped(Revision(2), node.now);
  node.run_disk();
  CHECK(node.replica->role() == Replica::Role::following);
  CHECK_FALSE(node.last<Fence>(kThird));
}

TEST_CASE("replication rule 5: a member that has promised and then falls silent is not copied") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.take_over(Epoch(2));
  node.receive(kSecond, Promised{Epoch(2), {Epoch(1), BatchNo(3)}});
  REQUIRE(node.last<Pull>(kSecond));
  node.receive(kThird, Promised{Epoch(2), {Epoch(1), BatchNo(2)}});
  node.now += 2s;
  node.replica->on_tick(node.now);
  const auto pull = node.last<Pull>(kThird);
  REQUIRE(pull);
  node.receive(kThird, Pulled{Epoch(2),
                              pull->number,
                              BatchNo(1),
                              BatchNo(2),
                              {Epoch(1), BatchNo(2)},
                              encoded({Epoch(1), 7})});
  node.run_disk();
  CHECK(node.replica->role() == Replica::Role::starting);
}

TEST_CASE("replication rule 7: a follower that its leader has forgotten asks again") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.follow(Epoch(2));
  const std::uint64_t asked = node.last<Follow>(kSecond)->number;
  node.receive(kSecond, Append{Epoch(2), 2, {}, true, BatchNo(1), BatchNo(1), {}});
  CHECK(node.last<Follow>(kSecond)->number == asked);
  // It was dropped from the learners and has come back: the leader knows it as new.
  node.receive(kSecond, Append{Epoch(2), 3, {}, true, BatchNo(0), BatchNo(0), {}});
  CHECK(node.last<Follow>(kSecond)->number > asked);
}

TEST_CASE("replication rule 7: who is not matched is told of no place, an empty log's neither") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.now += 1s;
  node.replica->on_tick(node.now);
  REQUIRE(node.last<Append>(kThird));
  CHECK(node.last<Append>(kThird)->first == BatchNo(UINT64_MAX));
  CHECK(node.last<Append>(kThird)->batches.empty());
}

TEST_CASE("replication rule 7: a second copy of an older answer cuts nothing") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.follow(Epoch(2));
  const std::uint64_t asked = node.last<Follow>(kSecond)->number;
  node.receive(kSecond,
               Append{Epoch(2), 2, {}, true, BatchNo(1), BatchNo(2), encoded({Epoch(2), 7})});
  node.run_disk();
  REQUIRE(node.last<Ack>(kSecond)->durable == BatchNo(2));
  node.receive(kSecond, Append{Epoch(2), 3, {}, true, BatchNo(3), BatchNo(3), {}});
  REQUIRE(node.last<Follow>(kSecond)->number > asked);
  node.receive(kSecond, Matched{Epoch(2), asked, BatchNo(1)});
  node.run_disk();
  CHECK(node.log.batches.size() == 2);
}

TEST_CASE("replication rule 7: what failed with an earlier operation says nothing of later ones") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.follow(Epoch(2));
  const auto append = [&](std::uint64_t first) {
    node.receive(
        kSecond,
        Append{
            Epoch(2), 2, {}, true, BatchNo(first), BatchNo(first + 1), encoded({Epoch(2), first})});
  };
  append(1);
  append(2);
  node.lose_disk();
  node.replica->on_log_failed(1, node.now);
  node.now += 500ms;
  node.follow(Epoch(2));
  append(1);
  node.replica->on_log_failed(2, node.now);
  // What is being written is not told to a new leader before it is durable.
  node.receive(kThird, Fence{Epoch(3)});
  node.replica->on_promise_stored(Epoch(3), node.now);
  CHECK_FALSE(node.last<Promised>(kThird));
  node.run_disk();
  REQUIRE(node.last<Promised>(kThird));
  CHECK(node.last<Promised>(kThird)->durable == LogEnd{Epoch(2), BatchNo(2)});
}

TEST_CASE("replication rule 12: a record or a message of a later epoch ends the lead") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  SUBCASE("a record") { node.see(Epoch(3), kThird, 9); }
  SUBCASE("a message") { node.receive(kThird, Fence{Epoch(3)}); }
  CHECK(node.replica->role() == Replica::Role::following);
}

TEST_CASE("replication rule 14: who waits for its own disk does not stand") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.now += 2s;
  node.replica->on_tick(node.now);
  REQUIRE(node.replica->role() == Replica::Role::following);
  node.sent.clear();
  node.now += 10s;
  node.replica->on_tick(node.now);
  CHECK_FALSE(node.last<Probe>(kSecond));
  node.run_disk();
  node.replica->on_tick(node.now);
  CHECK(node.last<Probe>(kSecond));
}

TEST_CASE("replication rule 14: a leader steps aside whose disk takes nothing of what it writes") {
  for (const bool writing : {false, true}) {
    CAPTURE(writing);
    Scripted node({{Epoch(1), 0}}, Epoch(1));
    node.lead(Epoch(2));
    node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
    node.replica->on_tick(node.now);
    node.writing = writing;
    for (int i = 0; i < 30; ++i) {
      node.now += 50ms;
      node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
      node.replica->on_tick(node.now);
    }
    CHECK((node.replica->role() == Replica::Role::leading) == !writing);
  }
}

TEST_CASE("replication rule 14: only a member is asked to succeed") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
  node.replica->catch_up({kFourth}, node.now);
  node.receive(kFourth, Ack{Epoch(2), 1, BatchNo(2)});
  CHECK_FALSE(node.replica->hand_over(kFourth, node.now));
  CHECK(node.replica->hand_over(kSecond, node.now));
}

TEST_CASE("replication rule 15: a late answer is no older record") {
  Scripted node({{Epoch(1), 0}}, Epoch(3));
  node.see(Epoch(2), kThird, 1);
  node.stand();
  const std::uint64_t first = node.reading;
  REQUIRE(first != 0);
  node.receive(kSecond, Fence{Epoch(4)});
  node.run_disk();
  node.receive(kSecond, Succeed{Epoch(4)});
  REQUIRE(node.reading > first);
  const PartitionRecord record{Epoch(3), kThird, {kSelf, kSecond, kThird}, {}};
  node.replica->on_record_read(first, record, Revision(2), node.now);
  CHECK_FALSE(node.replica->halted());
  // Now it is: whoever was promised epoch 4 had written it there before.
  node.may_halt = true;
  node.replica->on_record_read(node.reading, record, Revision(2), node.now);
  CHECK(node.replica->halted());
}

TEST_CASE("replication rule 15: a coordinator that has gone back is noticed at the next election") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 9);
  node.stand();
  REQUIRE(node.swapped);
  const PartitionRecord record{Epoch(1), kThird, {kSelf, kSecond, kThird}, {}};
  node.replica->on_not_swapped(record, Revision(7), node.now);
  CHECK_FALSE(node.replica->halted());  // that may be a late answer
  REQUIRE(node.reading != 0);
  node.may_halt = true;
  node.replica->on_record_read(node.reading, record, Revision(7), node.now);
  CHECK(node.replica->halted());
}

TEST_CASE("replication rule 15: a later revision of an earlier epoch is refused") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.may_halt = true;
  node.see(Epoch(1), kThird, 3);
  CHECK(node.replica->halted());
}

TEST_CASE("replication rule 16: by force a survivor leads alone, and shuts out the others") {
  Scripted node({{Epoch(1), 0}, {Epoch(2), 7}}, Epoch(2));
  node.see(Epoch(2), kThird, 1);
  node.replica->on_disconnected(kThird, node.now);
  SUBCASE("but not while a majority is connected") {
    const auto refused = node.replica->force_lead(Epoch(2));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_request);
    CHECK_FALSE(node.swapped);
  }
  SUBCASE("nor at another epoch than the operator has seen") {
    node.replica->on_disconnected(kSecond, node.now);
    const auto refused = node.replica->force_lead(Epoch(1));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::already_exists);
    CHECK_FALSE(node.swapped);
  }
  SUBCASE("else with the log that it has") {
    node.replica->on_disconnected(kSecond, node.now);
    REQUIRE(node.replica->force_lead(Epoch(2)));
    REQUIRE(node.swapped);
    CHECK(*node.swapped == PartitionRecord{Epoch(3), kSelf, {kSelf}, {}});
    // Another one is not asked for while this one's outcome is not known.
    CHECK_FALSE(node.replica->force_lead(Epoch(2)));
    node.replica->on_connected(kSecond, node.now);
    node.replica->on_swapped(Revision(2), node.now);
    node.run_disk();
    CHECK(node.replica->role() == Replica::Role::leading);
    CHECK(node.log.published == 3);
    const auto fence = node.last<Fence>(kSecond);
    REQUIRE(fence);
    CHECK(fence->epoch == Epoch(3));
  }
}

TEST_CASE("replication rule 16: nobody but a replica is made leader by force") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.replica->on_record({Epoch(1), kThird, {kSecond, kThird}, {}}, Revision(1), node.now);
  node.replica->on_disconnected(kSecond, node.now);
  node.replica->on_disconnected(kThird, node.now);
  CHECK_FALSE(node.replica->force_lead(Epoch(1)));
}

TEST_CASE("replication rule 16: a survivor that is fenced promises, and asks nobody for the lead") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.see(Epoch(1), kThird, 1);
  node.receive(kSecond, Fence{Epoch(2)});
  node.run_disk();
  REQUIRE(node.last<Promised>(kSecond));
  node.receive(kThird, Append{Epoch(1), 1, BatchNo(1), true, BatchNo(1), BatchNo(1), {}});
  CHECK(node.last<Refused>(kThird));
  node.replica->on_record({Epoch(2), kSecond, {kSecond}, {}}, Revision(2), node.now);
  node.sent.clear();
  node.now += 10s;
  node.replica->on_tick(node.now);
  CHECK_FALSE(node.last<Probe>(kThird));
}

TEST_CASE(
    "replication: while much waits to go to a node each partition has one message under way") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(2)});
  node.congested = true;
  const auto appends = [&] {
    std::vector<BatchNo> ends;
    for (const auto& [to, message] : node.sent) {
      const auto* const append = std::get_if<Append>(&message);
      if (to == kThird && append != nullptr && !append->batches.empty()) {
        ends.push_back(append->end);
      }
    }
    return ends;
  };
  const auto write = [&] {
    node.log.batches.push_back({Epoch(2), node.log.batches.size()});
    node.replica->on_appended(node.log.end().end, node.now);
    node.replica->on_durable(node.log.end().end, node.now);
  };
  node.receive(kThird, Follow{Epoch(2), 1, {}});
  CHECK(appends() == std::vector{BatchNo(2)});
  write();
  write();
  CHECK(appends() == std::vector{BatchNo(2)});
  // It goes on by itself when that has arrived, or the way is free.
  node.receive(kThird, Ack{Epoch(2), 1, BatchNo(2)});
  CHECK(appends() == std::vector{BatchNo(2), BatchNo(4)});
  write();
  CHECK(appends().size() == 2);
  node.congested = false;
  node.now += 1s;
  node.receive(kSecond, Ack{Epoch(2), 1, BatchNo(5)});
  node.replica->on_tick(node.now);
  CHECK(appends() == std::vector{BatchNo(2), BatchNo(4), BatchNo(5)});
}

namespace {

/// Batches of epoch 1, as many as are asked for, and then some of epoch 2.
std::vector<ModelBatch> two_epochs(std::size_t first, std::size_t then) {
  std::vector<ModelBatch> batches(first, ModelBatch{Epoch(1), 1});
  batches.resize(first + then, ModelBatch{Epoch(2), 2});
  return batches;
}

LogTail tail_of(const std::vector<ModelBatch>& batches) {
  ModelLog log;
  log.batches = batches;
  return log.tail(BatchNo(0)).value();
}

}  // namespace

TEST_CASE(
    "replication rule 17: who lacks what is removed is told so, and given it piece by piece") {
  Scripted node(two_epochs(4, 6), Epoch(2));
  node.log.removed = 7;
  node.lead(Epoch(3));
  const auto ask = [&](const std::vector<ModelBatch>& batches, std::uint64_t number) {
    node.sent.clear();
    node.receive(kThird, Follow{Epoch(3), number, tail_of(batches)});
  };
  // Whose log ends before the start, or has another batch before it.
  for (const auto& batches : {two_epochs(0, 0), two_epochs(4, 2), two_epochs(9, 0)}) {
    ask(batches, 5);
    CHECK(node.last<Behind>(kThird) == Behind{Epoch(3), 5, BatchNo(7)});
    CHECK_FALSE(node.last<Matched>(kThird));
    CHECK_FALSE(node.last<Append>(kThird));
  }
  // Whose log reaches it, and shares that, follows as it is.
  ask(two_epochs(4, 3), 6);
  CHECK(node.last<Matched>(kThird) == Matched{Epoch(3), 6, BatchNo(7)});
  ask(two_epochs(4, 5), 7);
  CHECK(node.last<Matched>(kThird) == Matched{Epoch(3), 7, BatchNo(9)});

  ask({}, 8);
  node.receive(kThird, Fetch{Epoch(3), 9, BatchNo(0), 0});
  const auto first = node.last<Fetched>(kThird);
  REQUIRE(first);
  CHECK(first->number == 9);
  CHECK(first->segment == BatchNo(0));
  CHECK(ModelLog::decode(first->bytes).size() == 5);
  node.receive(kThird, Fetch{Epoch(3), 10, BatchNo(5), 0});
  CHECK(ModelLog::decode(node.last<Fetched>(kThird)->bytes).size() == 2);
  node.receive(kThird, Fetch{Epoch(3), 11, BatchNo(7), 0});
  CHECK(node.last<Begin>(kThird) == Begin{Epoch(3), 11, BatchNo(7), "begins at 7"});
  // Another leader may have removed more: its log goes on later.
  node.receive(kThird, Fetch{Epoch(3), 12, BatchNo(8), 0});
  CHECK(node.last<Begin>(kThird) == Begin{Epoch(3), 12, BatchNo(8), "begins at 8"});
  node.receive(kThird, Fetch{Epoch(3), 13, BatchNo(99), 0});
  CHECK(node.last<Begin>(kThird)->header.empty());
  node.sent.clear();
  node.receive(kThird, Fetch{Epoch(2), 14, BatchNo(0), 0});
  node.receive(kFourth, Fetch{Epoch(3), 14, BatchNo(0), 0});  // who is not fed
  CHECK(node.sent.empty());
}

TEST_CASE(
    "replication rule 17: a follower that is fed out of what is removed meanwhile asks again") {
  Scripted node(two_epochs(4, 6), Epoch(2));
  node.lead(Epoch(3));
  node.receive(kThird, Follow{Epoch(3), 5, tail_of({})});
  REQUIRE(node.last<Matched>(kThird));
  node.log.published = 11;
  node.log.removed = 11;
  node.sent.clear();
  node.receive(kThird, Ack{Epoch(3), 2, BatchNo(0)});
  node.now += 150ms;
  node.replica->on_tick(node.now);
  // Nothing that it could take for the place where it is.
  const auto heartbeat = node.last<Append>(kThird);
  REQUIRE(heartbeat);
  CHECK(heartbeat->batches.empty());
  Scripted other({}, Epoch(2));
  other.follow(Epoch(3));
  const std::uint64_t asked = other.last<Follow>(kSecond)->number;
  other.receive(kSecond, Append{Epoch(3), 2, {}, true, heartbeat->first, heartbeat->end, {}});
  CHECK(other.last<Follow>(kSecond)->number > asked);
}

TEST_CASE("replication rule 17: a follower takes a beginning, and follows from there") {
  Scripted node(two_epochs(2, 0), Epoch(1));
  node.follow(Epoch(3));
  node.receive(kSecond, Append{Epoch(3), 2, BatchNo(2), true, BatchNo(2), BatchNo(2), {}});
  REQUIRE(node.replica->readable());
  // It is away while the leader goes on.
  node.replica->on_disconnected(kSecond, node.now);
  node.replica->on_connected(kSecond, node.now);
  node.sent.clear();
  node.receive(kSecond, Append{Epoch(3), 3, BatchNo(9), true, {}, {}, {}});
  REQUIRE(node.last<Follow>(kSecond));
  const std::uint64_t asked = node.last<Follow>(kSecond)->number;
  node.receive(kSecond, Behind{Epoch(3), asked - 1, BatchNo(7)});  // an older question's
  CHECK_FALSE(node.last<Fetch>(kSecond));
  node.receive(kSecond, Behind{Epoch(3), asked, BatchNo(7)});
  const auto fetch = node.last<Fetch>(kSecond);
  REQUIRE(fetch);
  CHECK(fetch->segment == BatchNo(0));
  ModelLog leader;
  leader.batches = two_epochs(4, 6);
  leader.removed = 7;
  const auto answer = [&](const Fetch& to) {
    const auto found = leader.beginning({to.segment, to.position}).value();
    if (!found.removed) {
      return node.receive(kSecond, Begin{to.epoch, to.number, to.segment, found.header});
    }
    node.receive(kSecond, Fetched{to.epoch, to.number, to.segment, 0, found.removed->file_bytes,
                                  found.removed->bytes});
  };
  answer(*fetch);
  answer(*fetch);                             // a second copy
  CHECK(node.last<Fetch>(kSecond) == fetch);  // not before the disk has it
  CHECK(node.log.batches.size() == 2);
  node.run_disk();
  CHECK(node.log.fetched.size() == 5);
  REQUIRE(node.last<Fetch>(kSecond)->segment == BatchNo(5));
  answer(*node.last<Fetch>(kSecond));
  node.run_disk();
  REQUIRE(node.last<Fetch>(kSecond)->segment == BatchNo(7));
  answer(*node.last<Fetch>(kSecond));
  // Readers see nothing from here on: what comes is less than the leader had committed.
  CHECK_FALSE(node.replica->readable());
  node.sent.clear();
  node.run_disk();
  CHECK(node.log.removed == 7);
  const auto follow = node.last<Follow>(kSecond);
  REQUIRE(follow);
  CHECK(follow->tail == LogTail{BatchNo(7), Epoch(2), {}, BatchNo(7)});
  node.receive(kSecond, Matched{Epoch(3), follow->number, BatchNo(7)});
  node.receive(kSecond, Append{Epoch(3), 2, BatchNo(8), true, BatchNo(7), BatchNo(8),
                               encoded({Epoch(2), 2})});
  node.run_disk();
  node.receive(kSecond, Append{Epoch(3), 3, BatchNo(8), true, BatchNo(8), BatchNo(8), {}});
  CHECK(node.replica->readable());
  CHECK(node.log.published == 8);
}

TEST_CASE(
    "replication rule 17: a leader without the place where a beginning goes on is another log") {
  Scripted node(two_epochs(2, 0), Epoch(1));
  node.receive(kSecond, Fence{Epoch(3)});
  node.run_disk();
  node.receive(kSecond, Append{Epoch(3), 1, BatchNo(9), true, {}, {}, {}});
  node.receive(kSecond, Behind{Epoch(3), node.last<Follow>(kSecond)->number, BatchNo(7)});
  const Fetch fetch = *node.last<Fetch>(kSecond);
  node.may_halt = true;
  node.receive(kSecond, Begin{Epoch(3), fetch.number, fetch.segment, ""});
  CHECK(node.replica->halted());
}

TEST_CASE("replication rule 17: who lacks what a greater log has removed lets that one lead") {
  Scripted node(two_epochs(2, 0), Epoch(1));
  node.take_over(Epoch(2));
  node.receive(kSecond, Promised{Epoch(2), {Epoch(1), BatchNo(10)}});
  const auto pull = node.last<Pull>(kSecond);
  REQUIRE(pull);
  REQUIRE(node.replica->role() == Replica::Role::taking_over);
  node.receive(kSecond, Behind{Epoch(2), pull->number, BatchNo(7)});
  CHECK(node.replica->role() == Replica::Role::following);
  CHECK(node.log.batches.size() == 2);
  // And who is asked says so.
  Scripted other(two_epochs(10, 0), Epoch(1));
  other.log.removed = 7;
  other.receive(kSecond, Fence{Epoch(2)});
  other.run_disk();
  other.receive(kSecond, Pull{Epoch(2), 4, tail_of(two_epochs(2, 0))});
  CHECK(other.last<Behind>(kSecond) == Behind{Epoch(2), 4, BatchNo(7)});
  CHECK_FALSE(other.last<Pulled>(kSecond));
}

TEST_CASE("replication: a leader that cannot read what a follower lacks halts") {
  Scripted node({{Epoch(1), 0}}, Epoch(1));
  node.lead(Epoch(2));
  node.log.damaged = 0;
  node.may_halt = true;
  node.receive(kThird, Follow{Epoch(2), 1, LogTail{}});
  node.now += 10ms;
  node.replica->on_tick(node.now);
  CHECK(node.replica->halted());
  CHECK(node.replica->role() == Replica::Role::following);
}
