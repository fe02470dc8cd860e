// Seeds of randomised tests: how many there are, and how one of them is run again.
#pragma once

#include <doctest/doctest.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace keelson::test {

/// Whether the environment has KEELSON_LONG=1: sweeps leave nothing out, however long it takes.
inline bool long_run() {
  const char* const value = std::getenv("KEELSON_LONG");
  return value != nullptr && std::string(value) == "1";
}

/// Seeds [first, last].
struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
};

inline bool read_seed(std::string_view text, std::uint64_t& seed) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  return error == std::errc() && end == text.data() + text.size();
}

/// The seeds asked for with KEELSON_SEED, `7` or `1000-2000`; nothing when all are to be run.
inline std::optional<SeedRange> asked_seeds() {
  const char* const value = std::getenv("KEELSON_SEED");
  if (value == nullptr) return std::nullopt;
  const std::string_view text(value);
  const std::size_t dash = text.find('-');
  SeedRange range;
  const bool good = read_seed(text.substr(0, dash), range.first) &&
                    read_seed(dash == text.npos ? text : text.substr(dash + 1), range.last) &&
                    range.first <= range.last;
  if (!good) {
    std::fprintf(stderr, "KEELSON_SEED=%s: neither a seed nor a range like 1-5000\n", value);
    std::exit(2);  // and not a run of no seed, which would pass
  }
  return range;
}

/// Whether a single seed was asked for: it may tell what happens.
inline bool one_seed_asked() {
  const auto asked = asked_seeds();
  return asked && asked->first == asked->last;
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
  std::string name;
  for (const char c : std::string_view(run.currentTest->m_name)) {
    if (c == ',') name += '\\';  // or it would end the pattern
    name += c;
  }
  return "KEELSON_SEED=" + std::to_string(seed) + " " + run.binary_name.c_str() + " -tc=\"" + name +
         "\"";
}

/// Calls `run` with the seeds 1…`count`, or with those that were asked for. What fails within it
/// must end it (REQUIRE, FAIL): the first seed that fails is the last one that runs, and is printed
/// with the command that runs it again.
template <class Run>
void for_each_seed(std::uint64_t count, Run run) {
  const SeedRange range = asked_seeds().value_or(SeedRange{1, count});
  for (std::uint64_t seed = range.first; seed <= range.last; ++seed) {
    INFO("to run this seed again: " << replay_command(seed));
    const RunningSeed running(seed);
    run(seed);
  }
}

}  // namespace keelson::test
