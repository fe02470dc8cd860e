// A data folder: topics and their partitions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/environment.h"
#include "engine/base/result.h"
#include "engine/store/options.h"
#include "engine/store/partition.h"
#include "engine/store/position.h"

namespace keelson {

/// A named log, split into partitions. Lives as long as its store; thread-safe.
class Topic {
 public:
  virtual ~Topic() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual const TopicOptions& options() const = 0;
  [[nodiscard]] virtual const Uuid& id() const = 0;
  [[nodiscard]] virtual std::size_t partition_count() const = 0;
  [[nodiscard]] virtual Partition& partition(PartitionId id) = 0;

  /// Where `stream` lies: a hash of its id, the part after the first `-` (all of a name without).
  [[nodiscard]] PartitionId partition_of(std::string_view stream) const;
  /// The partition `stream` lies in.
  [[nodiscard]] Partition& home_of(std::string_view stream) {
    return partition(partition_of(stream));
  }
  /// The committed end of every partition.
  [[nodiscard]] Position end();
};

/// What opening found, for the operator.
struct RecoveryReport {
  std::string topic;
  PartitionId partition;
  std::uint64_t torn_bytes = 0;  ///< cut from the end of the log: never acknowledged
  std::string file;              ///< where
  std::uint64_t position = 0;
};

/// Thread-safe.
class Store {
 public:
  /// Opens or makes the store in `options.folder`, recovering every partition.
  /// @error locked  another process has the folder. @error unsupported_format, io_error.
  /// A partition whose log is corrupt does not fail the store: it refuses every operation with
  /// `corruption`, naming file and byte.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(Environment environment,
                                                           StoreOptions options);
  /// Waits for what is in flight, then closes.
  virtual ~Store() = default;

  [[nodiscard]] virtual const StoreOptions& options() const = 0;
  [[nodiscard]] virtual const std::vector<RecoveryReport>& recovered() const = 0;

  /// Makes a topic, durably; returns the existing one when its options are the same.
  /// @error already_exists  with other options. @error bad_request  name or options out of range.
  [[nodiscard]] virtual Result<Topic*> create_topic(const std::string& name,
                                                    const TopicOptions& options) = 0;
  /// Nullptr when there is none.
  [[nodiscard]] virtual Topic* find_topic(std::string_view name) = 0;
  /// Sorted by name.
  [[nodiscard]] virtual std::vector<Topic*> topics() = 0;

  /// Refuses new commits as `closed` and waits until everything staged is durable and answered.
  virtual void close() = 0;
};

}  // namespace keelson
