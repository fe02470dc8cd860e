// Each rule of docs/replication.md left out, one at a time: the simulation has to notice.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/replication/rules.h"
#include "tests/simulation/replica_cluster.h"
#include "tests/simulation/rule_traces.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::simulation;
using namespace std::chrono_literals;

namespace {

using replication::Rule;

constexpr std::uint64_t kSeedsMost = 10'000;

/// What `run` returns when the rule is left out.
template <class Run>
auto without(Rule rule, const Run& run) {
  replication::rules_left_out = std::uint64_t{1} << static_cast<unsigned>(rule);
  auto result = run();
  replication::rules_left_out = 0;
  return result;
}

// --- random runs: the first invariant that did not hold ---

std::string many_faults(std::uint64_t seed) {
  ReplicaCluster cluster(seed, 3, Faults::many(seed));
  cluster.run(12s);
  return cluster.failure();
}

/// Changes of members that are taken back, and requests that arrive when they are over.
std::string changes(std::uint64_t seed) {
  Faults faults;
  faults.process_crash = 1;
  faults.wipe = 0.5;
  faults.connection_break = 3;
  faults.partition = 4;
  faults.slow_disk = 1;
  faults.lost_answer = 0.3;
  faults.late_request = 0.5;
  faults.membership_change = 4;
  faults.hand_over = 4;
  ReplicaCluster cluster(seed, 3, faults);
  cluster.run(12s);
  return cluster.failure();
}

std::string retention(std::uint64_t seed) {
  Faults faults = Faults::many(seed);
  faults.retention = 4;
  faults.wipe = std::max(faults.wipe, 0.1);
  ReplicaCluster cluster(seed, 3, faults);
  cluster.run(8s);
  cluster.settle();
  return cluster.failure();
}

/// A minority has troubles that last: the others have to go on.
std::string troubles(std::uint64_t seed) {
  ReplicaCluster cluster(seed, seed % 2 == 0 ? 5 : 3, Faults::some(seed));
  cluster.run(2s);
  cluster.endure();
  cluster.settle();
  return cluster.failure();
}

struct Ablation {
  const char* name;
  Rule rule;
  /// Some seed of these runs notices. None: they do not meet it in so many.
  std::string (*runs)(std::uint64_t seed);
  std::vector<bool (*)()> traces = {};
};

const Ablation kAblations[] = {
    {"compare_revisions", Rule::compare_revisions, changes},
    {"promise_before_acting",
     Rule::promise_before_acting,
     nullptr,
     {promises_before_it_is_durable}},
    {"refuse_lower_requests", Rule::refuse_lower_requests, nullptr, {takes_batches_of_a_zombie}},
    {"ignore_lower_answers",
     Rule::ignore_lower_answers,
     nullptr,
     {counts_an_answer_of_an_earlier_epoch}},
    {"new_epoch_after_restart", Rule::new_epoch_after_restart, many_faults},
    {"sync_found_tail", Rule::sync_found_tail, many_faults},
    {"fence_majority", Rule::fence_majority, many_faults},
    {"take_greatest_log", Rule::take_greatest_log, many_faults},
    {"commit_by_majority", Rule::commit_by_majority, many_faults},
    {"commit_own_epoch", Rule::commit_own_epoch, nullptr, {commits_an_older_batch}},
    {"match_by_epochs", Rule::match_by_epochs, many_faults},
    {"commit_after_match", Rule::commit_after_match, many_faults},
    {"publish_committed", Rule::publish_committed, many_faults},
    {"acknowledge_durable", Rule::acknowledge_durable, many_faults},
    {"both_majorities", Rule::both_majorities, many_faults, {begins_without_the_old_members}},
    {"caught_up_majority",
     Rule::caught_up_majority,
     nullptr,
     {changes_to_members_that_have_nothing}},
    {"finish_after_start",
     Rule::finish_after_start,
     many_faults,
     {ends_a_change_by_the_epoch_before}},
    {"resolve_by_revision", Rule::resolve_by_revision, many_faults},
    {"adopt_increasing", Rule::adopt_increasing, many_faults},
    {"end_lead",
     Rule::end_lead,
     many_faults,
     {leads_against_a_later_record, leads_against_a_later_message}},
    {"read_after_round", Rule::read_after_round, many_faults},
    {"read_after_start", Rule::read_after_start, many_faults, {answers_reads_before_it_knows}},
    {"readable_after_match", Rule::readable_after_match, many_faults},
    {"suspect_silence", Rule::suspect_silence, troubles},
    {"ask_before_standing", Rule::ask_before_standing, troubles},
    {"let_greatest_stand", Rule::let_greatest_stand, nullptr, {stands_below_a_greater_log}},
    {"aside_without_majority", Rule::aside_without_majority, troubles},
    {"aside_without_disk", Rule::aside_without_disk, troubles},
    {"repeat_requests", Rule::repeat_requests, troubles},
    {"halt_when_gone_back",
     Rule::halt_when_gone_back,
     nullptr,
     {goes_on_when_the_coordinator_has_gone_back}},
    {"look_for_later_epochs",
     Rule::look_for_later_epochs,
     nullptr,
     {stands_by_a_record_left_behind}},
    {"wait_for_records_anew", Rule::wait_for_records_anew, nullptr, {stands_without_a_record}},
    {"force_without_majority",
     Rule::force_without_majority,
     nullptr,
     {is_forced_against_a_majority}},
    {"force_what_was_seen",
     Rule::force_what_was_seen,
     nullptr,
     {is_forced_by_what_was_seen_before}},
    {"tell_who_is_behind",
     Rule::tell_who_is_behind,
     retention,
     {goes_on_from_another_log_than_was_removed}},
};

}  // namespace

TEST_CASE("replication: every rule has a seed or a trace that shows what goes wrong without it") {
  std::set<Rule> rules;
  for (const Ablation& ablation : kAblations) {
    CHECK(rules.insert(ablation.rule).second);
    CHECK((ablation.runs != nullptr || !ablation.traces.empty()));
  }
  CHECK(rules.size() == replication::kRules);
}

TEST_CASE("replication: some trace shows what goes wrong without each rule") {
  for (const Ablation& ablation : kAblations) {
    CAPTURE(ablation.name);
    for (const auto happens : ablation.traces) {
      CHECK_FALSE(happens());
      CHECK(without(ablation.rule, happens));
    }
  }
}

/// With KEELSON_SEED=1-1000 it says which of those seeds notice, the first few; `-sc=NAME` asks for
/// one of the rules.
TEST_CASE("replication: some seed shows what goes wrong without each rule") {
  const auto asked = test::asked_seeds();
  for (const Ablation& ablation : kAblations) {
    if (ablation.runs == nullptr && !asked) continue;
    SUBCASE(ablation.name) {
      const auto [first, last] = asked.value_or(test::SeedRange{1, kSeedsMost});
      const std::size_t most = asked ? 6 : 1;
      const auto runs = ablation.runs != nullptr ? ablation.runs : many_faults;
      std::string noticed;
      std::size_t count = 0;
      std::uint64_t seed = first;
      for (; seed <= last && count < most; ++seed) {
        const std::string failure = without(ablation.rule, [&] { return runs(seed); });
        if (failure.empty()) continue;
        CAPTURE(failure);
        REQUIRE(runs(seed) == "");
        ++count;
        noticed += "\n  " + std::to_string(seed) + ": " + failure;
      }
      if (asked) {
        MESSAGE(std::string(ablation.name)
                << ": " << count << " of seeds to " << seed - 1 << noticed);
      }
      CHECK((count > 0 || asked));
    }
  }
}
