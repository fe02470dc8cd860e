#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/log_format.h"
#include "engine/log/partition_log.h"
#include "engine/store/log_partition.h"
#include "engine/store/partition_replication.h"
#include "engine/store/subscription.h"
#include "tests/support/simulated_environment.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

constexpr Uuid kIdentity{};

/// What a partition tells the protocol, and a partition that does what it is told.
class Node final : public PartitionReplication {
 public:
  explicit Node(std::uint64_t seed = 1, Durability durability = Durability::fsync)
      : environment(seed) {
    how.durability = durability;
    open();
  }

  void open() {
    log::LogOptions options;
    options.segment_bytes = log::kSegmentBytesMin;
    options.found_tail = log::FoundTail::held;
    auto log = log::PartitionLog::open(environment.disk, "p", kIdentity, options);
    REQUIRE(log);
    partition = LogPartition::open_replica(environment.get(), *std::move(log), how,
                                           environment.scheduler.make_worker("maintain"));
    partition->replicate(this);
  }

  void reopen() {
    partition.reset();
    open();
  }

  /// Leads alone from here on: all that it has is committed.
  void lead(Epoch epoch) {
    partition->start_epoch(epoch);
    commit_all();
    partition->serve();
    partition->set_readable();
  }
  void commit_all() { partition->publish(appended); }

  std::shared_ptr<std::optional<Result<CommitOutcome>>> execute(Commit commit,
                                                                const std::string& id = {}) {
    auto answer = std::make_shared<std::optional<Result<CommitOutcome>>>();
    std::optional<CommandStamp> stamp;
    if (!id.empty()) stamp = CommandStamp{"", commit.writes.front().stream, id, {}};
    partition->execute(
        std::move(stamp),
        [commit = std::move(commit)](const Staging&) mutable { return std::move(commit); },
        [answer](Result<CommitOutcome> outcome) { *answer = std::move(outcome); });
    return answer;
  }

  void on_appended(BatchNo end) override { appended = end; }
  void on_durable(BatchNo end) override { durable = end; }
  void on_not_written(const Error& error) override { not_written = error.code; }
  void on_writer_stopped() override { ++stops; }
  void on_cut(const log::CutCopy& copy) override { copies.push_back(copy); }
  void on_log_done(std::uint64_t operation) override { done.push_back(operation); }
  void on_log_failed(std::uint64_t operation, const Error& error) override {
    failed.emplace_back(operation, error.code);
  }
  void begin_read(Partition::Linearized read) override {
    if (!hold_reads) return read({});
    reads.push_back(std::move(read));
  }
  Error refusal() const override { return {Errc::not_leader, "elsewhere:1", {}}; }

  SimulatedEnvironment environment;
  LogPartitionOptions how;
  BatchNo appended;
  BatchNo durable;
  int stops = 0;
  std::optional<Errc> not_written;
  bool hold_reads = false;
  std::vector<Partition::Linearized> reads;
  std::vector<log::CutCopy> copies;
  std::vector<std::uint64_t> done;
  std::vector<std::pair<std::uint64_t, Errc>> failed;
  std::shared_ptr<LogPartition> partition;
};

using Answer = std::shared_ptr<std::optional<Result<CommitOutcome>>>;

Errc code_of(const Answer& answer) {
  REQUIRE(answer->has_value());
  REQUIRE_FALSE((*answer)->has_value());
  return (*answer)->error().code;
}

bool accepted(const Answer& answer) { return answer->has_value() && (*answer)->has_value(); }

/// All batches of `from` that `to` does not have.
std::string batches_for(const Node& to, const Node& from) {
  const BatchNo first = to.partition->appended().next_batch;
  auto batches =
      from.partition->log().read_batches(first, from.partition->appended().next_batch, UINT64_MAX);
  REQUIRE(batches);
  return std::move(batches->bytes);
}

}  // namespace

