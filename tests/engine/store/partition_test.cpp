#include "engine/store/partition.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "tests/engine/store/simulated_store.h"
#include "tests/support/simulated_file_system.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

Partition& only_partition(TestStore& store) { return store.topic().partition(PartitionId(0)); }

}  // namespace

TEST_CASE("partition: what was appended is read back, dense in offset and version") {
  TestStore store;
  Partition& partition = only_partition(store);
  const auto first = commit(partition, write_to("a-1", {"1", "2"}));
  REQUIRE(first);
  CHECK(first->first == Offset(0));
  CHECK(first->end == Offset(2));
  REQUIRE(commit(partition, write_to("b-1", {"3"})));
  REQUIRE(commit(partition, write_to("a-1", {"4"})));

  const auto events = read_all(partition);
  REQUIRE(events.size() == 4);
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].offset == Offset(i));
    CHECK(events[i].data == std::to_string(i + 1));
  }
  CHECK(events[3].version == Version(3));
  CHECK(partition.end() == Offset(4));
  CHECK(read_all(partition, Offset(3)).size() == 1);
  CHECK(partition.read(Offset(5)).error().code == Errc::beyond_end);
}

TEST_CASE("partition: an expected version that does not hold writes nothing") {
  TestStore store;
  Partition& partition = only_partition(store);
  REQUIRE(commit(partition, write_to("a-1", {"1"})));
  const std::map<std::string, std::pair<ExpectedVersion, ExpectedVersion>> held_and_failing = {
      {"a-1", {ExpectedVersion::exact(Version(1)), ExpectedVersion::exact(Version(0))}},
      {"b-1", {ExpectedVersion::none(), ExpectedVersion::exists()}},
      {"c-1", {ExpectedVersion::exact(Version(0)), ExpectedVersion::exact(Version(1))}},
  };
  for (const auto& [stream, expected] : held_and_failing) {
    CAPTURE(stream);
    const Offset end = partition.end();
    const auto refused = commit(partition, write_to(stream, {"x"}, expected.second));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::version_conflict);
    REQUIRE(refused.error().versions);
    CHECK(refused.error().versions->stream == stream);
    CHECK(partition.end() == end);
    CHECK(commit(partition, write_to(stream, {"x"}, expected.first)));
  }
  CHECK(commit(partition, write_to("a-1", {"x"}, ExpectedVersion::exists())));
}

TEST_CASE("partition: a commit to several streams is all or none, checks included") {
  TestStore store;
  Partition& partition = only_partition(store);
  REQUIRE(commit(partition, write_to("a-1", {"1"})));

  Commit both = write_to("b-1", {"2"}, ExpectedVersion::none());
  both.writes.push_back({"a-1", ExpectedVersion::exact(Version(7)), {{"t", "3", ""}}});
  CHECK(commit(partition, both).error().code == Errc::version_conflict);
  CHECK(partition.end() == Offset(1));
  CHECK(partition.stream_version("b-1") == Version(0));

  both.writes[1].expected = ExpectedVersion::exact(Version(1));
  both.checks.push_back({"c-1", ExpectedVersion::exists()});
  CHECK(commit(partition, both).error().code == Errc::version_conflict);
  both.checks[0].expected = ExpectedVersion::none();
  const auto outcome = commit(partition, both);
  REQUIRE(outcome);
  REQUIRE(outcome->written.size() == 2);
  CHECK(outcome->written[1].stream == "a-1");
  CHECK(outcome->written[1].first == Version(2));
  CHECK(outcome->written[1].first_offset == Offset(2));
}

