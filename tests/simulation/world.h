// What the parts of one simulation share: time, chance, what may fail, and what has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <utility>

#include "tests/simulation/faults.h"
#include "tests/simulation/virtual_time.h"

namespace keelson::simulation {

class World {
 public:
  World(std::uint64_t seed, const Faults& of) : faults(of), numbers(seed) {}

  VirtualTime time;
  const Faults faults;
  std::mt19937_64 numbers;
  bool faulty = true;  ///< until the faults end
  bool trace = false;

  [[nodiscard]] std::uint64_t random(std::uint64_t below) { return numbers() % below; }
  [[nodiscard]] bool chance(double probability) {
    return static_cast<double>(numbers() >> 11) * 0x1p-53 < probability;
  }
  /// While there are faults.
  [[nodiscard]] bool mishap(double probability) { return faulty && chance(probability); }
  [[nodiscard]] Moment delay(std::uint64_t least_us, std::uint64_t most_us) {
    return std::chrono::microseconds(least_us + random(most_us - least_us + 1));
  }

  [[nodiscard]] Moment now() const { return time.now(); }
  void after(Moment delay, Task run) { time.after(delay, std::move(run)); }
  /// Until something has failed.
  void step_until(Moment end) {
    while (failure_.empty() && time.step(end)) {
    }
  }

  /// The first invariant that did not hold; empty: all did.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  void fail(const std::string& what) {
    if (failure_.empty()) {
      failure_ = what + ", at " + std::to_string(now().count() / 1'000'000) + " ms";
    }
    log("FAILURE " + what);
  }
  void log(const std::string& what) const {
    if (!trace) return;
    std::printf("%9.3f ms  %s\n", static_cast<double>(now().count()) / 1e6, what.c_str());
  }

 private:
  std::string failure_;
};

}  // namespace keelson::simulation