TEST_CASE(
    "replica: a commit is answered and seen when it is committed, and not when it is durable") {
  Node node;
  node.lead(Epoch(1));
  const BatchNo before = node.appended;
  const Answer answer = node.execute(write_to("a-1", {"1", "2"}));
  CHECK(node.appended == before + 1);
  CHECK(node.durable == before + 1);
  CHECK_FALSE(answer->has_value());
  CHECK(node.partition->end() == Offset(0));
  CHECK(node.partition->stream_version("a-1", Offset(UINT64_MAX)) == Version(0));
  // What waits is there for who decides next.
  const Answer next = node.execute(write_to("a-1", {"3"}, ExpectedVersion::exact(Version(2))));

  node.partition->publish(before + 1);
  REQUIRE(accepted(answer));
  CHECK((*answer)->value().end == Offset(2));
  CHECK(node.partition->end() == Offset(2));
  CHECK_FALSE(next->has_value());
  node.commit_all();
  CHECK(accepted(next));
  CHECK(read_all(*node.partition).size() == 3);
}

TEST_CASE("replica: who does not lead takes no commands, and answers what was decided") {
  Node node;
  CHECK(code_of(node.execute(write_to("a-1", {"1"}))) == Errc::not_leader);
  node.lead(Epoch(1));
  const Answer first = node.execute(write_to("a-1", {"1"}), "once");
  node.commit_all();
  REQUIRE(accepted(first));
  node.partition->step_down();
  const Answer again = node.execute(write_to("a-1", {"1"}), "once");
  REQUIRE(accepted(again));
  CHECK((*again)->value().replayed);
  CHECK((*again)->value().first == (*first)->value().first);
  const Answer other = node.execute(write_to("a-1", {"2"}), "other");
  CHECK(code_of(other) == Errc::not_leader);
  CHECK((*other)->error().context == "elsewhere:1");
}

TEST_CASE("replica: a leader that steps down does not know what became of what it has written") {
  Node node;
  node.lead(Epoch(1));
  int discarded = 0;
  node.partition->set_discard_listener([&] { ++discarded; });
  node.environment.scheduler.hold();
  const Answer written = node.execute(write_to("a-1", {"1"}));
  while (node.durable < node.appended || node.appended == BatchNo(1)) {
    REQUIRE(node.environment.scheduler.step());
  }
  const Answer waiting = node.execute(write_to("a-1", {"2"}));
  const auto strand = node.partition->strand();
  // On the strand, before the writer has come to the second one.
  strand->post([&] { node.partition->step_down(); });
  node.environment.scheduler.release();
  CHECK(node.stops == 1);
  CHECK(discarded == 1);
  CHECK(code_of(written) == Errc::outcome_unknown);
  CHECK((code_of(waiting) == Errc::not_leader || code_of(waiting) == Errc::outcome_unknown));
  const bool second_unwritten = code_of(waiting) == Errc::not_leader;

  // The one that was written is there still, and is committed with the next epoch.
  node.lead(Epoch(2));
  CHECK(node.partition->end() == Offset(second_unwritten ? 1 : 2));
  const Answer next = node.execute(write_to("a-1", {"3"}, ExpectedVersion::exists()));
  node.commit_all();
  CHECK(accepted(next));
}

TEST_CASE("replica: what waits while the writer pauses is written in the next epoch") {
  Node node;
  node.lead(Epoch(1));
  const Answer before = node.execute(write_to("a-1", {"1"}));
  node.partition->pause_writing();
  CHECK(node.stops == 1);
  const BatchNo paused_at = node.appended;
  const Answer meanwhile = node.execute(write_to("a-1", {"2"}, ExpectedVersion::exact(Version(1))));
  CHECK(node.appended == paused_at);
  CHECK_FALSE(before->has_value());
  node.partition->start_epoch(Epoch(2));
  CHECK(node.appended == paused_at + 2);
  CHECK_FALSE(meanwhile->has_value());
  node.commit_all();
  CHECK(accepted(before));
  CHECK(accepted(meanwhile));
  const auto tail = node.partition->log().tail(BatchNo(0), node.appended);
  REQUIRE(tail);
  CHECK(tail->epochs ==
        std::vector<log::EpochStart>{{Epoch(1), BatchNo(0)}, {Epoch(2), paused_at}});
}

