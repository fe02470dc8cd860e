#include "engine/cluster/promise_store.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "tests/engine/cluster/members.h"
#include "tests/support/seeds.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;
using replication::Promise;

namespace {

const Uuid kPartition = *uuid_from_hex("000102030405060708090a0b0c0d0e0f");
constexpr const char* kFile = "p/promise";

Result<Promise> load(io::FileSystem& files) { return PromiseStore(files, "p", kPartition).load(); }

}  // namespace

TEST_CASE("promise store: what was stored last is loaded, and nothing at first") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("p"));
  PromiseStore store(disk, "p", kPartition);
  CHECK(store.load() == Promise());
  for (const std::uint64_t epoch : {1, 2, 2, 17}) {
    REQUIRE(store.store(Epoch(epoch)));
    CHECK(load(disk) == Promise(Epoch(epoch)));
  }
  CHECK(io::read_file(disk, kFile, 4096).value() ==
        "keelson promise 2\n"
        "partition 000102030405060708090a0b0c0d0e0f\n"
        "epoch 17\n"
        "led 17\n"
        "leader \n"
        "checksum a9545f371a9b7e7f\n");
  disk.cut_power();
  CHECK(load(disk) == Promise(Epoch(17)));
}

TEST_CASE("promise store: to whom was promised is kept, and that a promise is to nobody") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("p"));
  PromiseStore store(disk, "p", kPartition);
  REQUIRE(store.load());
  Promise promise(Epoch(17), member(3));
  REQUIRE(store.store(promise));
  CHECK(load(disk) == promise);
  promise.epoch = Epoch(99);
  REQUIRE(store.store(promise));
  CHECK(load(disk) == promise);
}

TEST_CASE("promise store: a promise of before is read, to whom it was is not known") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("p"));
  REQUIRE(io::replace_file(disk, kFile,
                           "keelson promise 1\n"
                           "partition 000102030405060708090a0b0c0d0e0f\n"
                           "epoch 17\n"
                           "checksum 0eebdd7a1e6b24b9\n"));
  CHECK(load(disk) == Promise(Epoch(17)));
}

TEST_CASE("promise store: a promise that is damaged or of another partition is none of its") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("p"));
  {
    PromiseStore store(disk, "p", kPartition);
    REQUIRE(store.load());
    REQUIRE(store.store(Epoch(17)));
  }
  const auto is_refused = [&](const Result<Promise>& loaded) {
    REQUIRE_FALSE(loaded);
    CHECK((loaded.error().code == Errc::corruption ||
           loaded.error().code == Errc::unsupported_format));
    CHECK(loaded.error().context.find(kFile) != std::string::npos);
  };
  is_refused(PromiseStore(disk, "p", Uuid{}).load());
  const std::string text = io::read_file(disk, kFile, 4096).value();
  for (std::uint64_t bit = 0; bit < 8 * text.size(); ++bit) {
    disk.flip_bit(kFile, bit);
    is_refused(load(disk));
    disk.flip_bit(kFile, bit);
  }
  for (std::size_t length = 0; length < text.size(); ++length) {
    REQUIRE(io::replace_file(disk, kFile, text.substr(0, length)));
    is_refused(load(disk));
  }
  REQUIRE(io::replace_file(disk, kFile, text + std::string(5000, 'x')));
  is_refused(load(disk));
}

// However a life ends, the next finds what the last `store` that returned has stored, or what the
// one that did not was to store; and it finds the same after losing the power at once.
TEST_CASE("promise store: a crash or fault at any call takes back nothing") {
  for_each_seed(long_run() ? 2000 : 60, [](std::uint64_t seed) {
    constexpr std::uint64_t kStores = 4;
    bool all_done = false;
    for (std::uint64_t at = 1; !all_done; ++at) {
      INFO("crash in call " << at);
      SimulatedFileSystem disk(seed * 1000 + at);
      REQUIRE(disk.create_folders("p"));
      std::set<std::uint64_t> possible{0};
      {
        PromiseStore store(disk, "p", kPartition);
        REQUIRE(store.load() == Promise());
        disk.halt_after(at);
        std::uint64_t stored = 0;
        while (stored < kStores && store.store(Epoch(stored + 1))) ++stored;
        all_done = stored == kStores;
        possible = all_done ? std::set{stored} : std::set{stored, stored + 1};
      }
      seed % 2 == 0 ? disk.cut_power() : disk.kill();
      PromiseStore store(disk, "p", kPartition);
      const auto loaded = store.load();
      REQUIRE(loaded);
      REQUIRE(possible.contains(loaded->epoch.value));
      disk.cut_power();
      REQUIRE(load(disk) == *loaded);
    }
  });
}

TEST_CASE("promise store: a call that fails leaves the promise before or this one") {
  bool all_good = false;
  for (std::uint64_t at = 0; !all_good; ++at) {
    INFO("failing call " << at);
    SimulatedFileSystem disk(at);
    REQUIRE(disk.create_folders("p"));
    PromiseStore store(disk, "p", kPartition);
    REQUIRE(store.load());
    REQUIRE(store.store(Epoch(5)));
    std::uint64_t calls = 0;
    disk.set_fault([&](DiskCall, const std::string&) {
      return calls++ == at ? std::optional(Errc::disk_full) : std::nullopt;
    });
    all_good = store.store(Epoch(6)).has_value();
    disk.set_fault(nullptr);
    const auto shown = load(disk);
    REQUIRE(shown);
    if (all_good) CHECK(shown == Promise(Epoch(6)));
    CHECK((shown == Promise(Epoch(5)) || shown == Promise(Epoch(6))));
    // There is room again.
    REQUIRE(store.store(Epoch(7)));
    disk.cut_power();
    CHECK(load(disk) == Promise(Epoch(7)));
  }
}
