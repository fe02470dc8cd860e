#include <doctest/doctest.h>

#include <future>

#include "http/services.h"
#include "http/timers.h"
#include "http/work_pool.h"

using namespace keelson;
using namespace keelson::http;
using namespace std::chrono_literals;

TEST_CASE("timers: tasks run in the order of their time") {
  ThreadTimers timers;
  std::promise<std::string> done;
  std::string order;
  const auto late = timers.after(30ms, [&] {
    order += 'b';
    done.set_value(order);
  });
  const auto early = timers.after(1ms, [&] { order += 'a'; });
  CHECK(done.get_future().get() == "ab");
}

TEST_CASE("timers: a dropped registration does not run, and outlives its timers") {
  bool ran = false;
  std::unique_ptr<Registration> kept;
  {
    ThreadTimers timers;
    auto dropped = timers.after(5ms, [&] { ran = true; });
    dropped.reset();
    kept = timers.after(1h, [] {});
    std::promise<void> later;
    const auto marker = timers.after(10ms, [&] { later.set_value(); });
    later.get_future().wait();
  }
  CHECK_FALSE(ran);
  kept.reset();
}

TEST_CASE("timers: a task may drop its own registration") {
  ThreadTimers timers;
  std::promise<void> done;
  std::unique_ptr<Registration> own;
  std::promise<void> set;
  own = timers.after(1ms, [&, ready = set.get_future()]() mutable {
    ready.wait();
    own.reset();
    done.set_value();
  });
  set.set_value();
  done.get_future().wait();
}

TEST_CASE("work pool: a full queue turns tasks away, and a stopped pool has run what it took") {
  std::atomic<int> ran{0};
  int taken = 0;
  {
    std::promise<void> gate;
    auto open = gate.get_future().share();
    std::promise<void> started;
    ThreadWorkPool pool(1, 3);
    CHECK(pool.post([&, open] {
      started.set_value();
      open.wait();
      ++ran;
    }));
    started.get_future().wait();
    while (pool.post([&] { ++ran; })) ++taken;
    CHECK(taken == 3);
    gate.set_value();
  }
  CHECK(ran == 4);
}