TEST_CASE("replica: a write that fails takes back what came after it, and nothing before") {
  Node node;
  node.lead(Epoch(1));
  const Answer before = node.execute(write_to("a-1", {"1"}));
  bool full = true;
  node.environment.disk.set_fault([&](DiskCall call, const std::string&) {
    const bool fails = full && call == DiskCall::write;
    full = full && !fails;
    return fails ? std::optional(Errc::disk_full) : std::nullopt;
  });
  const Answer refused = node.execute(write_to("a-1", {"2"}));
  CHECK(code_of(refused) == Errc::disk_full);
  CHECK(node.not_written == Errc::disk_full);
  CHECK_FALSE(before->has_value());
  const Answer after = node.execute(write_to("a-1", {"3"}, ExpectedVersion::exact(Version(1))));
  node.commit_all();
  CHECK(accepted(before));
  CHECK(accepted(after));
  CHECK(node.partition->stream_version("a-1", Offset(UINT64_MAX)) == Version(2));
}

// Rule 8: what a majority has is what is durable there, whatever the topic asks for.
TEST_CASE("replica: a leader syncs what it calls durable, also with durability os") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Node node(seed, Durability::os);
    node.lead(Epoch(1));
    const Answer answer = node.execute(write_to("a-1", {"1"}));
    const BatchNo durable = node.durable;
    REQUIRE(durable == node.appended);
    node.partition.reset();
    node.environment.disk.cut_power();
    node.open();
    CHECK(node.partition->appended().next_batch == durable);
  }
}

TEST_CASE("replica: a follower has what it was given, shows what is committed, and may lead") {
  Node leader(1);
  leader.lead(Epoch(1));
  for (int i = 0; i < 5; ++i) {
    const Answer answer = leader.execute(write_to("a-1", {std::to_string(i)}), std::to_string(i));
    leader.commit_all();
    REQUIRE(accepted(answer));
  }
  Node follower(2);
  follower.partition->append_batches(7, batches_for(follower, leader));
  CHECK(follower.done == std::vector<std::uint64_t>{7});
  CHECK(follower.partition->appended() == leader.partition->appended());
  CHECK(follower.partition->end() == Offset(0));
  follower.partition->publish(leader.appended - 1);
  follower.partition->set_readable();
  CHECK(follower.partition->end() == Offset(4));
  leader.partition->step_down();
  const Answer more = leader.execute(write_to("a-1", {"x"}));
  CHECK(code_of(more) == Errc::not_leader);

  follower.lead(Epoch(2));
  CHECK(follower.partition->end() == Offset(5));
  const Answer again = follower.execute(write_to("a-1", {"3"}), "3");
  REQUIRE(accepted(again));
  CHECK((*again)->value().replayed);
  const Answer next =
      follower.execute(write_to("a-1", {"5"}, ExpectedVersion::exact(Version(5))), "5");
  follower.commit_all();
  CHECK(accepted(next));
}

TEST_CASE("replica: what no majority has is cut, and what was decided on it is gone") {
  Node old_leader(1);
  old_leader.lead(Epoch(1));
  const Answer kept = old_leader.execute(write_to("a-1", {"1"}));
  old_leader.commit_all();
  REQUIRE(accepted(kept));
  Node other(2);
  other.partition->append_batches(1, batches_for(other, old_leader));
  const Answer lost = old_leader.execute(write_to("a-1", {"2"}), "lost");
  old_leader.partition->step_down();
  CHECK(code_of(lost) == Errc::outcome_unknown);

  other.lead(Epoch(2));
  const BatchNo common(2);
  old_leader.partition->cut(1, common);
  CHECK(old_leader.done == std::vector<std::uint64_t>{1});
  REQUIRE(old_leader.copies.size() == 1);
  CHECK(old_leader.copies.front().first == common);
  CHECK(old_leader.copies.front().cut_end == BatchNo(3));
  old_leader.partition->append_batches(2, batches_for(old_leader, other));
  CHECK(old_leader.done == std::vector<std::uint64_t>{1, 2});
  old_leader.partition->publish(old_leader.partition->appended().next_batch);
  CHECK(old_leader.partition->end() == Offset(1));
  CHECK(old_leader.partition->appended() == other.partition->appended());
  // With its id it happens once.
  const Answer again = other.execute(write_to("a-1", {"2"}), "lost");
  other.commit_all();
  REQUIRE(accepted(again));
  CHECK_FALSE((*again)->value().replayed);
}

