#include "engine/replication/log_prefix.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::replication;

namespace {

using Epochs = std::vector<std::uint64_t>;  ///< of each batch

LogTail tail_of(const Epochs& log, std::size_t from) {
  LogTail tail{BatchNo(from), Epoch(from == 0 ? 0 : log[from - 1]), {}, BatchNo(log.size())};
  for (std::size_t i = from; i < log.size(); ++i) {
    if (i == from || log[i] != log[i - 1]) tail.epochs.push_back({Epoch(log[i]), BatchNo(i)});
  }
  return tail;
}

std::optional<BatchNo> common(const Epochs& log, const Epochs& other, std::size_t from = 0) {
  return common_prefix(tail_of(log, from), tail_of(other, from));
}

}  // namespace

TEST_CASE("common prefix: is found by epochs, not by lengths") {
  CHECK(common({1, 1, 1, 3}, {1, 1, 2, 2, 2}) == BatchNo(2));
  CHECK(common({1, 1, 1}, {1, 1}) == BatchNo(2));
  CHECK(common({1, 1}, {1, 1, 1, 2}) == BatchNo(2));
  CHECK(common({1, 2, 4}, {1, 2, 3}) == BatchNo(2));
  CHECK(common({}, {1, 2}) == BatchNo(0));
  CHECK(common({1, 2}, {}) == BatchNo(0));
  CHECK(common({1, 1, 3, 3}, {1, 1, 2}, 2) == BatchNo(2));
}

TEST_CASE("common prefix: none when logs differ in what is committed") {
  CHECK(common_prefix(tail_of({1, 1, 2}, 3), tail_of({1, 1, 3, 3}, 3)) == std::nullopt);
  CHECK(common_prefix(tail_of({1, 1}, 2), tail_of({1, 1, 1, 1}, 3)) == std::nullopt);
  // One epoch cannot begin at two places.
  CHECK(common({1, 1, 2}, {1, 2}) == std::nullopt);
}

TEST_CASE("log tail: the part from some batch on is as if it had been asked for there") {
  const Epochs log{1, 1, 2, 2, 2, 5, 6, 6};
  for (std::size_t from = 0; from <= log.size(); ++from) {
    for (std::size_t later = from; later <= log.size(); ++later) {
      CAPTURE(from);
      CAPTURE(later);
      const auto part = since(tail_of(log, from), BatchNo(later));
      REQUIRE(part);
      CHECK(*part == tail_of(log, later));
    }
    CHECK(since(tail_of(log, from), BatchNo(0)) == tail_of(log, from));
    CHECK_FALSE(since(tail_of(log, from), BatchNo(log.size() + 1)));
  }
}

TEST_CASE("common prefix: of random logs that leaders have written it is the longest") {
  test::for_each_seed(2000, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    // Each new leader goes on from a prefix of one of the logs that are there.
    std::vector<Epochs> logs(3);
    for (std::uint64_t epoch = 1; epoch < 6; ++epoch) {
      Epochs led = logs[random() % 3];
      led.resize(random() % (led.size() + 1));
      led.insert(led.end(), 1 + random() % 4, epoch);
      for (Epochs& log : logs) {
        if (random() % 2 == 0) continue;
        log = led;
        if (random() % 2 == 0) log.pop_back();
      }
    }
    const Epochs& log = logs[0];
    const Epochs& other = logs[1];
    std::size_t same = 0;
    while (same < log.size() && same < other.size() && log[same] == other[same]) ++same;
    const std::size_t from = random() % (same + 1);
    REQUIRE(common(log, other, from) == BatchNo(same));
  });
}
