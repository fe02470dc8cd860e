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
  std::vector<log::LogFinding> findings;  ///< of topics as a whole, and of what is no topic

  /// Of all findings together.
  [[nodiscard]] log::LogVerdict verdict() const;
};

struct VerifyOptions {
  std::string folder;                ///< of the store
  std::optional<std::string> topic;  ///< this one only
  /// Told now and then how much of all has been read. Bytes.
  std::function<void(std::uint64_t read, std::uint64_t all)> progress = nullptr;
  std::function<bool()> in_use = nullptr;  ///< see `log::LogVerifying`
  std::function<void()> pause = nullptr;
  /// Checks what a node of a cluster keeps in the folder of a partition, and in that of a topic:
  /// see engine/cluster/kept_records.h.
  std::function<std::vector<log::LogFinding>(io::FileSystem& files, const std::string& folder,
                                             const Uuid& partition)>
      check_partition = nullptr;
  std::function<std::vector<log::LogFinding>(io::FileSystem& files, const std::string& folder)>
      check_topic = nullptr;
};

/// Verifies the topics of a store, partition by partition: see `log::verify_log`. A server may be
/// running on it. What cannot be read is a finding, and everything else is verified all the same.
/// @error not_found  there is no store in the folder, or no such topic.
/// @error io_error   the topics cannot be listed; context has the call.
[[nodiscard]] Result<StoreReport> verify_store(io::FileSystem& files, const VerifyOptions& options);

}  // namespace keelson
