#include "engine/cluster/partition_replica.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/log_format.h"
#include "engine/log/partition_log.h"
#include "engine/replication/local_coordinator.h"
#include "tests/engine/cluster/members.h"
#include "tests/engine/cluster/stepped_scheduler.h"
#include "tests/support/simulated_environment.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;
using namespace std::chrono_literals;

namespace {

using replication::PartitionRecord;
using Role = replication::Replica::Role;
using Answer = std::shared_ptr<std::optional<Result<CommitOutcome>>>;

const std::string kKey = "partition";
const Member kSelf = member(1);
const Member kSecond = member(2);
const Member kThird = member(3);
constexpr std::uint64_t kRoom = 1u << 20;  ///< to lead

class MovedClock final : public Clock {
 public:
  [[nodiscard]] TimeUs now() const override { return TimeUs(1'000'000 + time / 1us); }
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return time; }
  std::chrono::nanoseconds time{0};
};

/// A partition with its replica; what it says to other nodes goes nowhere.
class Node {
 public:
  explicit Node(const MemberList& replicas = {kSelf}) {
    log::LogOptions options;
    options.segment_bytes = log::kSegmentBytesMin;
    options.found_tail = log::FoundTail::held;
    auto log = log::PartitionLog::open(disk, "p", Uuid{}, options);
    REQUIRE(log);
    partition = LogPartition::open_replica(environment(), *std::move(log), {},
                                           scheduler.make_worker("maintain"));
    PromiseStore promises(disk, "p", Uuid{});
    const auto promise = promises.load();
    REQUIRE(promise);
    PartitionReplica::Options how;
    how.self = kSelf;
    how.record_key = kKey;
    how.retention_waits_for = 5s;
    how.retention_waits_bytes = 1u << 20;
    how.room_to_lead = kRoom;
    how.folder = "p";
    how.last = load_last_record(disk, "p", Uuid{}).value();
    replica = std::make_shared<PartitionReplica>(
        environment(), partition, std::move(promises), *promise, scheduler.make_worker("promises"),
        how,
        PartitionReplica::Ports{
            coordinator, [](const Member&, const std::string&) {},
            [](const Member&, const std::string&, const io::FileRegion&) {},
            [](const Member&) { return false; },
            [this](const Member& at) { return where + std::to_string(at.node.value); },
            [this](const std::string& what) { reports.push_back(what); }});
    replica->start();
    coordinator.compare_and_set(
        kKey, std::nullopt,
        replication::encode_partition_record({Epoch(0), std::nullopt, replicas, {}}),
        [](const auto&) {});
    watch = coordinator.watch(kKey, [this](const replication::Coordinator::Change& change) {
      const auto record = replication::decode_partition_record(change.record->value);
      replica->on_record(*record, change.record->revision);
    });
  }
  ~Node() {
    watch.reset();
    if (!stopped) stop();
    scheduler.run();
  }

