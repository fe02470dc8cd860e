// The log of a simulated replica: a list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
  BatchNo start() const override { return BatchNo(removed); }
  Result<replication::LogTail> tail(BatchNo from) const override;
  Result<replication::EncodedBatches> read(BatchNo from, std::uint64_t bytes_max) const override;
  /// What is left of removed batches is all of them: five are a segment.
  Result<log::Beginning> beginning(const log::InstallPlace& place) const override;
  log::InstallPlace install_place() const override { return {BatchNo(removed + fetched.size())}; }

  [[nodiscard]] Epoch epoch_before(std::size_t batch) const;
  [[nodiscard]] static std::vector<ModelBatch> decode(const std::string& bytes);

  std::vector<ModelBatch> batches;  ///< as the page cache has it
  std::size_t durable = 0;
  std::size_t published = 0;
  std::size_t removed = 0;  ///< by retention: kept to be compared, and not shown
  std::vector<ModelBatch> fetched;
  std::optional<std::size_t> damaged;  ///< a batch that cannot be read
};

}  // namespace keelson::simulation
