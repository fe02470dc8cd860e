// Nodes as they run, under every fault that a seed can bring.
#include <doctest/doctest.h>

#include <string>

#include "tests/simulation/real_cluster.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::simulation;
using namespace std::chrono_literals;

namespace {

std::string run(std::uint64_t seed, std::size_t replicas, Faults faults, Moment duration) {
  RealCluster cluster(seed, replicas, faults);
  cluster.trace = test::one_seed_asked();
  cluster.run(duration);
  cluster.settle();
  if (cluster.trace) {
    MESSAGE(cluster.history().batches()
            << " batches, " << cluster.history().acknowledged() << " acknowledged, "
            << cluster.epochs() << " epochs, " << cluster.lives() << " lives, " << cluster.reads()
            << " linearizable reads");
  }
  return cluster.failure();
}

}  // namespace

TEST_CASE("cluster: three real nodes lose and double nothing and agree whatever fails") {
  test::for_each_seed(test::long_run() ? 5'000 : 120, [](std::uint64_t seed) {
    REQUIRE(run(seed, 3, Faults::some(seed), 10s) == "");
  });
}

TEST_CASE("cluster: three real nodes under many faults at once") {
  test::for_each_seed(test::long_run() ? 10'000 : 120, [](std::uint64_t seed) {
    REQUIRE(run(seed, 3, Faults::many(seed), 6s) == "");
  });
}

TEST_CASE("cluster: five real nodes lose and double nothing and agree whatever fails") {
  test::for_each_seed(test::long_run() ? 1'000 : 15, [](std::uint64_t seed) {
    REQUIRE(run(seed, 5, Faults::some(seed), 8s) == "");
  });
}
