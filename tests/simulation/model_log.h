// The log of a simulated replica: a list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/replication/replica_log.h"

namespace keelson::simulation {

/// A batch is its epoch and the command in it; 0 is the control batch that starts an epoch.
struct ModelBatch {
  Epoch epoch;
  std::uint64_t command = 0;
  bool operator==(const ModelBatch&) const = default;
};

class ModelLog final : public replication::ReplicaLog {
 public:
  replication::LogEnd end() const override;
  BatchNo committed() const override { return BatchNo(published); }
  Result<replication::LogTail> tail(BatchNo from) const override;
  Result<replication::EncodedBatches> read(BatchNo from, std::uint64_t bytes_max) const override;

  [[nodiscard]] Epoch epoch_before(std::size_t batch) const;
  [[nodiscard]] static std::vector<ModelBatch> decode(const std::string& bytes);

  std::vector<ModelBatch> batches;  ///< as the page cache has it
  std::size_t durable = 0;
  std::size_t published = 0;
};

}  // namespace keelson::simulation
