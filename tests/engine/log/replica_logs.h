// Logs of replicas on simulated disks, and what must be the same in them.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/log/log_format.h"
#include "engine/log/partition_log.h"
#include "engine/log/stored_batch.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/simulated_file_system.h"

namespace keelson::test {

/// The bytes of batches, by number.
using Batches = std::vector<std::string>;

inline std::string joined(const Batches& batches, std::size_t first, std::size_t end) {
  std::string bytes;
  for (std::size_t i = first; i < end; ++i) bytes += batches[i];
  return bytes;
}

inline Batches split(std::string_view bytes) {
  Batches batches;
  while (!bytes.empty()) {
    const std::string_view batch = log::batch_bytes(bytes);
    REQUIRE_FALSE(batch.empty());
    batches.emplace_back(batch);
    bytes.remove_prefix(batch.size());
  }
  return batches;
}

/// One replica's log: its folder is `log`.
class ReplicaLog {
 public:
  static constexpr Uuid kIdentity{{std::byte{7}}};

  explicit ReplicaLog(std::uint64_t seed, log::Codec codec = log::Codec::none) : disk(seed) {
    options.segment_bytes = 64u << 10;
    options.found_tail = log::FoundTail::held;
    options.codec = codec;
  }

  [[nodiscard]] Result<void> try_open() {
    log_.reset();
    KEELSON_TRY_ASSIGN(log_, log::PartitionLog::open(disk, "log", kIdentity, options));
    return {};
  }
  void open() {
    const auto opened = try_open();
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message()));
  }
  void close() { log_.reset(); }
  [[nodiscard]] bool is_open() const { return log_ != nullptr; }

  /// As a leader does. @param sync  which makes it durable to those that follow.
  void append(LogModel& model, std::size_t bytes_max, bool sync) {
    append(model, model.make_batch(bytes_max), sync);
  }
  void append(LogModel& model, ModelBatch batch, bool sync) {
    const auto appended = log_->append(batch.draft());
    REQUIRE_MESSAGE(appended.has_value(), (appended ? "" : appended.error().message()));
    REQUIRE(*appended == BatchNo(model.batches().size()));
    if (sync) REQUIRE(log_->sync());
    model.take(std::move(batch));
  }

  [[nodiscard]] BatchNo end() const { return log_->appended().next_batch; }
  void publish_to(std::uint64_t end) {
    if (end > 0) log_->publish(BatchNo(end - 1));
  }
  void maintain() {
    while (log_->maintenance_due()) REQUIRE(log_->maintain());
  }

  [[nodiscard]] std::string read(std::uint64_t from, std::uint64_t end,
                                 std::uint64_t bytes_max = UINT64_MAX) const {
    std::string bytes;
    while (from < end) {
      const auto read = log_->read_batches(BatchNo(from), BatchNo(end), bytes_max);
      REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message()));
      REQUIRE(read->first == BatchNo(from));
      REQUIRE(read->end > read->first);
      REQUIRE(read->end <= BatchNo(end));
      bytes += read->bytes;
      from = read->end.value;
    }
    return bytes;
  }
  [[nodiscard]] Batches batches() const { return split(read(0, end().value)); }

  /// The segments, without the zeros at their ends: how many there are is told by the capacity in
  /// the header until a segment is sealed.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> segments() const {
    std::vector<std::pair<std::string, std::string>> found;
    for (auto& [path, bytes] : disk.image()) {
      if (!path.ends_with(log::kSegmentSuffix) || path.starts_with("log/cut/")) continue;
      found.emplace_back(path, bytes.substr(0, bytes.find_last_not_of('\0') + 1));
    }
    return found;
  }
  /// All there is but what was cut.
  [[nodiscard]] SimulatedFileSystem::Image image() const {
    auto image = disk.image();
    std::erase_if(image, [](const auto& file) { return file.first.starts_with("log/cut/"); });
    return image;
  }

  log::PartitionLog& operator*() { return *log_; }
  log::PartitionLog* operator->() { return log_.get(); }
  const log::PartitionLog* operator->() const { return log_.get(); }

  SimulatedFileSystem disk;
  log::LogOptions options;

 private:
  std::unique_ptr<log::PartitionLog> log_;
};

}  // namespace keelson::test