TEST_CASE("partition: a repeated command gets the first outcome, also after a restart") {
  TestStore store;
  const auto first =
      commit(only_partition(store), write_to("a-1", {"1", "2"}), stamp("a-1", "id-1"));
  REQUIRE(first);
  CHECK_FALSE(first->replayed);
  for (const bool restart : {false, true}) {
    CAPTURE(restart);
    if (restart) store.reopen();
    Partition& partition = only_partition(store);
    bool decided = false;
    const auto again = execute(partition, stamp("a-1", "id-1"), [&](const Staging&) {
      decided = true;
      return Result<Commit>(write_to("a-1", {"3"}));
    });
    REQUIRE(again);
    CHECK_FALSE(decided);
    CHECK(again->replayed);
    CHECK(again->first == first->first);
    CHECK(again->end == first->end);
    CHECK(again->time == first->time);
    REQUIRE(again->written.size() == 1);
    CHECK(again->written[0].end == Version(3));
    CHECK(partition.end() == Offset(2));

    const auto other = commit(partition, write_to("a-1", {"1"}), stamp("a-1", "id-1", 2));
    CHECK(other.error().code == Errc::idempotency_mismatch);
    // The id belongs to the stream it addresses and to its caller.
    CHECK(partition.find_outcome(stamp("b-1", "id-1")) == std::nullopt);
    CommandStamp stranger = stamp("a-1", "id-1");
    stranger.principal = "stranger";
    CHECK(partition.find_outcome(stranger) == std::nullopt);
  }
}

TEST_CASE("partition: a rejection is remembered as well as an acceptance") {
  TestStore store;
  Commit refusal;
  refusal.rejected = true;
  refusal.detail = "insufficient";
  const auto first = commit(only_partition(store), refusal, stamp("a-1", "id-1"));
  REQUIRE(first);
  CHECK(first->rejected);
  store.reopen();
  Partition& partition = only_partition(store);
  CHECK(partition.end() == Offset(0));
  const auto again = commit(partition, write_to("a-1", {"1"}), stamp("a-1", "id-1"));
  REQUIRE(again);
  CHECK(again->rejected);
  CHECK(again->replayed);
  CHECK(again->detail == "insufficient");
  CHECK(partition.end() == Offset(0));
}

