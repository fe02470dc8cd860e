// The log of a partition as replication sees it: numbered batches of known epochs.
#pragma once

#include <cstdint>

#include "engine/base/result.h"
#include "engine/log/log_tail.h"
#include "engine/replication/log_prefix.h"

namespace keelson::replication {

using log::BatchRegion;
using log::EncodedBatches;

/// Reading, from the partition's strand. What changes the log goes through `ReplicaPorts`, since it
/// takes time.
class ReplicaLog {
 public:
  virtual ~ReplicaLog() = default;

  /// After the last batch appended, durable or not.
  [[nodiscard]] virtual LogEnd end() const = 0;
  /// End of the batches that readers see: all of them are committed.
  [[nodiscard]] virtual BatchNo committed() const = 0;
  /// The first batch that retention has kept: all before are committed.
  [[nodiscard]] virtual BatchNo start() const { return BatchNo(0); }
  /// @param from  at most `end()`.
  /// @error below_start  it is below `start()`. @error io_error, corruption
  [[nodiscard]] virtual Result<LogTail> tail(BatchNo from) const = 0;
  /// Batches from `from` on, as many as fit `bytes_max`, but one at least.
  /// @param from  below `end()`.
  /// @error below_start  retention has removed them. @error io_error, corruption
  [[nodiscard]] virtual Result<EncodedBatches> read(BatchNo from,
                                                    std::uint64_t bytes_max) const = 0;
  /// The same as a part of a file, where a follower is so far behind that it can be.
  [[nodiscard]] virtual std::optional<BatchRegion> region(BatchNo) const { return std::nullopt; }
  /// For a replica that lacks what has been removed here: see `log::PartitionLog::beginning`.
  [[nodiscard]] virtual Result<log::Beginning> beginning(const log::InstallPlace&) const {
    return log::Beginning();
  }
  /// What this log lacks, if it is to begin anew: see `log::PartitionLog::install_place`.
  [[nodiscard]] virtual log::InstallPlace install_place() const { return {}; }
};

}  // namespace keelson::replication