  [[nodiscard]] Environment environment() {
    return {disk, clock, random, scheduler, [this](const Error&) { ++ended; }};
  }
  void advance(std::chrono::milliseconds duration) {
    for (auto passed = 0ms; passed < duration; passed += 10ms) {
      clock.time += 10ms;
      scheduler.advance(10ms);
    }
  }
  /// What the coordinator has.
  [[nodiscard]] replication::Record stored() {
    replication::Record found;
    coordinator.get(kKey, [&](auto read) { found = *read.value(); });
    return found;
  }
  [[nodiscard]] PartitionRecord record() {
    return replication::decode_partition_record(stored().value).value();
  }
  /// `member` has been elected.
  void elect(const Member& member, Epoch epoch) {
    PartitionRecord next = record();
    next.epoch = epoch;
    next.leader = member;
    coordinator.compare_and_set(kKey, stored(), replication::encode_partition_record(next),
                                [](const auto& swapped) { REQUIRE(swapped->swapped); });
    scheduler.run();
    say(member, replication::Fence{epoch});
  }
  Answer execute(Commit commit) {
    auto answer = std::make_shared<std::optional<Result<CommitOutcome>>>();
    partition->execute(
        std::nullopt,
        [commit = std::move(commit)](const Staging&) mutable { return std::move(commit); },
        [answer](Result<CommitOutcome> outcome) { *answer = std::move(outcome); });
    scheduler.run();
    return answer;
  }
  void say(const Member& from, const replication::Message& message) {
    replica->on_message(from, replication::encode_message(message));
    scheduler.run();
  }
  /// As the store does it. Whether it came to an end.
  bool stop() {
    replica->stop([this] { stopped = true; });
    scheduler.run();
    if (stopped) partition->close([this] { closed = true; });
    scheduler.run();
    return closed;
  }
  /// No promise can be stored.
  void fill_disk() {
    disk.set_fault([](DiskCall, const std::string& path) {
      return path.find("promise") != std::string::npos ? std::optional(Errc::disk_full)
                                                       : std::nullopt;
    });
  }
  void free_disk() { disk.set_fault(nullptr); }

  SimulatedFileSystem disk{1};
  MovedClock clock;
  SeededRandom random{2};
  SteppedScheduler scheduler;
  replication::LocalCoordinator coordinator;
  std::vector<std::string> reports;
  std::string where = "node-";  ///< clients reach nodes
  int ended = 0;
  bool stopped = false;
  bool closed = false;
  std::shared_ptr<LogPartition> partition;
  std::shared_ptr<PartitionReplica> replica;
  std::unique_ptr<replication::Coordinator::Watch> watch;
};

bool accepted(const Answer& answer) { return answer->has_value() && (*answer)->has_value(); }

}  // namespace

TEST_CASE("partition replica: a promise that cannot be stored is tried again, and seen meanwhile") {
  Node node;
  node.fill_disk();
  node.advance(5s);
  CHECK(node.replica->status().role == Role::following);
  REQUIRE(node.replica->status().halted);
  CHECK(node.replica->status().halted->code == Errc::disk_full);
  CHECK(node.reports.size() == 2);  // of the promise, and of the disk

  node.free_disk();
  node.advance(5s);
  CHECK(node.replica->status().role == Role::leading);
  CHECK_FALSE(node.replica->status().halted);
  CHECK(accepted(node.execute(write_to("a-1", {"1"}))));
}

TEST_CASE("partition replica: a disk without room is seen, and that it has some again") {
  Node node;
  node.advance(3s);
  REQUIRE(node.replica->status().role == Role::leading);
  node.disk.set_room(0);
  const std::string much(log::kSegmentBytesMin / 4, 'x');
  Answer last;
  for (int i = 0; i < 8; ++i) last = node.execute(write_to("a-1", {much}));
  REQUIRE(last->has_value());
  CHECK((*last)->error().code == Errc::disk_full);
  node.advance(5s);
  CHECK(node.replica->status().no_room);
  CHECK(node.replica->status().role == Role::leading);  // there is no other
  node.disk.set_room(kRoom - 1);
  node.advance(6s);
  CHECK(node.replica->status().no_room);
  node.disk.set_room(kRoom);
  node.advance(1s);
  CHECK_FALSE(node.replica->status().no_room);
  CHECK(accepted(node.execute(write_to("a-1", {much}))));
}

TEST_CASE("partition replica: a write that may have left something is refused for want of room") {
  for (const bool full : {true, false}) {
    CAPTURE(full);
    Node node;
    node.advance(3s);
    REQUIRE(accepted(node.execute(write_to("a-1", {"1"}))));
    if (full) node.disk.set_room(0);
    node.disk.set_fault([](DiskCall call, const std::string&) {
      return call == DiskCall::write ? std::optional(Errc::disk_full) : std::nullopt;
    });
    const Answer answer = node.execute(write_to("a-1", {"2"}));
    REQUIRE(answer->has_value());
    CHECK((*answer)->error().code == Errc::outcome_unknown);
    CHECK(node.replica->status().no_room == full);
    node.disk.set_fault({});
  }
}

