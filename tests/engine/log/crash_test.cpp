// The log on a disk that loses power, fails calls and runs full.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "engine/log/partition_log.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/seeds.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::PartitionLog;

namespace {

const Uuid kIdentity{{std::byte{7}}};
const log::LogOptions kSmall{.segment_bytes = 64u << 10};

/// A log and the model of everything appended to it, with how much of that is durable.
class Life {
 public:
  explicit Life(std::uint64_t seed) : disk(seed), model(seed) {}

  [[nodiscard]] Result<void> open() {
    log_.reset();
    auto opened = PartitionLog::open(disk, "log", kIdentity, kSmall);
    if (!opened) return std::unexpected(opened.error());
    log_ = *std::move(opened);
    return {};
  }

  /// The process is gone: whole batches may have survived or not, but the durable ones did.
  void restart() {
    auto opened = open();
    if (!opened && opened.error().context.starts_with("injected")) opened = open();
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message()));
    // The number of the next batch says how many there are. It starts an epoch, as a leader does.
    ModelBatch start;
    start.kind = log::BatchKind::control;
    start.base = log_->end();
    start.epoch = log_->last_epoch() + 1;
    start.time = log_->last_time();
    const auto batch_no = log_->append(start.draft());
    REQUIRE(batch_no);
    REQUIRE(batch_no->value >= durable);
    REQUIRE(batch_no->value <= model.batches().size());
    survived = batch_no->value;
    model.cut(survived);
    model.take(std::move(start));
    REQUIRE(sync());
    publish();
    check();
  }

  /// What is asked here is not part of the story: no faults.
  void check() {
    faults_armed = false;
    model.check_equal(*log_);
    faults_armed = true;
  }

  Result<void> append(std::size_t bytes_max = 400) {
    ModelBatch batch = model.make_batch(bytes_max);
    const auto batch_no = log_->append(batch.draft());
    if (!batch_no) return std::unexpected(batch_no.error());
    REQUIRE(*batch_no == BatchNo(model.batches().size()));
    model.take(std::move(batch));
    return {};
  }

  Result<void> sync() {
    auto synced = log_->sync();
    if (synced) durable = model.batches().size();
    return synced;
  }

  void publish() {
    if (durable == published) return;
    log_->publish(BatchNo(durable - 1));
    published = durable;
  }

  PartitionLog& log() { return *log_; }

  SimulatedFileSystem disk;
  LogModel model;
  std::size_t durable = 0;
  std::size_t published = 0;
  bool faults_armed = true;
  std::size_t survived = 0;  ///< batches found by the last restart

 private:
  std::unique_ptr<PartitionLog> log_;
};

}  // namespace

TEST_CASE(
    "crash: after power cuts and kills everything synced is there, the rest by whole batches") {
  std::size_t torn = 0;
  for_each_seed(40, [&](std::uint64_t seed) {
    Life life(seed);
    REQUIRE(life.open());
    for (int crash = 0; crash < 6; ++crash) {
      for (auto steps = life.model.random(120); steps > 0; --steps) {
        switch (life.model.random(6)) {
          case 0: REQUIRE(life.sync()); break;
          case 1: life.publish(); break;
          case 2: REQUIRE(life.log().maintain()); break;
          default: REQUIRE(life.append()); break;
        }
      }
      if (life.model.random(3) == 0) {
        life.disk.kill();
      } else {
        life.disk.cut_power();
      }
      life.restart();
      if (life.log().torn_tail()) ++torn;
    }
  });
  // The sweep is worth nothing if the disk never tears.
  if (!asked_seeds()) CHECK(torn > 30);
}

TEST_CASE("crash: a kill, then a power cut: what the first start found is durable") {
  for_each_seed(40, [&](std::uint64_t seed) {
    Life life(seed);
    REQUIRE(life.open());
    for (int i = 0; i < 40; ++i) REQUIRE(life.append());
    life.disk.kill();
    REQUIRE(life.open());
    // All of it was in the page cache, and readers see it: from now on it must stay.
    REQUIRE(life.log().end() == life.model.end());
    life.disk.cut_power();
    life.restart();
    CHECK(life.survived == 40);
  });
}

