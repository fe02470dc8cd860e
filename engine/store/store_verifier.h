// Verifies all that is stored, without changing it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"
#include "engine/log/log_verifier.h"

namespace keelson {

struct VerifiedPartition {
  std::string topic;
  PartitionId partition;
  log::LogReport log;
};

struct StoreReport {
  std::vector<VerifiedPartition> partitions;
  std::vector<log::LogFinding> findings;  ///< of topics as a whole

  /// Whether every event that was stored is there and as it was stored.
  [[nodiscard]] bool intact() const;
};

struct VerifyOptions {
  std::string folder;                ///< of the store
  std::optional<std::string> topic;  ///< this one only
  /// Told now and then how much of all has been read. Bytes.
  std::function<void(std::uint64_t read, std::uint64_t all)> progress = nullptr;
};

/// Verifies the topics of a store, partition by partition: see `log::verify_log`. A server may be
/// running on it.
/// @error not_found  there is no store in the folder, or no such topic.
/// @error io_error   a file cannot be read; context has the call.
[[nodiscard]] Result<StoreReport> verify_store(io::FileSystem& files, const VerifyOptions& options);

}  // namespace keelson
