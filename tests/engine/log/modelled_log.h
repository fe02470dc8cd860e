// A log of small segments on a simulated disk, beside the model of what it should hold.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/log/partition_log.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/simulated_file_system.h"

namespace keelson::test {

/// Its folder is `log`. Opened with `options` as they are at that moment.
class ModelledLog {
 public:
  static constexpr Uuid kIdentity{{std::byte{7}}};
  static constexpr std::uint64_t kSegmentBytes = 64u << 10;

  explicit ModelledLog(std::uint64_t seed) : disk(seed), model(seed) {}

  /// Closes first.
  Result<void> try_open() {
    log_.reset();
    KEELSON_TRY_ASSIGN(log_, log::PartitionLog::open(disk, "log", kIdentity, options));
    return {};
  }
  void open() {
    const auto opened = try_open();
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message()));
  }
  void close() { log_.reset(); }

  /// The model's next batch, durable and published.
  Result<void> try_append() {
    ModelBatch batch = model.make_batch(2000);
    KEELSON_TRY_ASSIGN(const BatchNo number, log_->append(batch.draft()));
    KEELSON_TRY(log_->sync());
    log_->publish(number);
    model.take(std::move(batch));
    return {};
  }
  void maintain() {
    while (log_->maintenance_due()) REQUIRE(log_->maintain());
    while (log_->compression_due()) REQUIRE(log_->compress());
  }
  /// Appends until there are so many files with this suffix.
  void fill(std::string_view suffix, std::size_t count) {
    while (files(suffix).size() < count) {
      REQUIRE(try_append());
      maintain();
    }
  }

  /// Paths of the files with this suffix, the oldest first.
  [[nodiscard]] std::vector<std::string> files(std::string_view suffix) {
    auto names = disk.list("log").value();
    std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
    for (std::string& name : names) name = "log/" + name;
    return names;
  }

  log::PartitionLog& operator*() { return *log_; }
  log::PartitionLog* operator->() { return log_.get(); }

  SimulatedFileSystem disk;
  LogModel model;
  log::LogOptions options{.segment_bytes = kSegmentBytes};

 private:
  std::unique_ptr<log::PartitionLog> log_;
};

}  // namespace keelson::test
