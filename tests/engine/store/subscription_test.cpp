#include "engine/store/subscription.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

TEST_CASE("subscription: history then live, each event once and in its partition's order") {
  TestStore store;
  Topic& topic = store.topic("t", 3);
  const auto append = [&](int i) {
    const std::string stream = "a-" + std::to_string(i % 17);
    REQUIRE(commit(topic.home_of(stream), write_to(stream, {std::to_string(i)})));
  };
  for (int i = 0; i < 300; ++i) append(i);

  auto subscription = *Subscription::open(topic, Position(3), {});
  std::map<std::uint32_t, std::uint64_t> next;
  std::size_t seen = 0;
  const EventVisitor visit = [&](const EventView& event) {
    CHECK(event.offset == Offset(next[event.partition.value]++));
    ++seen;
    return true;
  };
  std::thread writer([&] {
    for (int i = 300; i < 1000; ++i) append(i);
  });
  std::mutex mutex;
  std::condition_variable wake;
  while (seen < 1000) {
    const auto polled = subscription->poll(64, 128, visit);
    REQUIRE(polled);
    if (!polled->caught_up || seen >= 1000) continue;
    bool more = false;
    const auto registration = subscription->when_more([&] {
      const std::lock_guard lock(mutex);
      more = true;
      wake.notify_one();
    });
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return more; });
  }
  writer.join();
  CHECK(subscription->position() == topic.end());
}

TEST_CASE("subscription: filters skip events but not positions; a poll scans a bounded number") {
  TestStore store;
  Topic& topic = store.topic();
  for (int i = 0; i < 100; ++i) {
    REQUIRE(commit(topic.partition(PartitionId(0)),
                   write_to(i % 10 == 0 ? "rare-1" : "often-1", {std::to_string(i)})));
  }
  EventFilter filter;
  filter.stream_prefix = "rare";
  auto subscription = *Subscription::open(topic, Position(1), filter);
  std::vector<std::string> seen;
  const EventVisitor visit = [&](const EventView& event) {
    seen.emplace_back(event.data);
    return true;
  };
  auto polled = subscription->poll(100, 15, visit);
  REQUIRE(polled);
  CHECK(seen == std::vector<std::string>{"0", "10"});
  CHECK(subscription->position().next(PartitionId(0)) == Offset(15));
  CHECK_FALSE(polled->caught_up);
  polled = subscription->poll(1, 1000, visit);
  CHECK(seen.back() == "20");
  polled = subscription->poll(100, 1000, visit);
  CHECK(seen.size() == 10);
  CHECK(polled->caught_up);
  CHECK(subscription->position() == topic.end());
}

TEST_CASE("subscription: resumed at its position, it goes on with the next event") {
  TestStore store;
  Topic& topic = store.topic();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(commit(topic.partition(PartitionId(0)), write_to("a-1", {std::to_string(i)})));
  }
  auto first = *Subscription::open(topic, Position(1), {});
  const auto ignore = [](const EventView&) { return true; };
  REQUIRE(first->poll(4, 100, ignore));
  auto resumed = *Subscription::open(topic, first->position(), {});
  std::string data;
  REQUIRE(resumed->poll(1, 100, [&](const EventView& event) {
    data = event.data;
    return true;
  }));
  CHECK(data == "4");
  Position beyond(1);
  beyond.set_next(PartitionId(0), Offset(11));
  CHECK(Subscription::open(topic, beyond, {}).error().code == Errc::beyond_end);
}
