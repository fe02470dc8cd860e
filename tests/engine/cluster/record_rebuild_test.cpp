#include "engine/cluster/record_rebuild.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tests/engine/cluster/members.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::replication;
using keelson::test::member;

namespace {

const Member kOne = member(1);
const Member kTwo = member(2);
const Member kThree = member(3);
const Member kFour = member(4);
const Member kFive = member(5);
const MemberList kList{kOne, kTwo, kThree};

PartitionRecord record(std::uint64_t epoch, const Member& leader,
                       const MemberList& replicas = kList, const MemberList& old_replicas = {}) {
  return {Epoch(epoch), leader, replicas, old_replicas};
}

PartitionTestimony says(const PartitionRecord& known, std::uint64_t revision,
                        const Promise& promise) {
  return {promise, LastRecord{known, Revision(revision)}, {promise.led, BatchNo(9)}, {}};
}

/// Who follows or leads by the record that it knows.
PartitionTestimony obeys(const PartitionRecord& known, std::uint64_t revision) {
  return says(known, revision, Promise(known.epoch, *known.leader));
}

using Said = std::map<Member, PartitionTestimony>;

RebuiltRecord rebuilt(const Said& said, const std::optional<LastRecord>& there = {},
                      const MemberList& began = kList) {
  auto made = rebuild_record(said, there, began, 1);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message()));
  return *std::move(made);
}

