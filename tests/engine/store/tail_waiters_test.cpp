#include "engine/store/tail_waiters.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace keelson;

TEST_CASE("tail waiters: a task may drop its own registration and register again") {
  const auto waiters = std::make_shared<TailWaiters>();
  std::unique_ptr<Registration> registration;
  int woken = 0;
  registration = waiters->add(Offset(0), [&] {
    ++woken;
    registration = waiters->add(Offset(1), [&] { ++woken; });
  });
  waiters->advance(Offset(1));
  CHECK(woken == 1);
  waiters->advance(Offset(2));
  CHECK(woken == 2);
}

TEST_CASE("tail waiters: none is missed when the end moves while it registers") {
  const auto waiters = std::make_shared<TailWaiters>();
  constexpr std::uint64_t kRounds = 20'000;
  std::atomic<std::uint64_t> woken{0};
  std::thread advancing([&] {
    for (std::uint64_t end = 1; end <= kRounds; ++end) waiters->advance(Offset(end));
  });
  std::vector<std::unique_ptr<Registration>> registrations;
  for (std::uint64_t offset = 0; offset < kRounds; ++offset) {
    registrations.push_back(waiters->add(Offset(offset), [&] { ++woken; }));
  }
  advancing.join();
  CHECK(woken == kRounds);
}

TEST_CASE("tail waiters: after its registration is dropped a task does not run") {
  const auto waiters = std::make_shared<TailWaiters>();
  for (std::uint64_t round = 0; round < 2000; ++round) {
    std::atomic<bool> dropped{false};
    std::atomic<bool> ran_late{false};
    auto registration = waiters->add(Offset(round), [&] {
      if (dropped) ran_late = true;
    });
    std::thread advancing([&] { waiters->advance(Offset(round + 1)); });
    registration.reset();
    dropped = true;
    advancing.join();
    CHECK_FALSE(ran_late);
  }
}
