// Nodes as they run, under every fault that a seed can bring.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "tests/simulation/real_cluster.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::simulation;
using namespace std::chrono_literals;

namespace {

std::string run(std::uint64_t seed, std::size_t replicas, Faults faults, Moment duration) {
  RealCluster cluster(seed, replicas, faults);
  if (test::one_seed_asked()) cluster.trace();
  cluster.run(duration);
  cluster.settle();
  if (test::one_seed_asked()) MESSAGE(cluster.summary());
  return cluster.failure();
}

}  // namespace

TEST_CASE("cluster: three real nodes lose and double nothing and agree whatever fails") {
  test::for_each_seed(test::long_run() ? 10'000 : 60, [](std::uint64_t seed) {
    REQUIRE(run(seed, 3, Faults::some(seed), 10s) == "");
  });
}

TEST_CASE("cluster: three real nodes under many faults at once") {
  test::for_each_seed(test::long_run() ? 10'000 : 200, [](std::uint64_t seed) {
    REQUIRE(run(seed, 3, Faults::many(seed), 6s) == "");
  });
}

TEST_CASE("cluster: who was away while retention removed segments, or is new, gets what is left") {
  std::uint64_t beginnings = 0;
  const auto run_with_retention = [&](std::uint64_t seed, Faults faults, Moment duration) {
    faults.retention = 1;
    faults.wipe = std::max(faults.wipe, 0.1);
    faults.process_crash = std::max(faults.process_crash, 0.5);
    RealCluster cluster(seed, 3, faults);
    if (test::one_seed_asked()) cluster.trace();
    cluster.run(duration);
    cluster.settle();
    beginnings += cluster.beginnings();
    REQUIRE(cluster.failure() == "");
  };
  test::for_each_seed(test::long_run() ? 3'000 : 60, [&](std::uint64_t seed) {
    run_with_retention(seed, Faults::some(seed), 10s);
  });
  test::for_each_seed(test::long_run() ? 3'000 : 60, [&](std::uint64_t seed) {
    run_with_retention(seed, Faults::many(seed), 8s);
  });
  MESSAGE(beginnings << " beginnings");
  if (!test::one_seed_asked()) CHECK(beginnings > 30);
}

TEST_CASE("cluster: five real nodes lose and double nothing and agree whatever fails") {
  test::for_each_seed(test::long_run() ? 2'000 : 15, [](std::uint64_t seed) {
    REQUIRE(run(seed, 5, Faults::some(seed), 8s) == "");
  });
}

TEST_CASE("cluster: a majority that is well goes on, whatever troubles a minority has") {
  test::for_each_seed(test::long_run() ? 3'000 : 25, [](std::uint64_t seed) {
    RealCluster cluster(seed, seed % 4 == 0 ? 5 : 3, Faults::some(seed));
    if (test::one_seed_asked()) cluster.trace();
    cluster.run(2s);
    cluster.endure();
    cluster.settle();
    REQUIRE(cluster.failure() == "");
  });
}

TEST_CASE("cluster: a survivor is made to lead by force and has all that it had") {
  test::for_each_seed(test::long_run() ? 1'000 : 20, [](std::uint64_t seed) {
    RealCluster cluster(seed, 3, Faults::some(seed));
    if (test::one_seed_asked()) cluster.trace();
    cluster.run(3s);
    cluster.lose_majority();
    cluster.settle();
    REQUIRE(cluster.failure() == "");
  });
}

TEST_CASE("cluster: a topic for which there was no room is opened when there is") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    RealCluster cluster(seed, 3, {});
    cluster.fill_disks(true);
    cluster.run(1s);
    cluster.fill_disks(false);
    cluster.settle();
    REQUIRE(cluster.failure() == "");
  }
}
