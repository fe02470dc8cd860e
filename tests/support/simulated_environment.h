// All the ports of a node, from one seed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>

#include "engine/base/clock.h"
#include "engine/base/environment.h"
#include "engine/base/random.h"
#include "tests/support/seeded_scheduler.h"
#include "tests/support/simulated_file_system.h"

namespace keelson::test {

/// A clock that is set by hand.
class SetClock final : public Clock {
 public:
  [[nodiscard]] TimeUs now() const override { return TimeUs(time); }
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return {}; }
  std::atomic<std::int64_t> time{1'000'000};
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] std::uint64_t next() override { return random_(); }

 private:
  std::mt19937_64 random_;
};

/// For one thread. When its process is to end, the disk halts: what the store does then, until it
/// is dropped, comes to nothing.
class SimulatedEnvironment {
 public:
  explicit SimulatedEnvironment(std::uint64_t seed)
      : disk(seed), random(seed + 1), scheduler(seed + 2) {}

  [[nodiscard]] Environment get() {
    return {disk, clock, random, scheduler, [this](const Error&) {
              ++ended;
              disk.halt();
            }};
  }

  SimulatedFileSystem disk;
  SetClock clock;
  SeededRandom random;
  SeededScheduler scheduler;
  int ended = 0;  ///< how often the process was to end
};

}  // namespace keelson::test