bool doubts(const RebuiltRecord& made, const std::string& part) {
  for (const std::string& doubt : made.doubts) {
    if (doubt.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("rebuilt record: the last known lists, nobody's epoch beyond all that was promised") {
  const auto known = record(7, kTwo);
  const auto made = rebuilt({{kOne, obeys(record(6, kOne), 40)},
                             {kTwo, obeys(known, 44)},
                             {kThree, says(known, 44, Promise(Epoch(6), kOne))}});
  CHECK(made.doubts.empty());
  CHECK(made.known->record == known);
  REQUIRE(made.record);
  CHECK(made.record->epoch == Epoch(2 * kRebuiltEpochGap));
  CHECK_FALSE(made.record->leader);
  CHECK(made.record->replicas == kList);
  CHECK_FALSE(made.record->changing());
  CHECK(made.record->generation == 1);
}

TEST_CASE("rebuilt record: without a majority of a list there is doubt") {
  const auto known = record(7, kTwo);
  CHECK(rebuilt({{kOne, obeys(known, 44)}, {kTwo, obeys(known, 44)}}).doubts.empty());
  CHECK(doubts(rebuilt({{kOne, obeys(known, 44)}}), "no majority of its replicas"));
  CHECK(doubts(rebuilt({{kOne, obeys(known, 44)}, {kFour, obeys(known, 44)}}), "no majority"));
  // A wiped disk is another member, and one that is damaged has nothing to say.
  CHECK(
      doubts(rebuilt({{kOne, obeys(known, 44)}, {member(2, 9), obeys(known, 44)}}), "no majority"));
  auto damaged = obeys(known, 44);
  damaged.damage = Error{Errc::corruption, "its promise is lost", {}};
  CHECK(doubts(rebuilt({{kOne, obeys(known, 44)}, {kTwo, damaged}}), "no majority"));
}

TEST_CASE(
    "rebuilt record: of a change of members that is half done both lists stay and are asked") {
  const MemberList wanted{kThree, kFour, kFive};
  const auto joint = record(8, kThree, wanted, kList);
  Said said{{kOne, obeys(record(7, kThree), 50)},
            {kTwo, obeys(record(7, kThree), 50)},
            {kThree, obeys(joint, 55)}};
  auto made = rebuilt(said);
  CHECK(made.record->replicas == wanted);
  CHECK(made.record->old_replicas == kList);
  CHECK(doubts(made, "no majority of its replicas was asked, node 4, node 5 are missing"));
  CHECK(made.doubts.size() == 1);
  said[kFour] = obeys(joint, 55);
  CHECK(rebuilt(said).doubts.empty());
  // Its end, in the same epoch, is later.
  said[kFive] = obeys(record(8, kThree, wanted), 56);
  made = rebuilt(said);
  CHECK(made.record->replicas == wanted);
  CHECK_FALSE(made.record->changing());
  CHECK(made.doubts.empty());
}

// Nodes 1 and 2 know nothing of a change that has come to an end without them. They have obeyed
// its epoch, or it could not have.
TEST_CASE("rebuilt record: who has obeyed a leader of whom no record is known makes it doubtful") {
  const auto known = record(7, kThree);
  const Said said{{kOne, says(known, 50, Promise(Epoch(8), kThree))}, {kTwo, obeys(known, 50)}};
  const auto made = rebuilt(said);
  CHECK(doubts(made, "node 1 has obeyed a leader of epoch 8"));
  CHECK(made.record->epoch > Epoch(8));
  // Or has its batches.
  auto behind = obeys(known, 50);
  behind.end.epoch = Epoch(9);
  CHECK(doubts(rebuilt({{kOne, behind}, {kTwo, obeys(known, 50)}}), "epoch 9"));
}

TEST_CASE("rebuilt record: what was pledged in an earlier try is no leader's, and is gone beyond") {
  const auto known = record(7, kThree);
  Promise pledged(Epoch(7), kThree);
  pledged.epoch = Epoch(2 * kRebuiltEpochGap);
  const auto made =
      rebuilt({{kOne, says(known, 50, pledged)}, {kTwo, obeys(known, 50)}}, LastRecord{known, {}});
  CHECK(made.doubts.empty());
  CHECK(made.record->epoch == Epoch(4 * kRebuiltEpochGap));
}

TEST_CASE("rebuilt record: what the coordinator has stays when it is the last one") {
  const auto known = record(7, kThree);
  const Said said{{kOne, obeys(known, 50)}, {kTwo, obeys(record(6, kOne), 49)}};
  const auto made = rebuilt(said, LastRecord{known, Revision(50)});
  CHECK_FALSE(made.record);
  CHECK(made.doubts.empty());
  // One that it alone knows is as good.
  CHECK_FALSE(rebuilt(said, LastRecord{record(8, kOne), Revision(51)}).record);
  // One that is earlier is not.
  const auto later = rebuilt(said, LastRecord{record(6, kOne), Revision(49)});
  REQUIRE(later.record);
  CHECK(later.record->epoch > Epoch(7));
  CHECK(later.doubts.empty());
}

TEST_CASE("rebuilt record: is made for one that has found none, or has halted, whatever is there") {
  const auto known = record(7, kThree);
  Said said{{kOne, obeys(known, 50)}, {kTwo, obeys(known, 50)}};
  const LastRecord there{known, Revision(50)};
  REQUIRE_FALSE(rebuilt(said, there).record);
  said.at(kTwo).without_record = true;
  const auto made = rebuilt(said, there);
  REQUIRE(made.record);
  CHECK(made.record->epoch > known.epoch);
  CHECK(made.record->generation == 1);
  CHECK(made.doubts.empty());
}

TEST_CASE("rebuilt record: a coordinator that went on after it had gone back is noticed") {
  const auto known = record(7, kThree);
  const Said said{{kOne, obeys(known, 50)}, {kTwo, obeys(known, 50)}};
  CHECK(doubts(rebuilt(said, LastRecord{record(8, kOne), Revision(45)}), "gone back"));
  const auto other = rebuild_record(said, LastRecord{record(7, kOne), Revision(45)}, kList, 1);
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Errc::corruption);
  // What was made anew is later than all before.
  auto anew = record(5, kOne);
  anew.generation = 1;
  CHECK_FALSE(doubts(rebuilt(said, LastRecord{anew, Revision(3)}), "gone back"));
}

TEST_CASE("rebuilt record: where nobody knows a record, it is as it began, or nothing") {
  const PartitionTestimony nothing;
  auto made = rebuilt({{kOne, nothing}, {kTwo, nothing}});
  CHECK(made.doubts.empty());
  CHECK(made.record->replicas == kList);
  PartitionTestimony log_only;
  log_only.promise = Promise(Epoch(4));
  made = rebuilt({{kOne, log_only}, {kTwo, nothing}});
  CHECK(doubts(made, "only where it began"));
  CHECK(made.record->epoch > Epoch(4));
  CHECK(rebuild_record({{kOne, nothing}}, {}, {}, 1).error().code == Errc::not_found);
}

TEST_CASE("rebuilt record: is written when a majority of every list is fenced as it was seen") {
  const auto known = record(7, kThree);
  const Said said{{kOne, obeys(known, 50)}, {kTwo, obeys(known, 50)}, {kThree, obeys(known, 50)}};
  const auto made = rebuilt(said);
  const Promise before(Epoch(7), kThree);
  CHECK(check_fenced(made, {{kOne, before}, {kTwo, before}}));
  CHECK(check_fenced(made, {{kOne, before}}).error().code == Errc::not_enough_replicas);
  // Somebody was elected between the looking and the fencing.
  const auto late = check_fenced(made, {{kOne, before}, {kTwo, Promise(Epoch(8), kOne)}});
  CHECK(late.error().code == Errc::version_conflict);
}
