// What a start makes of a last batch that fails its checksum: after a clean shutdown it was durable
// and has rotted, after a crash it may as well have been torn.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/engine/store/simulated_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

const std::string kSegment = SimulatedStore::kFirstSegment;

/// A store with three acknowledged commits, each in a batch of its own.
struct Written : SimulatedStore {
  explicit Written(Durability durability = Durability::fsync, std::uint64_t seed = 1)
      : SimulatedStore(seed, durability) {
    REQUIRE(open());
    for (const char* data : {"1", "2", "3"}) write(data);
  }

  void write(const std::string& data) {
    REQUIRE(commit(partition(), write_to("a-1", {data})));
    batches = placed();
    REQUIRE(batches.back().header.event_count == 1);
  }
  [[nodiscard]] std::vector<PlacedBatch> placed() {
    return batches_in(environment.disk.image().at(kSegment), identity());
  }
  /// How many batches there are after the last start, its own included.
  [[nodiscard]] std::size_t batch_count() { return placed().size(); }

  /// Changes a bit of the last batch with an event: of its header, or of its body.
  void rot(bool header) {
    const PlacedBatch& last = batches.back();
    environment.disk.flip_bit(kSegment, (last.position + (header ? 30 : 130)) * 8 + 3);
  }

  /// The partition is stopped, names the last batch that was written here, and stays as it is.
  void check_refused() {
    const auto before = environment.disk.image();
    for (int time = 0; time < 2; ++time) {
      REQUIRE(open());
      REQUIRE(store().damage().size() == 1);
      CHECK(store().recovered().empty());
      const Error error = store().damage().front().error;
      CHECK(error.code == Errc::corruption);
      INFO(error.context);
      CHECK(error.context.starts_with(kSegment + ": batch "));
      CHECK(error.context.find("at byte " + std::to_string(batches.back().position) + " ") !=
            std::string::npos);
      CHECK(partition().read(Offset(0)).error() == error);
      close();
      CHECK(environment.disk.image() == before);
    }
  }

  /// The last `lost` events are cut, and the report says where.
  void check_cut(std::size_t lost) {
    REQUIRE(open());
    CHECK(store().damage().empty());
    REQUIRE(store().recovered().size() == 1);
    CHECK(store().recovered().front().file == kSegment);
    CHECK(store().recovered().front().position == batches[batches.size() - lost].position);
    CHECK(read_all(partition()).size() == 3 - lost);
  }

  std::vector<PlacedBatch> batches;  ///< when the last event was written
};

}  // namespace

TEST_CASE("clean shutdown: rot in the last acknowledged batch is corruption and is never cut") {
  for (const Durability durability : {Durability::fsync, Durability::os}) {
    for (const bool header : {true, false}) {
      CAPTURE(header);
      Written store(durability);
      store.close();
      store.rot(header);
      store.check_refused();
    }
  }
}

TEST_CASE("clean shutdown: after a kill instead, rot in the last batch is cut and reported") {
  for (const bool header : {true, false}) {
    CAPTURE(header);
    Written store;
    store.kill();
    store.rot(header);
    store.check_cut(1);
  }
}

TEST_CASE("clean shutdown: with the next start after a kill the doubt is over") {
  Written store;
  store.kill();
  REQUIRE(store.open());
  store.kill();
  store.rot(false);
  store.check_refused();
}

TEST_CASE("clean shutdown: a later valid batch shows that one was durable, so it is refused") {
  Written store;
  const auto last = store.batches;
  store.write("4");
  store.kill();
  store.batches = last;
  store.rot(false);
  store.check_refused();
}

TEST_CASE("clean shutdown: a later batch that does not record it as durable shows nothing") {
  // With durability `os` nothing is synced between a start and a shutdown: the third batch says of
  // the second only that it was there.
  Written store(Durability::os);
  store.kill();
  store.environment.disk.flip_bit(kSegment, (store.batches[2].position + 130) * 8);
  REQUIRE(store.batches[3].header.durable_batches <= store.batches[2].header.batch_no);
  store.check_cut(2);
}

TEST_CASE("clean shutdown: what it adds is one batch, and none where nothing was written") {
  Written store;
  const std::size_t before = store.batch_count();
  store.close();
  REQUIRE(store.open());
  CHECK(store.batch_count() == before + 2);  // one when it was closed, one when it was opened
  const auto last = store.placed().end()[-2].header;
  CHECK(last.kind == log::BatchKind::control);
  CHECK(last.durable_batches == last.batch_no);
  CHECK(last.epoch == store.batches.back().header.epoch);
  for (int times = 1; times < 4; ++times) {
    store.close();
    REQUIRE(store.open());
    CHECK(store.batch_count() == before + 2 + times);  // the starts' own
  }
}

TEST_CASE("clean shutdown: its witness outlives a power cut right after it") {
  for (const Durability durability : {Durability::fsync, Durability::os}) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      CAPTURE(seed);
      Written store(durability, seed);
      store.close();
      store.environment.disk.cut_power();
      store.rot(false);
      store.check_refused();
    }
  }
}

TEST_CASE("clean shutdown: one that cannot write its witness ends all the same and loses nothing") {
  for (const Errc code : {Errc::disk_full, Errc::io_error}) {
    Written store;
    store.environment.disk.set_fault([&](DiskCall call, const std::string&) {
      return call == DiskCall::write ? std::optional(code) : std::nullopt;
    });
    store.close();
    CHECK(store.environment.ended == 0);
    store.environment.disk.set_fault(nullptr);
    REQUIRE(store.open());
    // A part of the witness may have reached the disk.
    for (const auto& torn : store.store().recovered()) {
      CHECK(torn.position == store.batches.back().end());
    }
    CHECK(read_all(store.partition()).size() == 3);
  }
}

TEST_CASE("clean shutdown: a full disk with no room in the segment does not hold it up") {
  Written store;
  store.environment.disk.set_room(0);
  // To the end of the segment: the witness would need another one.
  const std::uint64_t left = log::kSegmentBytesMin - store.batches.back().end();
  store.write(
      std::string(left - (store.batches.back().end() - store.batches.back().position), '4'));
  REQUIRE(log::kSegmentBytesMin - store.batches.back().end() < log::kBatchHeaderBytes);
  store.close();
  CHECK(store.environment.ended == 0);
  store.environment.disk.set_room(1u << 20);
  REQUIRE(store.open());
  CHECK(read_all(store.partition()).size() == 4);
}

TEST_CASE("clean shutdown: a sync that fails in it ends the process") {
  for (const Durability durability : {Durability::fsync, Durability::os}) {
    Written store(durability);
    store.environment.disk.set_fault([&](DiskCall call, const std::string&) {
      return call == DiskCall::sync ? std::optional(Errc::io_error) : std::nullopt;
    });
    store.close();
    CHECK(store.environment.ended > 0);
  }
}
