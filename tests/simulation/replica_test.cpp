// The rules of replication under every fault that a seed can bring.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "engine/replication/rules.h"
#include "tests/simulation/replica_cluster.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::simulation;
using namespace std::chrono_literals;

namespace {

std::string run(std::uint64_t seed, std::size_t replicas, bool trace = false) {
  ReplicaCluster cluster(seed, replicas, Faults::some(seed));
  cluster.trace = trace;
  cluster.run(20s);
  cluster.settle();
  return cluster.failure();
}

}  // namespace

TEST_CASE("replication: three replicas lose and double nothing and agree whatever fails") {
  test::for_each_seed(test::long_run() ? 10'000 : 300, [](std::uint64_t seed) {
    const std::string failure = run(seed, 3, test::one_seed_asked());
    REQUIRE(failure == "");
  });
}

TEST_CASE("replication: three replicas under many faults at once") {
  test::for_each_seed(test::long_run() ? 20'000 : 1'000, [](std::uint64_t seed) {
    ReplicaCluster cluster(seed, 3, Faults::many(seed));
    cluster.run(12s);
    REQUIRE(cluster.failure() == "");
  });
}

TEST_CASE("replication: five replicas lose and double nothing and agree whatever fails") {
  test::for_each_seed(test::long_run() ? 2'000 : 60, [](std::uint64_t seed) {
    const std::string failure = run(seed, 5, test::one_seed_asked());
    REQUIRE(failure == "");
  });
}

TEST_CASE(
    "replication: replicas that lack what the others have removed are given another beginning") {
  std::uint64_t beginnings = 0;
  const auto run_with_retention = [&](std::uint64_t seed, Faults faults, Moment duration) {
    faults.retention = 4;
    faults.wipe = std::max(faults.wipe, 0.1);
    ReplicaCluster cluster(seed, 3, faults);
    cluster.trace = test::one_seed_asked();
    cluster.run(duration);
    cluster.settle();
    beginnings += cluster.beginnings();
    REQUIRE(cluster.failure() == "");
  };
  test::for_each_seed(test::long_run() ? 10'000 : 200, [&](std::uint64_t seed) {
    run_with_retention(seed, Faults::some(seed), 15s);
  });
  test::for_each_seed(test::long_run() ? 10'000 : 200, [&](std::uint64_t seed) {
    run_with_retention(seed, Faults::many(seed), 8s);
  });
  if (!test::one_seed_asked()) CHECK(beginnings > 100);
}

TEST_CASE(
    "replication: a coordinator that loses its record, which is made anew, leads nobody astray") {
  test::for_each_seed(test::long_run() ? 10'000 : 300, [](std::uint64_t seed) {
    Faults faults = Faults::some(seed);
    faults.coordinator_loss = 0.3;
    ReplicaCluster cluster(seed, seed % 4 == 0 ? 5 : 3, faults);
    cluster.trace = test::one_seed_asked();
    cluster.run(20s);
    cluster.settle();
    REQUIRE(cluster.failure() == "");
  });
}

/// What is not among these takes traces that random runs do not meet: replica_rules_test.cpp.
TEST_CASE("replication: some seed shows what goes wrong without each rule") {
  using replication::Rule;
  for (const Rule rule :
       {Rule::sync_found_tail, Rule::new_epoch_after_restart, Rule::fence_majority,
        Rule::take_greatest_log, Rule::commit_by_majority, Rule::match_by_epochs,
        Rule::commit_after_match, Rule::publish_committed, Rule::acknowledge_durable,
        Rule::both_majorities, Rule::finish_after_start, Rule::resolve_by_revision,
        Rule::adopt_increasing, Rule::read_after_round, Rule::read_after_start,
        Rule::readable_after_match}) {
    replication::rules_left_out = 1u << static_cast<unsigned>(rule);
    std::uint64_t seed = 0;
    bool noticed = false;
    while (!noticed && seed < 10'000) {
      ++seed;
      ReplicaCluster cluster(seed, 3, Faults::many(seed));
      cluster.run(12s);
      noticed = !cluster.failure().empty();
    }
    replication::rules_left_out = 0;
    CAPTURE(static_cast<unsigned>(rule));
    CHECK(noticed);
  }
}