TEST_CASE("partition replica: who has no room does not stand when it is asked to lead") {
  for (const bool room : {true, false}) {
    CAPTURE(room);
    Node node({kSecond, kSelf, kThird});
    node.elect(kSecond, Epoch(1));
    node.advance(100ms);
    if (!room) node.fill_disk();
    node.elect(kSecond, Epoch(2));
    node.advance(100ms);
    node.free_disk();
    node.advance(1s);
    REQUIRE(node.replica->status().epoch == Epoch(2));
    CHECK(node.replica->status().no_room == !room);
    node.say(kSecond, replication::Succeed{Epoch(2)});
    CHECK((node.record().leader == kSelf) == room);
  }
}

TEST_CASE("partition replica: commands are answered when its promise cannot be stored") {
  Node node;
  node.advance(3s);
  REQUIRE(node.replica->status().role == Role::leading);
  node.fill_disk();
  node.replica->move({kSelf}, [](const Result<void>&) {});
  node.advance(1s);
  const Answer answer = node.execute(write_to("a-1", {"1"}));
  std::optional<Result<void>> read;
  node.partition->linearize([&](Result<void> result) { read = result; });
  node.advance(3s);
  CHECK(answer->has_value());
  CHECK(read.has_value());
  node.free_disk();
  node.advance(5s);
  CHECK_FALSE(node.replica->status().move);
  CHECK_FALSE(node.replica->status().record->changing());
  CHECK(node.replica->status().role == Role::leading);
  CHECK(accepted(node.execute(write_to("a-1", {"2"}))));
}

TEST_CASE("partition replica: it stops in the midst of a change of members") {
  const Member other = member(2);
  Node node;
  node.advance(3s);
  node.replica->on_connected(other);
  node.replica->move({kSelf, other}, [](const Result<void>&) {});
  node.scheduler.run();
  const ReplicaStatus leading = node.replica->status();
  REQUIRE(leading.role == Role::leading);
  node.say(other, replication::Ack{leading.epoch, 1, leading.appended});
  node.advance(20ms);
  // It waits for the other one's promise.
  REQUIRE(node.replica->status().role == Role::taking_over);
  const Answer waiting = node.execute(write_to("a-1", {"1"}));
  REQUIRE_FALSE(waiting->has_value());
  CHECK(node.stop());
  REQUIRE(waiting->has_value());
  CHECK_FALSE((*waiting)->has_value());
}

TEST_CASE("partition replica: who has no replica sends commands to the leader of the record") {
  const MemberList others{member(2), member(3), member(4)};
  Node node(others);
  node.replica->on_record({Epoch(4), others[1], others, {}}, Revision(9));
  node.advance(100ms);
  const Answer answer = node.execute(write_to("a-1", {"1"}));
  REQUIRE(answer->has_value());
  CHECK((*answer)->error().code == Errc::not_leader);
  CHECK((*answer)->error().context == "node-3");
  CHECK(node.partition->leader() == "node-3");
}

TEST_CASE("partition replica: who has pledged itself sends commands to the leader of the record") {
  Node node({member(2), kSelf, member(3)});
  node.elect(member(2), Epoch(1));
  node.say(member(2), replication::Append{Epoch(1), 1, {}, true, {}, {}, {}});
  REQUIRE(node.partition->leader() == "node-2");
  node.replica->pledge(Epoch(5000), [](const auto&) {});
  node.advance(100ms);
  REQUIRE(node.replica->status().pledged);
  CHECK(node.replica->status().leader == member(2));
  CHECK(node.partition->leader() == "node-2");
  const Answer answer = node.execute(write_to("a-1", {"1"}));
  REQUIRE(answer->has_value());
  CHECK((*answer)->error().code == Errc::not_leader);
  SUBCASE("and if that was itself there is none") {
    PartitionRecord own = node.record();
    own.epoch = Epoch(2);
    own.leader = kSelf;
    node.replica->on_record(own, Revision(99));
    node.advance(100ms);
    CHECK_FALSE(node.replica->status().leader);
    CHECK_FALSE(node.partition->leader());
  }
}

