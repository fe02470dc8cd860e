// What was committed up to a time: one answer, whenever it is asked.
#include "engine/store/commit_times.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>

#include "tests/support/simulated_environment.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

/// A partition on a simulated disk, under a clock that is set by hand.
struct Timed {
  Timed() {
    StoreOptions store_options;
    store_options.folder = "data";
    auto opened = Store::open({disk, clock, random, scheduler}, store_options);
    REQUIRE(opened);
    store = *std::move(opened);
    TopicOptions options;
    options.segment_bytes = 1u << 20;
    partition = &(*store->create_topic("t", options))->partition(PartitionId(0));
  }

  SimulatedFileSystem disk{1};
  SetClock clock;
  SystemRandom random;
  ThreadScheduler scheduler{2};
  std::unique_ptr<Store> store;
  Partition* partition = nullptr;
};

}  // namespace

TEST_CASE("commit times: a question waits for a batch with an earlier time that is being written") {
  Timed test;
  std::promise<void> syncing;
  std::promise<void> go_on;
  std::atomic<bool> held{false};
  test.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call == DiskCall::sync && !held.exchange(true)) {
      syncing.set_value();
      go_on.get_future().wait();
    }
    return std::nullopt;
  });
  auto written = std::async(std::launch::async,
                            [&] { return commit(*test.partition, write_to("a-1", {"1"})); });
  syncing.get_future().wait();
  test.clock.time += 1000;
  const TimeUs time(test.clock.time - 1);
  auto first = std::async(std::launch::async, [&] { return test.partition->end_at(time); });
  CHECK(first.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout);
  // What lies before it does not wait.
  CHECK(test.partition->end_at(TimeUs(999'999)) == Offset(0));
  go_on.set_value();
  REQUIRE(written.get());
  CHECK(first.get() == Offset(1));
  CHECK(test.partition->end_at(time) == Offset(1));
}

TEST_CASE("commit times: one that was asked about is not given again when the clock goes back") {
  Timed test;
  REQUIRE(commit(*test.partition, write_to("a-1", {"1"})));
  test.clock.time = 3'000'000;
  const TimeUs time(2'500'000);
  CHECK(test.partition->end_at(time) == Offset(1));
  test.clock.time = 1'500'000;
  for (int i = 0; i < 3; ++i) {
    const auto later = commit(*test.partition, write_to("a-1", {"2"}));
    REQUIRE(later);
    CHECK(later->time > time);
  }
  test.clock.time = 3'000'000;
  CHECK(test.partition->end_at(time) == Offset(1));
  CHECK(test.partition->end_at(TimeUs(2'999'999)) == Offset(4));
}

TEST_CASE("commit times: a time that is not over has no answer yet") {
  Timed test;
  REQUIRE(commit(*test.partition, write_to("a-1", {"1"})));
  for (const std::int64_t later : {0, 1, 1'000'000}) {
    const auto answer = test.partition->end_at(TimeUs(test.clock.time + later));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::beyond_end);
  }
  test.clock.time += 1;
  CHECK(test.partition->end_at(TimeUs(test.clock.time - 1)) == Offset(1));
}

TEST_CASE("commit times: nobody waits for a batch in which nothing was staged, or that failed") {
  Timed test;
  const auto cancelled = execute(*test.partition, std::nullopt, [](const Staging&) {
    return Result<Commit>(fail(Errc::bad_request, "no"));
  });
  REQUIRE_FALSE(cancelled);
  test.disk.set_fault([](DiskCall call, const std::string&) -> std::optional<Errc> {
    return call == DiskCall::write ? std::optional(Errc::disk_full) : std::nullopt;
  });
  CHECK_FALSE(commit(*test.partition, write_to("a-1", {"1"})));
  test.disk.set_fault(nullptr);
  test.clock.time += 1;
  CHECK(test.partition->end_at(TimeUs(test.clock.time - 1)) == Offset(0));
  REQUIRE(commit(*test.partition, write_to("a-1", {"1"})));
  test.clock.time += 1;
  CHECK(test.partition->end_at(TimeUs(test.clock.time - 1)) == Offset(1));
}

TEST_CASE("commit times: nobody waits for what a run of commands did not stage") {
  for (const bool last_is_accepted : {false, true}) {
    CAPTURE(last_is_accepted);
    Timed test;
    REQUIRE(commit(*test.partition, write_to("a-1", {"1"})));
    constexpr int kCommands = 3;
    std::promise<void> done;
    std::vector<Partition::Execution> run;
    for (int i = 1; i <= kCommands; ++i) {
      const bool last = i == kCommands;
      const auto decide = [accepted = last && last_is_accepted](const Staging&) -> Result<Commit> {
        if (accepted) return write_to("a-1", {"2"});
        return fail(Errc::bad_request, "no");
      };
      run.push_back({std::nullopt, decide, [&done, last](const Result<CommitOutcome>&) {
                       if (last) done.set_value();
                     }});
    }
    test.partition->execute_all(std::move(run));
    done.get_future().wait();
    test.clock.time += 1;
    const TimeUs asked(test.clock.time - 1);
    auto answer = std::async(std::launch::async, [&] { return test.partition->end_at(asked); });
    CHECK(answer.wait_for(std::chrono::seconds(10)) == std::future_status::ready);
    // Whoever waits in vain goes on with later batches: the test ends, whatever it has found.
    for (int i = 0; i < kCommands; ++i) REQUIRE(commit(*test.partition, write_to("b-1", {"1"})));
    CHECK(answer.get() == Offset(last_is_accepted ? 2 : 1));
  }
}
