// A topic whose partitions are logs on this node.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/store/log_partition.h"
#include "engine/store/node_partition.h"
#include "engine/store/store.h"
#include "engine/store/topic_folder.h"
#include "engine/store/topic_record.h"

namespace keelson {

/// Who says what is committed in a topic's partitions.
enum class CommittedBy {
  this_node,
  replicas,  ///< see `LogPartition::open_replica`
};

class LogTopic final : public Topic {
 public:
  /// Opens, or makes, the topic's partitions in `folder`/<partition>.
  /// @param open_segments  of all the partitions of the store.
  /// @param opening  what must be there: a partition that is gone has been lost, not left out.
  /// @error io_error, disk_full  the topic cannot be served at all; with a partition that is
  /// damaged, lost, of another version or cannot be read it can: that one answers every call with
  /// its error.
  [[nodiscard]] static Result<std::unique_ptr<LogTopic>> open(
      Environment environment, const StoreOptions& store,
      const std::shared_ptr<log::OpenSegments>& open_segments, std::string folder, std::string name,
      TopicRecord record, log::Opening opening, CommittedBy committed_by);

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] TopicOptions options() const override;
  [[nodiscard]] const Uuid& id() const override { return id_; }
  [[nodiscard]] std::size_t partition_count() const override { return partitions_.size(); }
  [[nodiscard]] NodePartition& partition(PartitionId id) override {
    return *partitions_.at(id.value);
  }

  /// Durable on return. Thread-safe.
  /// @error bad_request  out of range. @error io_error, disk_full  nothing has changed.
  /// @error outcome_unknown  nothing has changed, but a restart may find it changed.
  [[nodiscard]] Result<void> set_retention(const log::Retention& retention);

  /// As that of its store.
  void start_retention();
  /// Those that are not damaged; none once it is closed.
  [[nodiscard]] std::vector<std::shared_ptr<LogPartition>> open_partitions() const;

  [[nodiscard]] const std::vector<RecoveryReport>& recovered() const { return recovered_; }
  /// Closes every partition and waits until all that was staged is answered.
  void close();

 private:
  /// Opens the log of one partition. What is damaged answers with its error from then on.
  [[nodiscard]] Result<void> open_partition(Environment environment,
                                            const LogPartitionOptions& options, log::LogOptions log,
                                            const std::shared_ptr<Strand>& maintenance);

  LogTopic(TopicFolder folder, std::string name, TopicRecord record)
      : folder_(std::move(folder)),
        name_(std::move(name)),
        id_(record.id),
        options_(std::move(record.options)) {}

  const TopicFolder folder_;
  const std::string name_;
  const Uuid id_;
  std::mutex changing_mutex_;  ///< held while the record is written, before the other
  mutable std::mutex mutex_;   ///< of `options_` and `open_`
  TopicOptions options_;
  std::vector<std::shared_ptr<NodePartition>> partitions_;
  std::vector<std::shared_ptr<LogPartition>> open_;  ///< those that are not damaged
  std::vector<RecoveryReport> recovered_;
};

}  // namespace keelson