namespace {

/// A leader that has `commits` batches of 300 KB and more, and each of its batches by itself.
struct LargeBatches {
  explicit LargeBatches(int commits) {
    leader.lead(Epoch(1));
    for (int i = 0; i < commits; ++i) {
      const Answer answer = leader.execute(write_to("a-1", {std::string(300'000, 'x')}));
      leader.commit_all();
      REQUIRE(accepted(answer));
    }
    for (std::uint64_t i = 0; i < leader.appended.value; ++i) {
      auto one = leader.partition->log().read_batches(BatchNo(i), BatchNo(i + 1), 1);
      REQUIRE(one);
      batches.push_back(std::move(one->bytes));
    }
  }
  Node leader;
  std::vector<std::string> batches;
};

}  // namespace

TEST_CASE("replica: what is verified while others are written is written in order, and once") {
  LargeBatches of(9);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Node follower(seed);
    follower.environment.scheduler.hold();
    std::vector<std::uint64_t> all;
    for (std::uint64_t i = 0; i < of.batches.size(); ++i) {
      all.push_back(i + 1);
      follower.partition->append_batches(i + 1, of.batches[i]);
      // Some come while others are being verified or written, and small ones go on their own.
      for (std::uint64_t steps = (seed + i) % 4; steps > 0; --steps) {
        follower.environment.scheduler.step();
      }
    }
    follower.environment.scheduler.release();
    CHECK(follower.done == all);
    CHECK(follower.failed.empty());
    CHECK(follower.partition->appended() == of.leader.partition->appended());
    const auto written =
        follower.partition->log().read_batches(BatchNo(0), of.leader.appended, UINT64_MAX);
    REQUIRE(written);
    std::string sent;
    for (const auto& batch : of.batches) sent += batch;
    CHECK((written->bytes == sent));
  }
}

TEST_CASE("replica: what cannot be verified, and what follows it, is not written; the rest is") {
  LargeBatches of(6);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Node follower(seed);
    follower.environment.scheduler.hold();
    for (std::uint64_t i = 0; i < of.batches.size(); ++i) {
      std::string sent = of.batches[i];
      if (i == 4) sent[200'000] = static_cast<char>(sent[200'000] ^ 1);
      follower.partition->append_batches(i, sent);
      if (seed % 2 == 0) follower.environment.scheduler.step();
    }
    follower.environment.scheduler.release();
    CHECK(follower.done == std::vector<std::uint64_t>{0, 1, 2, 3});
    CHECK(follower.failed == std::vector<std::pair<std::uint64_t, Errc>>{{4, Errc::corruption}});
    CHECK(follower.partition->appended().next_batch == BatchNo(4));
    // Sent anew it is taken.
    follower.partition->append_batches(9, of.batches[4]);
    follower.partition->append_batches(10, batches_for(follower, of.leader));
    CHECK(follower.done == std::vector<std::uint64_t>{0, 1, 2, 3, 9, 10});
    CHECK(follower.partition->appended() == of.leader.partition->appended());
  }
}

TEST_CASE("replica: what was verified on a write that has failed is not written") {
  LargeBatches of(6);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Node follower(seed);
    std::uint64_t writes = 0;
    follower.environment.disk.set_fault([&](DiskCall call, const std::string&) {
      const bool fails = call == DiskCall::write && ++writes == 2 + seed % 12;
      return fails ? std::optional(Errc::disk_full) : std::nullopt;
    });
    follower.environment.scheduler.hold();
    for (std::uint64_t i = 0; i < of.batches.size(); ++i) {
      if (!follower.failed.empty()) break;
      follower.partition->append_batches(i, of.batches[i]);
      if (seed % 3 == 0) follower.environment.scheduler.step();
    }
    follower.environment.scheduler.release();
    const std::uint64_t end = follower.partition->appended().next_batch.value;
    REQUIRE(follower.failed.size() == 1);
    CHECK(follower.failed.front().second == Errc::disk_full);
    CHECK(follower.done.size() <= end);
    follower.partition->append_batches(9, batches_for(follower, of.leader));
    CHECK(follower.done.back() == 9);
    CHECK(follower.partition->appended() == of.leader.partition->appended());
  }
}

