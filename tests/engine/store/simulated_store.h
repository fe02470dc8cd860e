// A store of one topic on a simulated disk, run by one thread from a seed.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/batch.h"
#include "engine/log/log_format.h"
#include "engine/store/store.h"
#include "engine/store/topic_record.h"
#include "tests/support/simulated_environment.h"
#include "tests/support/test_store.h"

namespace keelson::test {

/// A batch as it lies in a segment.
struct PlacedBatch {
  std::uint64_t position = 0;
  log::BatchHeader header;

  [[nodiscard]] std::uint64_t end() const { return position + header.padded_bytes(); }
};

/// The whole batches of a segment, in order.
inline std::vector<PlacedBatch> batches_in(std::string_view segment, const Uuid& identity) {
  std::vector<PlacedBatch> batches;
  std::uint64_t at = log::kSegmentHeaderBytes;
  while (at < segment.size()) {
    const auto header = log::decode_batch_header(segment.substr(at), log::checksum_seed(identity));
    if (!header) break;
    batches.push_back({at, *header});
    at = batches.back().end();
  }
  return batches;
}

/// The topic is `t`, with one partition and the smallest segments.
class SimulatedStore {
 public:
  static constexpr const char* kPartitionFolder = "data/topics/t/0";
  static constexpr const char* kFirstSegment = "data/topics/t/0/00000000000000000000.seg";

  explicit SimulatedStore(std::uint64_t seed, Durability durability = Durability::fsync)
      : environment(seed) {
    topic_options.durability = durability;
    topic_options.segment_bytes = log::kSegmentBytesMin;
  }

  [[nodiscard]] Result<void> open() {
    StoreOptions options;
    options.folder = "data";
    KEELSON_TRY_ASSIGN(store_, Store::open(environment.get(), options));
    KEELSON_TRY_ASSIGN(topic_, store_->create_topic("t", topic_options));
    return {};
  }
  void close() {
    topic_ = nullptr;
    store_.reset();
  }
  /// The process is gone, and the machine goes on.
  void kill() {
    environment.disk.halt();
    close();
    environment.disk.kill();
  }

  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] Partition& partition() { return topic_->partition(PartitionId(0)); }
  [[nodiscard]] Uuid identity() const { return partition_identity(topic_->id(), PartitionId(0)); }

  SimulatedEnvironment environment;
  TopicOptions topic_options;

 private:
  std::unique_ptr<Store> store_;
  Topic* topic_ = nullptr;
};

}  // namespace keelson::test
