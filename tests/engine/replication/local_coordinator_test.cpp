#include "engine/replication/local_coordinator.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace keelson;
using namespace keelson::replication;

namespace {

Coordinator::Swapped swap(LocalCoordinator& coordinator, const std::string& key,
                          std::optional<Record> expected, const std::string& value) {
  Coordinator::Swapped result;
  coordinator.compare_and_set(key, expected, value,
                              [&](auto swapped) { result = swapped.value(); });
  return result;
}

}  // namespace

TEST_CASE("local coordinator: of two swaps at one revision, one wins and the other sees it") {
  LocalCoordinator coordinator;
  const auto made = swap(coordinator, "p/0", std::nullopt, "a");
  REQUIRE(made.swapped);
  const auto late = swap(coordinator, "p/0", std::nullopt, "b");
  CHECK_FALSE(late.swapped);
  REQUIRE(late.current);
  CHECK(late.current->value == "a");
  CHECK(swap(coordinator, "p/0", late.current, "c").swapped);
  CHECK_FALSE(swap(coordinator, "p/0", made.current, "d").swapped);
  coordinator.get("p/0", [](auto record) { CHECK((*record)->value == "c"); });
  coordinator.get("p/1", [](auto record) { CHECK_FALSE(record->has_value()); });
}

TEST_CASE("local coordinator: a record of the expected revision with another value stays") {
  LocalCoordinator coordinator;
  const auto made = swap(coordinator, "p/0", std::nullopt, "a").current.value();
  const auto late = swap(coordinator, "p/0", Record{"b", made.revision}, "c");
  CHECK_FALSE(late.swapped);
  CHECK(late.current == made);
  CHECK_FALSE(swap(coordinator, "p/1", Record{"", Revision(0)}, "c").swapped);
}

TEST_CASE("local coordinator: a watch tells what is there, then each change, until dropped") {
  LocalCoordinator coordinator;
  const auto first = swap(coordinator, "p/0", std::nullopt, "a");
  std::vector<std::string> seen;
  auto watch = coordinator.watch("p/", [&](const Coordinator::Change& change) {
    seen.push_back(change.key + (change.record ? "=" + change.record->value : " is gone"));
  });
  swap(coordinator, "p/1", std::nullopt, "b");
  swap(coordinator, "q/0", std::nullopt, "x");
  swap(coordinator, "p/0", first.current, "c");
  { const auto present = coordinator.appear("p/n", "e", std::chrono::seconds(1)); }
  watch.reset();
  swap(coordinator, "p/2", std::nullopt, "d");
  CHECK(seen == std::vector<std::string>{"p/0=a", "p/1=b", "p/0=c", "p/n=e", "p/n is gone"});
}