TEST_CASE("partition: one id sent by many at once has one effect and one outcome") {
  TestStore store;
  Partition& partition = only_partition(store);
  std::vector<Result<CommitOutcome>> outcomes(64, fail(Errc::internal, "not answered"));
  std::vector<std::thread> callers;
  for (auto& outcome : outcomes) {
    callers.emplace_back([&partition, &outcome] {
      outcome = commit(partition, write_to("a-1", {"1"}), stamp("a-1", "id-1"));
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(partition.end() == Offset(1));
  int fresh = 0;
  for (const auto& outcome : outcomes) {
    REQUIRE(outcome);
    CHECK(outcome->first == Offset(0));
    CHECK(outcome->end == Offset(1));
    if (!outcome->replayed) ++fresh;
  }
  CHECK(fresh == 1);
}

TEST_CASE("partition: a decision sees what is staged before it, durable or not") {
  TestStore store;
  Partition& partition = only_partition(store);
  std::promise<void> all_done;
  std::atomic<int> left{200};
  for (int i = 0; i < 200; ++i) {
    partition.execute(
        std::nullopt,
        [i](const Staging& staging) -> Result<Commit> {
          KEELSON_TRY_ASSIGN(const Version version, staging.version("a-1"));
          std::string last;
          std::uint64_t count = 0;
          KEELSON_TRY(staging.read("a-1", Version(1), [&](const EventView& event) {
            last = event.data;
            ++count;
            return true;
          }));
          if (version != Version(count) || (i > 0 && last != std::to_string(i - 1))) {
            return fail(Errc::internal, "staged state is wrong");
          }
          return write_to("a-1", {std::to_string(i)}, ExpectedVersion::exact(version));
        },
        [&](Result<CommitOutcome> outcome) {
          CHECK(outcome);
          if (--left == 0) all_done.set_value();
        });
  }
  all_done.get_future().wait();
  CHECK(partition.stream_version("a-1") == Version(200));
}

TEST_CASE("partition: writers racing on expected versions lose no update") {
  TestStore store;
  Partition& partition = only_partition(store);
  constexpr int kThreads = 8;
  constexpr int kEach = 100;
  std::vector<std::thread> writers;
  for (int w = 0; w < kThreads; ++w) {
    writers.emplace_back([&partition, w] {
      for (int i = 0; i < kEach;) {
        const auto version = partition.stream_version("hot-1");
        if (!version) return;
        const auto expected = ExpectedVersion::exact(*version);
        const auto outcome = commit(partition, write_to("hot-1", {std::to_string(w)}, expected),
                                    stamp("hot-1", std::to_string(w) + "/" + std::to_string(i)));
        if (outcome) ++i;
      }
    });
  }
  for (auto& writer : writers) writer.join();
  CHECK(partition.stream_version("hot-1") == Version(kThreads * kEach));
  std::map<std::string, int> each;
  for (const auto& event : read_stream(partition, "hot-1")) ++each[event.data];
  for (const auto& [writer, count] : each) CHECK(count == kEach);
}

TEST_CASE("partition: a stream is read both ways, in part, and as of an offset") {
  TestStore store;
  Partition& partition = only_partition(store);
  for (int i = 1; i <= 10; ++i) {
    REQUIRE(commit(partition, write_to("a-1", {std::to_string(i)})));
    REQUIRE(commit(partition, write_to("b-1", {"-"})));
  }
  const auto data = [&](StreamRange range) {
    std::string all;
    for (const auto& event : read_stream(partition, "a-1", range)) all += event.data + " ";
    return all;
  };
  CHECK(data({.from = Version(8)}) == "8 9 10 ");
  CHECK(data({.from = Version(3), .limit = 2}) == "3 4 ");
  StreamRange backward{.from = Version(UINT64_MAX), .limit = 3};
  backward.direction = StreamRange::Direction::backward;
  CHECK(data(backward) == "10 9 8 ");
  backward.from = Version(2);
  CHECK(data(backward) == "2 1 ");
  CHECK(data({.from = Version(1), .before = Offset(5)}) == "1 2 3 ");
  CHECK(data({.from = Version(1), .limit = 0}).empty());
  CHECK(partition.stream_version("a-1", Offset(5)) == Version(3));
  CHECK(partition.stream_version("a-1", Offset(0)) == Version(0));
  CHECK(read_stream(partition, "absent-1").empty());
}

TEST_CASE("partition: a stream is read with the ids of its commands, or without") {
  TestStore store;
  Partition& partition = only_partition(store);
  REQUIRE(commit(partition, write_to("a-1", {"1"}), stamp("a-1", "first")));
  REQUIRE(commit(partition, write_to("a-1", {"2"})));
  const auto ids = [&](StreamRange range) {
    std::string all;
    for (const auto& event : read_stream(partition, "a-1", range)) {
      all += event.data + "=" + event.command_id + " ";
    }
    return all;
  };
  CHECK(ids({}) == "1=first 2= ");
  CHECK(ids({.command_ids = false}) == "1= 2= ");
}

TEST_CASE("partition: the state at a time is everything committed up to it") {
  TestStore store;
  Partition& partition = only_partition(store);
  std::vector<TimeUs> times;
  for (int i = 0; i < 20; ++i) {
    times.push_back(commit(partition, write_to("a-1", {"1"}))->time);
  }
  CHECK(partition.end_at(times.front() - 1) == Offset(0));
  CHECK(partition.end_at(times.back()) == Offset(20));
  for (std::size_t i = 0; i + 1 < times.size(); ++i) {
    if (times[i] < times[i + 1]) CHECK(partition.end_at(times[i]) == Offset(i + 1));
  }
}

TEST_CASE("partition: a waiter wakes once, when the end passes its offset, unless dropped") {
  TestStore store;
  Partition& partition = only_partition(store);
  std::atomic<int> woken{0};
  std::atomic<int> dropped{0};
  std::promise<void> first;
  std::promise<void> second;
  const auto at_0 = partition.when_past(Offset(0), [&] {
    ++woken;
    first.set_value();
  });
  const auto at_1 = partition.when_past(Offset(1), [&] {
    ++woken;
    second.set_value();
  });
  auto cancelled = partition.when_past(Offset(0), [&] { ++dropped; });
  cancelled.reset();
  REQUIRE(commit(partition, write_to("a-1", {"1"})));
  first.get_future().wait();
  CHECK(woken == 1);
  REQUIRE(commit(partition, write_to("a-1", {"1"})));
  second.get_future().wait();
  CHECK(woken == 2);
  CHECK(dropped == 0);
  bool at_once = false;
  const auto passed = partition.when_past(Offset(1), [&] { at_once = true; });
  CHECK(at_once);
}

TEST_CASE("partition: a consumer group's offset survives a restart; the newest counts") {
  TestStore store;
  REQUIRE(commit(only_partition(store), write_to("a-1", {"1", "2", "3"})));
  CHECK(only_partition(store).group_offset("g") == std::nullopt);
  const auto remember = [&](Offset next) {
    std::promise<Result<CommitOutcome>> promise;
    only_partition(store).commit_group_offset(
        "g", next, [&](Result<CommitOutcome> outcome) { promise.set_value(std::move(outcome)); });
    return promise.get_future().get();
  };
  REQUIRE(remember(Offset(1)));
  REQUIRE(remember(Offset(3)));
  CHECK(remember(Offset(4)).error().code == Errc::beyond_end);
  store.reopen();
  CHECK(only_partition(store).group_offset("g") == Offset(3));
  CHECK(only_partition(store).end() == Offset(3));
}

TEST_CASE("partition: malformed and oversized commits are refused before anything is written") {
  TestStore store;
  Partition& partition = only_partition(store);
  const auto code = [&](Commit bad) { return commit(partition, std::move(bad)).error().code; };
  CHECK(code({}) == Errc::bad_request);
  CHECK(code(write_to("a-1", {})) == Errc::bad_request);
  CHECK(code(write_to("", {"1"})) == Errc::bad_request);
  CHECK(code(write_to("$own-1", {"1"})) == Errc::bad_request);
  CHECK(code(write_to(std::string(257, 'a'), {"1"})) == Errc::too_large);
  CHECK(code(write_to("a-1", {std::string((1u << 20) + 1, '1')})) == Errc::too_large);
  CHECK(code(write_to("a-1", std::vector<std::string>(1025, "1"))) == Errc::too_large);
  CHECK(code(write_to("a-1", std::vector<std::string>(5, std::string(1u << 20, '1')))) ==
        Errc::too_large);
  Commit twice = write_to("a-1", {"1"});
  twice.writes.push_back(twice.writes[0]);
  CHECK(code(twice) == Errc::bad_request);
  CHECK(commit(partition, write_to("a-1", {"1"}), stamp("a-1", "")).error().code ==
        Errc::bad_request);
  CHECK(partition.end() == Offset(0));
}

TEST_CASE("partition: a conflict with what is only staged is answered when that is durable") {
  for (const bool fails : {false, true}) {
    CAPTURE(fails);
    SimulatedFileSystem disk(1);
    TestStore store(&disk);
    Partition& partition = store.topic().partition(PartitionId(0));
    REQUIRE(commit(partition, write_to("a-1", {"1"})));
    std::promise<void> writing;
    std::promise<void> go_on;
    std::atomic<bool> held{false};
    disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
      if (call != DiskCall::write || held.exchange(true)) return std::nullopt;
      writing.set_value();
      go_on.get_future().wait();
      return fails ? std::optional(Errc::disk_full) : std::nullopt;
    });
    const auto later = [&](Partition::Decide decide) {
      auto promise = std::make_shared<std::promise<Result<CommitOutcome>>>();
      partition.execute(std::nullopt, std::move(decide), [promise](Result<CommitOutcome> outcome) {
        promise->set_value(std::move(outcome));
      });
      return promise->get_future();
    };
    const auto writes = [](Commit commit) {
      return [commit = std::move(commit)](const Staging&) { return Result<Commit>(commit); };
    };
    auto first = later(writes(write_to("a-1", {"2"})));
    writing.get_future().wait();
    auto by_expectation = later(writes(write_to("a-1", {"3"}, ExpectedVersion::exact(Version(1)))));
    auto by_decision = later([](const Staging& staging) -> Result<Commit> {
      const Version current = staging.version("a-1").value();
      return std::unexpected(
          Error{Errc::version_conflict, "", VersionMismatch{"a-1", "1", current}});
    });
    // What is durable already is answered at once.
    auto at_once = later(writes(write_to("b-1", {"1"}, ExpectedVersion::exact(Version(7)))));
    CHECK(at_once.get().error().code == Errc::version_conflict);
    CHECK(by_expectation.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
    CHECK(by_decision.wait_for(std::chrono::milliseconds(0)) == std::future_status::timeout);
    go_on.set_value();
    CHECK(first.get().has_value() == !fails);
    for (auto* const refused : {&by_expectation, &by_decision}) {
      const auto answer = refused->get();
      REQUIRE_FALSE(answer);
      CHECK(answer.error().code == (fails ? Errc::disk_full : Errc::version_conflict));
      if (!fails) CHECK(answer.error().versions->current == Version(2));
    }
  }
}

TEST_CASE("partition: a question about a time does not wait for a decision that was refused") {
  TestStore store;
  Partition& partition = only_partition(store);
  const auto written = commit(partition, write_to("a-1", {"1"}));
  REQUIRE(written);
  REQUIRE_FALSE(commit(partition, write_to("a-1", {"2"}, ExpectedVersion::exact(Version(7)))));
  const auto later = commit(partition, write_to("a-1", {"3"}));
  REQUIRE(later);
  CHECK(partition.end_at(later->time).value() == Offset(2));  // hangs if it waits
}

TEST_CASE(
    "partition: a large batch is written before the one before it is answered, a small one not") {
  for (const bool large : {true, false}) {
    CAPTURE(large);
    const std::string data(large ? 300'000 : 100'000, 'b');
    int before = 0;
    int after = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SimulatedStore store(seed);
      REQUIRE(store.open());
      SimulatedFileSystem& disk = store.environment.disk;
      const auto written = [&] {
        const auto image = disk.image();
        return std::ranges::any_of(
            image, [&](const auto& file) { return file.second.find(data) != std::string::npos; });
      };
      // While the first batch, which is full, is being written the second comes.
      bool came = false;
      bool staged = false;
      bool staged_in_time = false;
      disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
        if (call != DiskCall::write || std::exchange(came, true)) return std::nullopt;
        store.partition().execute(
            std::nullopt,
            [&](const Staging&) -> Result<Commit> {
              staged = true;
              return write_to("b-1", {data});
            },
            [](const Result<CommitOutcome>& outcome) { REQUIRE(outcome); });
        staged_in_time = staged;
        return std::nullopt;
      });
      bool answered = false;
      store.partition().execute(
          std::nullopt,
          [](const Staging&) -> Result<Commit> {
            return write_to("a-1", {std::string(600'000, 'a'), std::string(600'000, 'a')});
          },
          [&](const Result<CommitOutcome>& outcome) {
            REQUIRE(outcome);
            answered = true;
            if (staged_in_time) ++(written() ? before : after);
          });
      CHECK(answered);
      CHECK(written());
      disk.set_fault({});
    }
    CHECK(before > 5);
    CHECK((large ? after == 0 : after > 5));
  }
}
