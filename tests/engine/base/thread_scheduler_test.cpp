#include "engine/base/thread_scheduler.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

using namespace keelson;
using namespace std::chrono_literals;

TEST_CASE("thread scheduler: a strand runs one task at a time, each caller's in order") {
  ThreadScheduler scheduler(2);
  const auto strand = scheduler.make_strand("s");
  std::vector<std::vector<int>> seen(4);
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 5000; ++i) {
        const auto task = [&, caller, i] {
          if (inside.fetch_add(1) != 0) overlapped = true;
          seen[caller].push_back(i);
          inside.fetch_sub(1);
        };
        if (i % 2 == 0) {
          strand->dispatch(task);
        } else {
          strand->post(task);
        }
      }
    });
  }
  for (auto& caller : callers) caller.join();
  std::promise<void> done;
  strand->post([&] { done.set_value(); });
  done.get_future().wait();
  CHECK_FALSE(overlapped);
  for (const auto& order : seen) {
    REQUIRE(order.size() == 5000);
    CHECK(std::is_sorted(order.begin(), order.end()));
  }
}

TEST_CASE("thread scheduler: dispatch on an idle strand runs on the calling thread") {
  ThreadScheduler scheduler(1);
  const auto strand = scheduler.make_strand("s");
  std::thread::id ran_on;
  strand->dispatch([&] { ran_on = std::this_thread::get_id(); });
  CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE("thread scheduler: a worker finishes what was posted before it is dropped") {
  ThreadScheduler scheduler(1);
  std::atomic<int> ran{0};
  {
    const auto worker = scheduler.make_worker("w");
    for (int i = 0; i < 100; ++i) worker->post([&] { ++ran; });
  }
  CHECK(ran == 100);
}

TEST_CASE("thread scheduler: a background worker lets others go first, and only itself") {
  ThreadScheduler scheduler(1);
  const auto niceness = [](const std::shared_ptr<Strand>& worker) {
    std::promise<int> found;
    worker->post([&] { found.set_value(::getpriority(PRIO_PROCESS, 0)); });
    return found.get_future().get();
  };
  const int before = ::getpriority(PRIO_PROCESS, 0);
  CHECK(niceness(scheduler.make_background_worker("b")) == std::min(before + 10, 19));
  CHECK(niceness(scheduler.make_worker("w")) == before);
  CHECK(::getpriority(PRIO_PROCESS, 0) == before);
}

TEST_CASE("thread scheduler: delayed tasks run in the order they are due") {
  ThreadScheduler scheduler(1);
  const auto strand = scheduler.make_strand("s");
  bool in_time = false;
  while (!in_time) {
    std::promise<void> done;
    std::vector<int> order;
    const auto ran = [&](int which) {
      order.push_back(which);
      if (order.size() == 2) done.set_value();
    };
    const auto begun = std::chrono::steady_clock::now();
    strand->post_after(30ms, [&] { ran(2); });
    strand->post_after(5ms, [&] { ran(1); });
    // On a machine so busy that the later task was due before the earlier one was set: once more.
    in_time = std::chrono::steady_clock::now() - begun < 25ms;
    done.get_future().wait();
    if (in_time) CHECK(order == std::vector{1, 2});
  }
}
