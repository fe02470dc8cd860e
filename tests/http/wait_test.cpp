#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <thread>

#include "http/services.h"
#include "http/timers.h"
#include "http/work_pool.h"
#include "tests/http/store_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using namespace std::chrono_literals;

TEST_CASE("timers: tasks run in the order of their time") {
  ThreadTimers timers;
  bool in_time = false;
  while (!in_time) {
    std::promise<std::string> done;
    std::string order;
    const auto begun = std::chrono::steady_clock::now();
    const auto late = timers.after(30ms, [&] {
      order += 'b';
      done.set_value(order);
    });
    const auto early = timers.after(1ms, [&] { order += 'a'; });
    // On a machine so busy that the later task was due before the earlier one was set: once more.
    in_time = std::chrono::steady_clock::now() - begun < 29ms;
    const std::string ran = done.get_future().get();
    if (in_time) CHECK(ran == "ab");
  }
}

TEST_CASE("timers: a dropped registration does not run, and outlives its timers") {
  bool ran = false;
  bool in_time = false;
  std::unique_ptr<Registration> kept;
  while (!in_time) {
    ran = false;
    ThreadTimers timers;
    const auto begun = std::chrono::steady_clock::now();
    auto dropped = timers.after(20ms, [&] { ran = true; });
    dropped.reset();
    // On a machine so busy that it was due before it was dropped: once more.
    in_time = std::chrono::steady_clock::now() - begun < 19ms;
    kept = timers.after(1h, [] {});
    std::promise<void> later;
    const auto marker = timers.after(25ms, [&] { later.set_value(); });
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

TEST_CASE("timers: stopped, they take nothing any more and let go of what they are given") {
  ThreadTimers timers;
  const auto waiting = std::make_shared<int>(0);
  const auto before = timers.after(1h, [waiting] {});
  timers.stop();
  const auto after = timers.after(1h, [waiting] {});
  CHECK(waiting.use_count() == 1);
}

TEST_CASE("work pool: stopped, it takes nothing any more but what ends a request") {
  ThreadWorkPool pool(1, 8);
  bool ran = false;
  REQUIRE(pool.post([&] { ran = true; }));
  pool.stop();
  CHECK(ran);
  CHECK_FALSE(pool.post([] {}));
  std::thread::id ran_on;
  pool.post_ending([&] { ran_on = std::this_thread::get_id(); });
  CHECK(ran_on == std::this_thread::get_id());
  pool.stop();
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

TEST_CASE("work pool: what ends a request runs on its threads, however full the queue is") {
  std::promise<void> gate;
  std::promise<void> started;
  std::promise<std::thread::id> ran_on;
  {
    ThreadWorkPool pool(1, 0);
    pool.post_ending([&] {
      started.set_value();
      gate.get_future().wait();
    });
    started.get_future().wait();
    CHECK_FALSE(pool.post([] {}));
    pool.post_ending([&] { ran_on.set_value(std::this_thread::get_id()); });
    gate.set_value();
    CHECK(ran_on.get_future().get() != std::this_thread::get_id());
  }
}

namespace {

/// A wake-up in the test's hands.
struct Armed {
  Task task;
  bool dropped = false;

  std::function<std::unique_ptr<Registration>(Task)> arm() {
    struct Marker final : Registration {
      explicit Marker(bool& dropped_) : dropped(dropped_) {}
      ~Marker() override { dropped = true; }
      bool& dropped;
    };
    return [this](Task given) -> std::unique_ptr<Registration> {
      task = std::move(given);
      return std::make_unique<Marker>(dropped);
    };
  }
};

}  // namespace

TEST_CASE("wait: the event, the time or the interruption ends it, once, and lets go of the rest") {
  StoreServer server;
  for (const Woken expected : {Woken::event, Woken::timeout, Woken::interrupted}) {
    CAPTURE(static_cast<int>(expected));
    Armed armed;
    std::stop_source interruption;
    std::promise<Woken> promise;
    int calls = 0;
    wait_for(server.services(), expected == Woken::timeout ? 5ms : 20'000ms,
             interruption.get_token(), armed.arm(), [&](Woken why) {
               CHECK(armed.dropped);
               ++calls;
               promise.set_value(why);
             });
    if (expected == Woken::event) armed.task();
    if (expected == Woken::interrupted) interruption.request_stop();
    CHECK(promise.get_future().get() == expected);
    interruption.request_stop();
    CHECK(calls == 1);
  }
}

TEST_CASE("wait: what has happened already, or was interrupted before, does not wait") {
  StoreServer server;
  std::promise<Woken> at_once;
  wait_for(
      server.services(), 20'000ms, {},
      [](Task task) -> std::unique_ptr<Registration> {
        task();
        return nullptr;
      },
      [&](Woken why) { at_once.set_value(why); });
  CHECK(at_once.get_future().get() == Woken::event);
  std::stop_source stopped;
  stopped.request_stop();
  std::promise<Woken> before;
  Armed armed;
  wait_for(server.services(), 20'000ms, stopped.get_token(), armed.arm(),
           [&](Woken why) { before.set_value(why); });
  CHECK(before.get_future().get() == Woken::interrupted);
}
