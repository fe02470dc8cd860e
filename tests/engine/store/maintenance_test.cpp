// Work on a log that nobody waits for: that it fails is seen all the same.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/thread_scheduler.h"
#include "engine/store/maintenance_health.h"
#include "engine/store/store.h"
#include "tests/support/simulated_environment.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

constexpr std::uint64_t kMiB = 1u << 20;

/// A store with real threads, whose disk and clock the test has.
class Maintained {
 public:
  explicit Maintained(TopicOptions options) {
    StoreOptions store_options;
    store_options.folder = "data";
    store_options.on_maintenance_change = [this](const MaintenanceChange& change) {
      CHECK(change.topic == "t");
      CHECK(change.partition == PartitionId(0));
      const std::lock_guard lock(mutex_);
      changes_.push_back(std::string(to_string(change.work)) + ' ' +
                         (change.failing ? std::string(to_string(change.failing->code)) : "works"));
    };
    auto opened = Store::open({disk, clock, random_, scheduler_}, store_options);
    REQUIRE(opened);
    store_ = *std::move(opened);
    options.segment_bytes = kMiB;
    topic(options);
  }

  Partition& topic(const TopicOptions& options) {
    auto made = store_->create_topic("t", options);
    REQUIRE(made);
    return (*made)->partition(PartitionId(0));
  }
  Partition& partition() { return store_->find_topic("t")->partition(PartitionId(0)); }

  /// Fills about so many segments.
  void fill(int megabytes) {
    for (int i = 0; i < megabytes * 10; ++i) {
      REQUIRE(commit(partition(), write_to("s-1", {std::string(100'000, '7')})));
    }
  }
  std::vector<std::string> changes() {
    const std::lock_guard lock(mutex_);
    return changes_;
  }
  MaintenanceStatus status(Maintenance work) { return partition().maintenance(work); }

  SimulatedFileSystem disk{1};
  SetClock clock;

 private:
  SeededRandom random_{1};
  ThreadScheduler scheduler_{2};
  std::mutex mutex_;
  std::vector<std::string> changes_;  ///< under mutex_
  std::unique_ptr<Store> store_;
};

/// It is done beside the callers, so some time later.
bool becomes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!condition() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

/// A full segment gives the next try, but for one that is full while a try is still under way.
bool becomes_true_filling(Maintained& log, const std::function<bool()>& condition) {
  for (int i = 0; i < 60 && !condition(); ++i) {
    log.fill(1);
    for (int look = 0; look < 100 && !condition(); ++look) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return condition();
}

constexpr std::int64_t kMinuteUs = 60'000'000;

}  // namespace

TEST_CASE("maintenance: changes are told, not every try; another file is no change") {
  std::vector<std::string> told;
  MaintenanceHealth health([&](Maintenance work, const std::optional<Error>& failing) {
    told.push_back(std::string(to_string(work)) + ' ' + (failing ? failing->message() : "works"));
  });
  const auto failed = [](Errc code, const std::string& context) -> Result<void> {
    return fail(code, context);
  };
  CHECK(health.note(Maintenance::retention, {}));
  CHECK(told.empty());
  CHECK_FALSE(health.note(Maintenance::retention, failed(Errc::io_error, "file 1")));
  CHECK_FALSE(health.note(Maintenance::retention, failed(Errc::io_error, "file 2")));
  CHECK(health.now(Maintenance::retention).failures == 2);
  CHECK(health.now(Maintenance::retention).failing->context == "file 2");
  CHECK_FALSE(health.now(Maintenance::compression).failing);
  CHECK_FALSE(health.note(Maintenance::retention, failed(Errc::corruption, "file 2")));
  CHECK_FALSE(health.note(Maintenance::compression, failed(Errc::disk_full, "file 3")));
  CHECK(health.note(Maintenance::retention, {}));
  CHECK(health.note(Maintenance::retention, {}));
  CHECK(health.now(Maintenance::retention).failures == 3);
  CHECK_FALSE(health.now(Maintenance::retention).failing);
  CHECK(told == std::vector<std::string>{"retention io_error: file 1",
                                         "retention corruption: file 2",
                                         "compression disk_full: file 3", "retention works"});
}

TEST_CASE("maintenance: retention that fails is told once, and again when it works") {
  Maintained log({.retention = {.bytes = kMiB}});
  log.disk.set_fault([](DiskCall call, const std::string& path) -> std::optional<Errc> {
    if (call == DiskCall::remove && path.ends_with(".seg")) return Errc::io_error;
    return std::nullopt;
  });
  log.fill(4);
  REQUIRE(becomes_true([&] { return log.status(Maintenance::retention).failures == 1; }));
  CHECK(log.status(Maintenance::retention).failing->code == Errc::io_error);
  // It is tried again after a minute only, when something is written.
  log.clock.time += kMinuteUs;
  log.fill(1);
  REQUIRE(becomes_true([&] { return log.status(Maintenance::retention).failures == 2; }));
  CHECK(log.changes() == std::vector<std::string>{"retention io_error"});
  log.disk.set_fault(nullptr);
  log.clock.time += kMinuteUs;
  log.fill(1);
  const std::vector<std::string> told{"retention io_error", "retention works"};
  CHECK(becomes_true([&] { return log.changes() == told; }));
  CHECK_FALSE(log.status(Maintenance::retention).failing);
  CHECK(log.partition().health());
}

TEST_CASE("maintenance: retention that fails and is not wanted any more does not fail any more") {
  TopicOptions options;
  options.segment_bytes = kMiB;
  options.retention.bytes = kMiB;
  Maintained log(options);
  log.disk.set_fault([](DiskCall call, const std::string& path) -> std::optional<Errc> {
    if (call == DiskCall::rename && path.ends_with(".idx")) return Errc::io_error;
    return std::nullopt;
  });
  log.fill(4);
  REQUIRE(becomes_true([&] { return log.status(Maintenance::retention).failing.has_value(); }));
  log.disk.set_fault(nullptr);
  options.retention = {};
  log.topic(options);
  CHECK(becomes_true([&] { return !log.status(Maintenance::retention).failing; }));
  CHECK(log.partition().start() == Offset(0));
}

TEST_CASE("maintenance: compression that fails is told once, and again when it works") {
  Maintained log({.sealed_codec = log::Codec::zstd});
  log.disk.set_fault([](DiskCall call, const std::string& path) -> std::optional<Errc> {
    if (call == DiskCall::open && path.find(".zst") != std::string::npos) return Errc::disk_full;
    return std::nullopt;
  });
  log.fill(4);
  REQUIRE(becomes_true([&] { return log.status(Maintenance::compression).failures >= 1; }));
  const std::uint64_t before = log.status(Maintenance::compression).failures;
  REQUIRE(becomes_true_filling(
      log, [&] { return log.status(Maintenance::compression).failures > before; }));
  CHECK(log.changes() == std::vector<std::string>{"compression disk_full"});
  log.disk.set_fault(nullptr);
  const std::vector<std::string> told{"compression disk_full", "compression works"};
  CHECK(becomes_true_filling(log, [&] { return log.changes() == told; }));
  CHECK_FALSE(log.status(Maintenance::compression).failing);
}
