// Seeds of randomised tests: how many there are, and how one of them is run again.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace keelson::test {

/// Whether the environment has KEELSON_LONG=1: sweeps leave nothing out, however long it takes.
inline bool long_run() {
  const char* const value = std::getenv("KEELSON_LONG");
  return value != nullptr && std::string(value) == "1";
}

/// The one seed to be run, from KEELSON_SEED; 0 when all are.
inline std::uint64_t only_seed() {
  const char* const value = std::getenv("KEELSON_SEED");
  return value == nullptr ? 0 : std::strtoull(value, nullptr, 10);
}

/// The seed that `for_each_seed` is at; 0 for none.
inline std::uint64_t running_seed = 0;

class RunningSeed {
 public:
  explicit RunningSeed(std::uint64_t seed) { running_seed = seed; }
  ~RunningSeed() { running_seed = 0; }
  RunningSeed(const RunningSeed&) = delete;
  RunningSeed& operator=(const RunningSeed&) = delete;
};

/// The command that runs the current test case with this seed alone.
inline std::string replay_command(std::uint64_t seed) {
  const doctest::ContextOptions& run = *doctest::getContextOptions();
  return "KEELSON_SEED=" + std::to_string(seed) + " " + run.binary_name.c_str() + " -tc=\"" +
         run.currentTest->m_name + "\"";
}

/// Calls `run` with the seeds 1…`count`, or with the one that was asked for. What fails within it
/// must end it (REQUIRE, FAIL): the first seed that fails is the last one that runs, and is printed
/// with the command that runs it again. The name of the test case must have no comma.
template <class Run>
void for_each_seed(std::uint64_t count, Run run) {
  const std::uint64_t only = only_seed();
  const std::uint64_t last = only != 0 ? only : count;
  for (std::uint64_t seed = only != 0 ? only : 1; seed <= last; ++seed) {
    INFO("to run this seed again: " << replay_command(seed));
    const RunningSeed running(seed);
    run(seed);
  }
}

}  // namespace keelson::test