TEST_CASE("crash: what a failed sync has left in the cache alone is durable after the next start") {
  for_each_seed(40, [&](std::uint64_t seed) {
    Life life(seed);
    REQUIRE(life.open());
    for (int i = 0; i < 5; ++i) REQUIRE(life.append());
    REQUIRE(life.sync());
    for (int i = 0; i < 20; ++i) REQUIRE(life.append());
    life.disk.set_fault([](DiskCall call, const std::string&) {
      return call == DiskCall::sync ? std::optional(Errc::io_error) : std::nullopt;
    });
    REQUIRE_FALSE(life.sync());
    life.disk.set_fault({});
    life.disk.kill();
    // The kernel still shows all of it, and says of no page that it must be written.
    life.restart();
    CHECK(life.survived == 25);
    life.disk.cut_power();
    life.restart();
    CHECK(life.survived == 26);
  });
}

TEST_CASE("crash: whichever call of the disk fails, nothing acknowledged is lost or doubled") {
  const auto run = [](std::uint64_t failing, Errc code) {
    Life life(failing);
    std::uint64_t calls = 0;
    bool sync_failed = false;
    life.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
      if (!life.faults_armed || ++calls != failing) return std::nullopt;
      sync_failed = call == DiskCall::sync || call == DiskCall::sync_folder;
      return code;
    });
    if (!life.open()) REQUIRE(life.open());
    for (int i = 0; i < 60; ++i) {
      const auto appended = life.append(2000);
      // Sometimes with several batches in flight.
      const auto synced = i % 3 == 2 ? life.sync() : Result<void>();
      if ((!appended || !synced) && sync_failed) {
        // A failed sync ends the process.
        life.disk.kill();
        life.restart();
        sync_failed = false;
        continue;
      }
      REQUIRE(synced);
      if (!appended) CHECK(appended.error().code == code);
      life.publish();
      if (i % 5 == 0) [[maybe_unused]]
        const auto ignored = life.log().maintain();
    }
    if (!life.sync()) {
      life.disk.kill();
      life.restart();
    }
    life.publish();
    life.check();
    life.disk.cut_power();
    life.restart();
    return calls >= failing;
  };
  std::uint64_t failing = 1;
  while (run(failing, failing % 2 == 0 ? Errc::disk_full : Errc::io_error)) ++failing;
  CHECK(failing > 150);
}

TEST_CASE(
    "crash: a full disk refuses batches, keeps what it has, and takes batches again with room") {
  Life life(3);
  REQUIRE(life.open());
  life.disk.set_room(3 * kSmall.segment_bytes);
  Result<void> appended;
  while ((appended = life.append())) {
    REQUIRE(life.sync());
    life.publish();
    if (life.log().maintenance_due()) [[maybe_unused]]
      const auto ignored = life.log().maintain();
  }
  CHECK(appended.error().code == Errc::disk_full);
  CHECK(life.append().error().code == Errc::disk_full);
  life.check();
  life.disk.kill();
  life.restart();
  CHECK_FALSE(life.log().torn_tail());
  life.disk.set_room(1u << 30);
  for (int i = 0; i < 100; ++i) REQUIRE(life.append());
  REQUIRE(life.sync());
  life.publish();
  life.check();
}

TEST_CASE("crash: bytes of a failed append are never taken for a batch") {
  for_each_seed(60, [&](std::uint64_t seed) {
    Life life(seed);
    REQUIRE(life.open());
    for (int i = 0; i < 5; ++i) REQUIRE(life.append());
    REQUIRE(life.sync());
    // This write and the zeros meant to clean up after it fail; part of each may have been written.
    int failures = 2;
    life.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
      if (call != DiskCall::write || failures == 0) return std::nullopt;
      --failures;
      return Errc::disk_full;
    });
    REQUIRE_FALSE(life.append(4000));
    // A shorter one follows where the longer one failed.
    REQUIRE(life.append(10));
    REQUIRE(life.sync());
    life.publish();
    life.disk.kill();
    life.restart();
    CHECK_FALSE(life.log().torn_tail());
    CHECK(life.survived == 6);
  });
}

TEST_CASE("crash: while a failed append may be found, none is told that nothing is there") {
  Life life(1);
  REQUIRE(life.open());
  REQUIRE(life.append());
  REQUIRE(life.sync());
  // The first, and three times what would clean up after it.
  int writes = 0;
  life.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call != DiskCall::write || ++writes > 4) return std::nullopt;
    return Errc::disk_full;
  });
  for (int asked = 0; asked < 3; ++asked) {
    const auto appended = life.append();
    REQUIRE_FALSE(appended);
    CHECK(appended.error().code == Errc::outcome_unknown);
  }
  REQUIRE(life.append());
  REQUIRE(life.sync());
  life.publish();
  life.disk.kill();
  life.restart();
  CHECK_FALSE(life.log().torn_tail());
  CHECK(life.survived == 2);
}
