// What goes wrong without each rule is seen by whole nodes, too.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/replication/rules.h"
#include "tests/simulation/real_cluster.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::simulation;
using namespace std::chrono_literals;

namespace {

using replication::Rule;

constexpr std::uint64_t kSeedsMost = 1'000;

Faults elections() {
  Faults faults;
  faults.pause = 4;
  faults.hand_over = 1;
  faults.connection_break = 2;
  faults.partition = 4;
  faults.slow_disk = 1;
  return faults;
}

Faults restarts() {
  Faults faults;
  faults.process_crash = 2;
  faults.power_cut = 2;
  faults.connection_break = 2;
  faults.partition = 1;
  faults.slow_disk = 1;
  faults.hand_over = 0.5;
  return faults;
}

Faults moves() {
  Faults faults;
  faults.process_crash = 0.5;
  faults.pause = 2;
  faults.connection_break = 3;
  faults.partition = 3;
  faults.slow_disk = 2;
  faults.late_request = 0.3;
  faults.lost_answer = 0.2;
  faults.membership_change = 3;
  faults.hand_over = 1;
  return faults;
}

Faults records() {
  Faults faults;
  faults.pause = 1;
  faults.partition = 1;
  faults.late_request = 0.5;
  faults.lost_answer = 0.5;
  faults.stale_watch = 0.9;
  faults.membership_change = 3;
  faults.hand_over = 3;
  return faults;
}

Faults faults_of(std::uint64_t seed) {
  switch (seed % 5) {
    case 1: return elections();
    case 2: return restarts();
    case 3: return moves();
    case 4: return records();
    default: return Faults::many(seed);
  }
}

// --- random runs: the first invariant that did not hold ---

std::string some_faults(std::uint64_t seed, const Lies& lies) {
  RealCluster cluster(seed, 3, faults_of(seed), lies);
  cluster.run(6s);
  return cluster.failure();
}

/// Until all is well again.
std::string retention(std::uint64_t seed, const Lies& lies) {
  Faults faults = Faults::many(seed);
  faults.retention = 1;
  faults.wipe = std::max(faults.wipe, 0.1);
  RealCluster cluster(seed, 3, faults, lies);
  cluster.run(6s);
  cluster.settle();
  return cluster.failure();
}

/// A minority has troubles that last: the others have to go on.
std::string troubles(std::uint64_t seed, const Lies& lies) {
  RealCluster cluster(seed, 3, Faults::some(seed), lies);
  cluster.run(2s);
  cluster.endure();
  cluster.settle();
  return cluster.failure();
}

/// What is left out, and what is said to be done.
struct Ablation {
  const char* name;
  std::uint64_t rules = 0;
  Lies lies = {};
  std::vector<std::uint64_t> seeds;  ///< some that have noticed
  std::string (*runs)(std::uint64_t seed, const Lies& lies) = some_faults;
};

constexpr std::uint64_t without(Rule rule) {
  return std::uint64_t{1} << static_cast<unsigned>(rule);
}

/// Those without seeds no node noticed in the seeds 1 to 150: what they prevent needs a meeting of
/// crashes and elections that is too rare here. The simulation of modelled logs and the written
/// traces (ablation_test.cpp) show what the rules are for; the two lies without seeds are about the
/// log, whose own tests have to.
const Ablation kAblations[] = {
    {"compare_revisions", without(Rule::compare_revisions), {}, {}},
    {"promise_before_acting", without(Rule::promise_before_acting), {}, {12, 48, 140}},
    {"refuse_lower_requests", without(Rule::refuse_lower_requests), {}, {}},
    {"ignore_lower_answers", without(Rule::ignore_lower_answers), {}, {}},
    {"new_epoch_after_restart", without(Rule::new_epoch_after_restart), {}, {}},
    {"fence_majority", without(Rule::fence_majority), {}, {91, 135, 176}},
    {"take_greatest_log", without(Rule::take_greatest_log), {}, {}},
    {"commit_by_majority", without(Rule::commit_by_majority), {}, {3, 89, 94}},
    {"commit_own_epoch", without(Rule::commit_own_epoch), {}, {}},
    {"match_by_epochs", without(Rule::match_by_epochs), {}, {79}},
    {"commit_after_match", without(Rule::commit_after_match), {}, {}},
    {"publish_committed", without(Rule::publish_committed), {}, {19, 24, 36}},
    {"acknowledge_durable", without(Rule::acknowledge_durable), {}, {}},
    {"both_majorities", without(Rule::both_majorities), {}, {}},
    {"caught_up_majority", without(Rule::caught_up_majority), {}, {}},
    {"finish_after_start", without(Rule::finish_after_start), {}, {}},
    {"resolve_by_revision", without(Rule::resolve_by_revision), {}, {4, 9, 19}},
    {"adopt_increasing", without(Rule::adopt_increasing), {}, {}},
    {"end_lead", without(Rule::end_lead), {}, {1, 2, 3}, troubles},
    {"read_after_round", without(Rule::read_after_round), {}, {}},
    {"read_after_start", without(Rule::read_after_start), {}, {16, 19, 91}},
    {"readable_after_match", without(Rule::readable_after_match), {}, {22, 23, 33}},
    {"suspect_silence", without(Rule::suspect_silence), {}, {2, 4, 5}, troubles},
    {"ask_before_standing", without(Rule::ask_before_standing), {}, {2, 6, 13}, troubles},
    {"let_greatest_stand", without(Rule::let_greatest_stand), {}, {}, troubles},
    {"aside_without_majority", without(Rule::aside_without_majority), {}, {2, 27, 48}, troubles},
    {"aside_without_disk", without(Rule::aside_without_disk), {}, {4, 10, 12}, troubles},
    {"repeat_requests", without(Rule::repeat_requests), {}, {31, 33, 34}, troubles},
    {"tell_who_is_behind", without(Rule::tell_who_is_behind), {}, {1, 3, 17}, retention},
    {"promise_synced", 0, {.promise_synced = true}, {12, 22, 47}},
    {"tail_synced", 0, {.tail_synced = true}, {}},
    {"batches_synced", 0, {.batches_synced = true}, {102}},
    {"cut_marked", 0, {.cut_marked = true}, {}},
};

std::string run(const Ablation& ablation, std::uint64_t seed) {
  replication::rules_left_out = ablation.rules;
  std::string failure = ablation.runs(seed, ablation.lies);
  replication::rules_left_out = 0;
  return failure;
}

/// One that is known first: with each change of the engine other seeds notice.
std::optional<std::uint64_t> noticing_seed(const Ablation& ablation) {
  for (const std::uint64_t seed : ablation.seeds) {
    if (!run(ablation, seed).empty()) return seed;
  }
  for (std::uint64_t seed = 1; seed <= kSeedsMost; ++seed) {
    if (!run(ablation, seed).empty()) return seed;
  }
  return std::nullopt;
}

}  // namespace

/// With KEELSON_SEED=1-1000 it says which of those seeds notice, the first few; `-sc=NAME` asks for
/// one of the rules.
TEST_CASE("cluster: some seed of whole nodes shows what goes wrong without each rule") {
  const auto asked = test::asked_seeds();
  for (const Ablation& ablation : kAblations) {
    SUBCASE(ablation.name) {
      if (!asked && ablation.seeds.empty()) continue;
      if (!asked) {
        const auto seed = noticing_seed(ablation);
        REQUIRE(seed);
        CHECK(ablation.runs(*seed, {}) == "");
        continue;
      }
      std::string noticed;
      std::uint64_t count = 0;
      std::uint64_t seed = asked->first;
      for (; seed <= asked->last && count < 6; ++seed) {
        const std::string failure = run(ablation, seed);
        if (failure.empty()) continue;
        ++count;
        noticed += "\n  " + std::to_string(seed) + ": " + failure;
      }
      MESSAGE(std::string(ablation.name)
              << ": " << count << " of seeds to " << seed - 1 << noticed);
    }
  }
}