TEST_CASE("replica: nothing is published beside a cut") {
  Node leader(1);
  leader.lead(Epoch(1));
  for (int i = 0; i < 3; ++i) {
    leader.execute(write_to("a-1", {std::to_string(i)}));
    leader.commit_all();
  }
  Node follower(2);
  follower.partition->append_batches(1, batches_for(follower, leader));
  const BatchNo to = leader.appended - 1;
  follower.environment.scheduler.hold();
  follower.partition->cut(2, to);
  follower.partition->publish(to);
  follower.partition->set_readable();
  CHECK(follower.partition->end() == Offset(0));
  CHECK_FALSE(follower.partition->readable());
  follower.environment.scheduler.release();
  CHECK(follower.done == std::vector<std::uint64_t>{1, 2});
  CHECK(follower.partition->end() == Offset(2));
  CHECK(follower.partition->readable());
}

TEST_CASE("replica: after a restart nothing is shown before the leader has been met") {
  Node node;
  node.lead(Epoch(1));
  const Answer answer = node.execute(write_to("a-1", {"1"}));
  node.commit_all();
  REQUIRE(accepted(answer));
  node.reopen();
  const LogPartition& partition = *node.partition;
  CHECK(partition.readable().error().code == Errc::not_caught_up);
  CHECK(partition.stream_version("a-1", Offset(UINT64_MAX)).error().code == Errc::not_caught_up);
  auto cursor = partition.read(Offset(0));
  REQUIRE(cursor);
  CHECK((*cursor)->next() == std::nullopt);
  bool woken = false;
  const auto waiting = partition.when_past(Offset(0), [&] { woken = true; });
  node.partition->publish(node.partition->appended().next_batch);
  CHECK_FALSE(woken);
  CHECK((*cursor)->next() == std::nullopt);
  node.partition->set_readable();
  CHECK(woken);
  const auto event = (*cursor)->next();
  REQUIRE(event);
  REQUIRE(*event);
  CHECK((*event)->data == "1");
  CHECK(partition.stream_version("a-1", Offset(UINT64_MAX)) == Version(1));
}

TEST_CASE("replica: a time is settled by a batch that is later, made when it is asked about") {
  Node node;
  node.lead(Epoch(1));
  auto& now = node.environment.clock.time;
  now = 2'000'000;
  const Answer first = node.execute(write_to("a-1", {"1"}));
  node.commit_all();
  REQUIRE(accepted(first));
  now = 5'000'000;
  CHECK(node.partition->end_at(TimeUs(5'000'000)).error().code == Errc::beyond_end);
  // Nobody commits the batch that is made for it, so far.
  const BatchNo before = node.appended;
  CHECK(node.partition->end_at(TimeUs(3'000'000)).error().code == Errc::timeout);
  CHECK(node.appended == before + 1);
  node.commit_all();
  CHECK(node.partition->end_at(TimeUs(3'000'000)) == Offset(1));
  CHECK(node.partition->end_at(TimeUs(1'999'999)) == Offset(0));
  CHECK(node.appended == before + 1);
  const Answer second = node.execute(write_to("a-1", {"2"}, ExpectedVersion::exact(Version(1))));
  node.commit_all();
  REQUIRE(accepted(second));
  CHECK((*second)->value().time >= TimeUs(5'000'000));
  // Who follows sends there.
  node.partition->step_down();
  now = 9'000'000;
  node.partition->set_leader("elsewhere:1");
  CHECK(node.partition->end_at(TimeUs(8'000'000)).error().code == Errc::not_leader);
}

TEST_CASE("replica: a mark is later than what was gathered before, which has yet to be written") {
  Node node;
  node.lead(Epoch(1));
  auto& now = node.environment.clock.time;
  now = 2'000'000;
  node.partition->pause_writing();
  const Answer waiting = node.execute(write_to("a-1", {"1"}));
  now = 5'000'000;
  CHECK(node.partition->end_at(TimeUs(4'000'000)).error().code == Errc::timeout);
  node.partition->start_epoch(Epoch(2));
  node.commit_all();
  REQUIRE(accepted(waiting));
  CHECK(node.partition->end_at(TimeUs(4'000'000)) == Offset(1));
}

