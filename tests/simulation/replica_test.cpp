// The rules of replication under every fault that a seed can bring.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

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

TEST_CASE("replication: a majority that is well goes on, whatever troubles a minority has") {
  test::for_each_seed(test::long_run() ? 10'000 : 100, [](std::uint64_t seed) {
    ReplicaCluster cluster(seed, seed % 2 == 0 ? 5 : 3, Faults::some(seed));
    cluster.trace = test::one_seed_asked();
    cluster.run(2s);
    cluster.endure();
    cluster.settle();
    REQUIRE(cluster.failure() == "");
  });
}