TEST_CASE("partition replica: one that halts shows nothing more, and says why") {
  Node node;
  node.advance(3s);
  REQUIRE(accepted(node.execute(write_to("a-1", {"1"}))));
  REQUIRE(node.partition->readable());
  // The coordinator has been put back to an earlier state.
  node.replica->on_record({Epoch(0), std::nullopt, {kSelf}, {}}, Revision(99));
  node.scheduler.run();
  REQUIRE(node.replica->status().halted);
  CHECK(node.partition->readable().error().code == Errc::corruption);
  CHECK(node.partition->health().error().code == Errc::corruption);
  CHECK(node.partition->stream_version("a-1", Offset(UINT64_MAX)).error().code == Errc::corruption);
  const Answer answer = node.execute(write_to("a-1", {"2"}));
  REQUIRE(answer->has_value());
  CHECK_FALSE((*answer)->has_value());
}

TEST_CASE("partition replica: a leader that has moved is known where it is now") {
  Node node({member(2), kSelf, member(3)});
  node.say(member(2), replication::Fence{Epoch(1)});
  node.say(member(2), replication::Append{Epoch(1), 1, {}, true, {}, {}, {}});
  REQUIRE(node.partition->leader() == "node-2");
  node.where = "moved-";
  node.say(member(2), replication::Append{Epoch(1), 2, {}, true, {}, {}, {}});
  node.replica->on_addresses_changed();
  node.scheduler.run();
  CHECK(node.partition->leader() == "moved-2");
}