TEST_CASE("replica: a version conflict is answered when a majority has confirmed who leads") {
  Node node;
  node.lead(Epoch(1));
  const Answer first = node.execute(write_to("a-1", {"1"}));
  node.commit_all();
  REQUIRE(accepted(first));
  node.hold_reads = true;
  const auto conflicting = [&] {
    return node.execute(write_to("a-1", {"2"}, ExpectedVersion::exact(Version(7))));
  };
  const Answer current = conflicting();
  const Answer deposed = conflicting();
  REQUIRE(node.reads.size() == 2);
  CHECK_FALSE(current->has_value());
  CHECK_FALSE(deposed->has_value());
  node.reads[0]({});
  CHECK(code_of(current) == Errc::version_conflict);
  REQUIRE((*current)->error().versions);
  CHECK((*current)->error().versions->current == Version(1));
  // Another one led by then, and may have had a seventh event.
  node.reads[1](fail(Errc::not_leader, "elsewhere:1"));
  CHECK(code_of(deposed) == Errc::not_leader);
  // One that is staged waits for its batch alone.
  const Answer staged = node.execute(write_to("a-1", {"2"}));
  const Answer after_it = conflicting();
  CHECK(node.reads.size() == 2);
  node.commit_all();
  CHECK(accepted(staged));
  CHECK(code_of(after_it) == Errc::version_conflict);
  // Nor is anything asked where nothing conflicts.
  const Answer good = node.execute(write_to("a-1", {"3"}, ExpectedVersion::exact(Version(2))));
  node.commit_all();
  CHECK(accepted(good));
  CHECK(node.reads.size() == 2);
}

TEST_CASE("replica: what is not here, or no longer, is asked for elsewhere") {
  Node node;
  LogPartition& partition = *node.partition;
  const auto reading = [&] { return partition.readable().error(); };
  CHECK(reading().code == Errc::not_caught_up);
  partition.set_whereabouts(true, {"b:1", "c:1"});
  CHECK(reading().code == Errc::not_caught_up);
  partition.set_whereabouts(false, {"b:1", "c:1"});
  CHECK(reading() == Error{Errc::not_leader, "b:1", {}});
  CHECK(code_of(node.execute(write_to("a-1", {"1"}))) == Errc::not_leader);
  CHECK_FALSE(partition.whereabouts().here);
  partition.set_whereabouts(false, {});
  CHECK(reading().code == Errc::not_enough_replicas);
  // It gets one, and loses it again: what it had is not shown any more.
  partition.set_whereabouts(true, {"b:1"});
  node.lead(Epoch(1));
  REQUIRE(accepted([&] {
    auto answer = node.execute(write_to("a-1", {"1"}));
    node.commit_all();
    return answer;
  }()));
  CHECK(partition.readable().has_value());
  int woken = 0;
  const auto registration = partition.when_past(Offset(5), [&] { ++woken; });
  partition.step_down();
  partition.set_whereabouts(false, {"b:1"});
  CHECK(woken == 1);
  CHECK(reading() == Error{Errc::not_leader, "b:1", {}});
  CHECK(partition.stream_version("a-1", Offset(UINT64_MAX)).error().code == Errc::not_leader);
  // This node's own readers have what was here.
  auto cursor = partition.read(Offset(0));
  REQUIRE(cursor);
  partition.set_whereabouts(true, {"b:1"});
  CHECK(partition.readable().has_value());
}

TEST_CASE("replica: one that has halted sends clients elsewhere, if there is an elsewhere") {
  Node node;
  node.lead(Epoch(1));
  const Error why{Errc::corruption, "differs", {}};
  node.partition->step_down();
  node.partition->halt(why);
  CHECK(node.partition->readable().error() == why);
  CHECK(node.partition->whereabouts().here);
  node.partition->set_whereabouts(true, {"b:1"});
  CHECK(node.partition->readable().error() == Error{Errc::not_leader, "b:1", {}});
  CHECK(node.partition->health().error() == why);
  CHECK(code_of(node.execute(write_to("a-1", {"1"}))) == Errc::not_leader);
}
