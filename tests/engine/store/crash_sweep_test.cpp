// A store whose process or machine ends at any call to the disk, and whose disk fails any call.
// What clients know must be what the store says: see StoreHistory.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tests/engine/store/store_history.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::test;

namespace {

constexpr int kSteps = 120;

/// Runs the history of one seed with trouble of one kind at every number, until it comes no more.
/// @return at how many it came.
std::uint64_t at_every(Trouble trouble, Ending ending, const HistoryOptions& options) {
  for (trouble.number = 1;; ++trouble.number) {
    CAPTURE(trouble.number);
    StoreHistory history(1, options);
    const bool came = history.live(kSteps, trouble);
    history.restart(ending, false);
    if (!came) return trouble.number - 1;
    history.live(5, {});
    history.restart(Ending::power_cut, false);
  }
}

/// Enough data in a few steps that segments fill up.
constexpr HistoryOptions kLarge{.bytes_max = 30'000};
/// So that they are removed, too, as soon as the next one is full.
constexpr HistoryOptions kRemoved{
    .bytes_max = 60'000, .sealed_codec = log::Codec::zstd, .retention_bytes = 1};

Trouble some_trouble(StoreHistory& history) {
  constexpr Errc kCodes[] = {Errc::io_error, Errc::disk_full};
  Trouble trouble;
  trouble.number = 1 + history.random(120);
  switch (history.random(6)) {
    case 0: break;
    case 1:
    case 2:
      trouble.kind = Trouble::Kind::fail;
      trouble.times = 1 + history.random(3);
      trouble.code = kCodes[history.random(2)];
      break;
    case 3:
      trouble.kind = Trouble::Kind::no_room;
      trouble.number = 1 + history.random(8);
      trouble.times = 3;
      break;
    default: trouble.kind = Trouble::Kind::halt; break;
  }
  return trouble;
}

}  // namespace

TEST_CASE("crash sweep: a kill in any call to the disk loses and doubles nothing") {
  for (const auto& options : {kLarge, kRemoved}) {
    const auto calls = at_every({.kind = Trouble::Kind::halt}, Ending::kill, options);
    CHECK(calls > 150);
  }
}

TEST_CASE("crash sweep: a power cut in any call to the disk loses and doubles nothing") {
  for (const auto& options : {kLarge, kRemoved}) {
    const auto calls = at_every({.kind = Trouble::Kind::halt}, Ending::power_cut, options);
    CHECK(calls > 150);
  }
}

TEST_CASE("crash sweep: any call to the disk that fails loses and doubles nothing") {
  for (const Errc code : {Errc::io_error, Errc::disk_full}) {
    for (const auto& options : {kLarge, kRemoved}) {
      const auto calls =
          at_every({.kind = Trouble::Kind::fail, .code = code}, Ending::power_cut, options);
      CHECK(calls > 150);
    }
  }
}

TEST_CASE("crash sweep: a disk that is full at any allocation loses and doubles nothing") {
  const auto allocations =
      at_every({.kind = Trouble::Kind::no_room, .times = 3}, Ending::kill, kLarge);
  CHECK(allocations > 5);
}

TEST_CASE("crash sweep: random histories with random crashes lose and double nothing") {
  std::size_t torn = 0, sealed = 0, grouped = 0, compressed = 0, removed = 0;
  std::map<Trouble::Kind, std::size_t> came;
  for_each_seed(long_run() ? 1'000'000 : 6000, [&](std::uint64_t seed) {
    HistoryOptions options;
    if (seed % 4 == 0) options.durability = Durability::os;
    if (seed % 3 == 0) options.bytes_max = 8000;
    if (seed % 5 == 0) options.codec = log::Codec::zstd;
    if (seed % 7 < 3) options.sealed_codec = log::Codec::zstd;
    if (seed % 11 < 4) options.retention_bytes = 1 + seed % 3 * log::kSegmentBytesMin;
    const bool long_log = seed % 32 == 0;
    if (long_log) options.bytes_max = 60'000;
    StoreHistory history(seed, options);
    for (auto lives = 1 + history.random(4); lives > 0; --lives) {
      const auto steps = 5 + history.random(50) * (long_log ? 4 : 1);
      const Trouble trouble = some_trouble(history);
      if (history.live(static_cast<int>(steps), trouble)) ++came[trouble.kind];
      constexpr Ending kEndings[] = {Ending::shutdown, Ending::kill, Ending::power_cut,
                                     Ending::power_cut};
      history.restart(kEndings[history.random(4)], true);
    }
    torn += history.torn();
    sealed += history.has_file(".idx") ? 1 : 0;
    grouped += history.has_file(".g1") ? 1 : 0;
    compressed += history.has_file(".seg.zst") ? 1 : 0;
    removed += history.has_file(".past") ? 1 : 0;
  });
  if (asked_seeds()) return;
  // The sweep is worth nothing if the disk never tears, or if the logs stay short.
  MESSAGE(torn << " torn tails; " << sealed << " logs with sealed segments, " << grouped
               << " with a group of them, " << compressed << " with compressed ones, " << removed
               << " with removed ones; " << came[Trouble::Kind::halt] << " halts, "
               << came[Trouble::Kind::fail] << " failures, " << came[Trouble::Kind::no_room]
               << " full disks");
  CHECK(torn > 500);
  CHECK(sealed > 500);
  CHECK(grouped > 10);
  CHECK(compressed > 20);
  CHECK(removed > 20);
  CHECK(came[Trouble::Kind::halt] > 500);
  CHECK(came[Trouble::Kind::fail] > 500);
  CHECK(came[Trouble::Kind::no_room] > 200);
}