TEST_CASE("partition replica: retention waits for who is away, for a time and for so much") {
  const Member near = member(2);
  const Member away = member(3);
  Node node({kSelf, near, away});
  for (const Member& peer : {near, away}) node.replica->on_connected(peer);
  node.advance(20ms);
  // The first of the list stands at once, and the others answer.
  for (const Member& peer : {near, away}) node.say(peer, replication::ProbeAnswer{1, {}, false});
  node.advance(20ms);
  const Epoch epoch(1);
  node.say(near, replication::Promised{epoch, {}});
  const auto acknowledge = [&](const Member& peer) {
    node.say(peer, replication::Ack{epoch, 1, node.replica->status().appended});
  };
  const auto pass = [&](std::chrono::milliseconds duration) {
    for (auto passed = 0ms; passed < duration; passed += 100ms) {
      node.advance(100ms);
      acknowledge(near);
    }
  };
  acknowledge(near);
  REQUIRE(node.replica->status().role == Role::leading);
  node.partition->set_retention({.bytes = 1});
  node.partition->start_retention();
  const auto write = [&](int batches) {
    for (int i = 0; i < batches; ++i) {
      const Answer answer = node.execute(write_to("a-1", {std::string(40'000, 'x')}));
      acknowledge(near);
      REQUIRE(accepted(answer));
    }
  };
  const auto removed = [&] { return node.partition->start() > Offset(0); };
  SUBCASE("it comes back in time") {
    write(8);
    pass(4s);
    CHECK_FALSE(removed());
    acknowledge(away);
    pass(2s);
    CHECK(removed());
  }
  SUBCASE("it does not") {
    write(8);
    pass(4s);
    CHECK_FALSE(removed());
    CHECK(node.reports.empty());
    pass(3s);
    CHECK(removed());
    REQUIRE(node.reports.size() == 1);
    CHECK(node.reports.front().contains("does not wait for node 3"));
    // It is there again, and asks for what is gone.
    node.say(away, replication::Follow{epoch, 1, {}});
    pass(1s);
    CHECK(node.reports.size() == 1);
  }
  SUBCASE("it lacks too much") {
    write(40);
    pass(2s);
    CHECK(removed());
  }
  // New replicas are fed what is left of it.
  std::optional<Result<void>> moved;
  node.replica->move({kSelf, near, member(3, 1)}, [&](Result<void> result) { moved = result; });
  node.scheduler.run();
  REQUIRE(moved);
  CHECK(moved->has_value());
}

TEST_CASE("partition replica: takes part again when the records have been made anew") {
  Node node;
  node.advance(3s);
  REQUIRE(accepted(node.execute(write_to("a-1", {"1"}))));
  node.replica->on_record({Epoch(0), std::nullopt, {kSelf}, {}}, Revision(99));
  node.scheduler.run();
  REQUIRE(node.replica->status().halted);
  PartitionRecord anew{Epoch(5000), std::nullopt, {kSelf}, {}};
  anew.generation = 1;
  std::optional<replication::Record> at;
  node.coordinator.get(kKey, [&](auto record) { at = record.value(); });
  node.coordinator.compare_and_set(kKey, at, replication::encode_partition_record(anew),
                                   [](const auto&) {});
  node.advance(3s);
  CHECK_FALSE(node.replica->status().halted);
  CHECK(node.replica->status().role == Role::leading);
  CHECK(node.replica->status().epoch == Epoch(5001));
  CHECK(node.partition->readable());
  CHECK(node.partition->health());
  CHECK(accepted(node.execute(write_to("a-1", {"2"}))));
}

TEST_CASE("partition replica: takes part again when the right coordinator is back") {
  Node node;
  node.advance(3s);
  REQUIRE(accepted(node.execute(write_to("a-1", {"1"}))));
  // What a wrong one says; the right one has what it had.
  node.replica->on_record({Epoch(0), std::nullopt, {kSelf}, {}}, Revision(99));
  node.scheduler.run();
  REQUIRE(node.replica->status().halted);
  CHECK(node.replica->status().without_record);
  node.advance(6s);
  CHECK_FALSE(node.replica->status().halted);
  CHECK_FALSE(node.replica->status().without_record);
  CHECK(node.partition->health());
  CHECK(accepted(node.execute(write_to("a-1", {"2"}))));
}

TEST_CASE("partition replica: what is pledged is durable before it is answered") {
  Node node;
  node.advance(3s);
  REQUIRE(node.replica->status().role == Role::leading);
  const Epoch led = node.replica->status().epoch;
  std::optional<Result<replication::Promise>> before;
  node.fill_disk();
  node.replica->pledge(Epoch(5000), [&](auto result) { before = result; });
  node.advance(500ms);
  CHECK_FALSE(before);
  CHECK(node.replica->status().role == Role::following);
  node.free_disk();
  node.advance(5s);
  REQUIRE(before);
  CHECK(before->value() == replication::Promise(led, kSelf));
  const auto stored = PromiseStore(node.disk, "p", Uuid{}).load().value();
  CHECK(stored.epoch == Epoch(5000));
  CHECK(stored.led == led);
  CHECK(node.replica->status().promised == stored);
  // It does not stand by a record of before.
  CHECK(node.replica->status().role == Role::following);
  before.reset();
  node.replica->pledge(Epoch(5000), [&](auto result) { before = result; });
  node.advance(10ms);
  REQUIRE(before);
  CHECK(before->error().code == Errc::already_exists);
}

TEST_CASE("partition replica: the last record is kept on disk") {
  Node node;
  node.advance(3s);
  const ReplicaStatus status = node.replica->status();
  REQUIRE(status.role == Role::leading);
  const auto kept = load_last_record(node.disk, "p", Uuid{}).value();
  REQUIRE(kept);
  CHECK(kept->record == *status.record);
  CHECK(kept->revision == status.revision);
}
