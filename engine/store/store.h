// A data folder: topics and their partitions.
#pragma once

#include <functional>
#include <memory>
#include <optional>
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
  [[nodiscard]] virtual TopicOptions options() const = 0;
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

/// What opening cut from the end of a log, for the operator: a batch that was not written whole
/// when the process ended, or that was, perhaps acknowledged, and has rotted since. Which of them
/// cannot be known here.
struct RecoveryReport {
  std::string topic;
  PartitionId partition;
  std::uint64_t torn_bytes = 0;
  std::string file;  ///< from which, and where in it
  std::uint64_t position = 0;
  BatchNo batch;        ///< the one that would begin there
  std::string copy;     ///< the file that has what was cut; empty: none has
  std::string no_copy;  ///< why not
};

/// Data that is damaged, lost, cannot be read, or is of a version that cannot be. What it belongs
/// to is stopped and left as it is; everything else goes on.
struct Damage {
  std::string topic;
  std::optional<PartitionId> partition;  ///< none: the topic as a whole, as its record is so
  Error error;  ///< context names the file, and the byte where there is one
};

/// In a data folder that a node of a cluster has used.
inline constexpr std::string_view kNodeFile = "keelson.node";
/// In every data folder; locked while the store is open.
inline constexpr std::string_view kFolderLock = "keelson.lock";

/// Thread-safe.
class Store {
 public:
  /// Opens or makes the store in `options.folder`, recovering every partition.
  /// @error bad_request  a limit does not fit the log's format.
  /// @error bad_request  or the folder is of a node of a cluster, whose log others have as well.
  /// @error locked  another process has the folder. @error io_error, disk_full
  /// Damage does not fail the store. A partition whose log is damaged, gone or cannot be read
  /// refuses every operation with that error; a topic whose record is so is not found, and refused
  /// when it is to be made. See `damage`.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(Environment environment,
                                                           StoreOptions options);
  /// Waits for what is in flight, then closes.
  virtual ~Store() = default;

  [[nodiscard]] virtual const StoreOptions& options() const = 0;
  [[nodiscard]] virtual const std::vector<RecoveryReport>& recovered() const = 0;
  /// Names of files that opening found where the folders of topics are. They are nothing of the
  /// store's, and left alone.
  [[nodiscard]] virtual const std::vector<std::string>& strays() const = 0;
  /// What has been found damaged so far: topics without a usable record, then partitions.
  [[nodiscard]] virtual std::vector<Damage> damage() = 0;

  /// Makes a topic, durably; returns the existing one when its options are the same. Another
  /// retention is taken over, durably. Blocks for long with many partitions; nothing else waits for
  /// it but who makes the same topic.
  /// @error already_exists  with other options. @error bad_request  name or options out of range.
  /// @error corruption, unsupported_format, io_error  there is one, and its record is damaged, gone
  /// or cannot be read.
  [[nodiscard]] virtual Result<Topic*> create_topic(const std::string& name,
                                                    const TopicOptions& options) = 0;
  /// Nullptr when there is none.
  [[nodiscard]] virtual Topic* find_topic(std::string_view name) = 0;
  /// The same as a `Result`. @error not_found  @error corruption, unsupported_format, io_error
  /// there is one, and its record is damaged, gone or cannot be read.
  [[nodiscard]] virtual Result<Topic*> topic(std::string_view name) = 0;
  /// Sorted by name.
  [[nodiscard]] virtual std::vector<Topic*> topics() = 0;

  /// From now on retention removes what is older, or more, than topics keep. To be called where the
  /// options have it wait, once every reader has said what it needs: see `Partition::keep_for`.
  virtual void start_retention() = 0;

  /// Refuses new commits as `closed` and waits until everything staged is durable and answered.
  virtual void close() = 0;
};

}  // namespace keelson
