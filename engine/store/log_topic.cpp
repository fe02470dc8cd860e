#include "engine/store/log_topic.h"

#include <future>

#include "engine/io/file_system.h"
#include "engine/store/corrupt_partition.h"
#include "engine/store/partition_hash.h"

namespace keelson {

PartitionId Topic::partition_of(std::string_view stream) const {
  return keelson::partition_of(stream, partition_count());
}

Position Topic::end() {
  Position position(partition_count());
  for (std::uint32_t p = 0; p < partition_count(); ++p) {
    position.set_next(PartitionId(p), partition(PartitionId(p)).end());
  }
  return position;
}

Result<std::unique_ptr<LogTopic>> LogTopic::open(
    Environment environment, const StoreOptions& store,
    const std::shared_ptr<log::OpenSegments>& open_segments, std::string folder, std::string name,
    TopicRecord record, log::Opening opening, CommittedBy committed_by) {
  auto topic = std::unique_ptr<LogTopic>(
      new LogTopic(TopicFolder(environment.files, folder), std::move(name), std::move(record)));
  const TopicOptions& is = topic->options_;
  const auto maintenance = environment.scheduler.make_worker("maintain");
  LogPartitionOptions options;
  options.partitions = is.partitions;
  options.durability = is.durability;
  options.retention = is.retention;
  options.limits = store.limits;
  options.pending_bytes_max = store.pending_bytes_max;
  options.batch_bytes_max = store.batch_bytes_max;
  options.replica = committed_by == CommittedBy::replicas;
  if (is.sealed_codec != log::Codec::none) {
    options.compression = environment.scheduler.make_background_worker("compress");
  }
  log::LogOptions log;
  log.segment_bytes = is.segment_bytes;
  log.opening = opening;
  log.found_tail = options.replica ? log::FoundTail::held : log::FoundTail::published;
  log.retention = is.retention;
  log.codec = is.codec;
  log.sealed_codec = is.sealed_codec;
  log.open_segments = open_segments;
  for (std::uint32_t p = 0; p < is.partitions; ++p) {
    options.id = PartitionId(p);
    if (const auto& changed = store.on_maintenance_change) {
      options.on_maintenance_change = [changed, name = topic->name_, id = options.id](
                                          Maintenance work, const std::optional<Error>& failing) {
        changed({name, id, work, failing});
      };
    }
    KEELSON_TRY(topic->open_partition(environment, options, log, maintenance));
  }
  return topic;
}

Result<void> LogTopic::open_partition(Environment environment, const LogPartitionOptions& options,
                                      log::LogOptions log_options,
                                      const std::shared_ptr<Strand>& maintenance) {
  const bool was_there = log_options.opening == log::Opening::existing;
  auto log = log::PartitionLog::open(environment.files,
                                     folder_.path() + "/" + std::to_string(options.id.value),
                                     partition_identity(id(), options.id), std::move(log_options));
  // Of what cannot be read it is not known what it holds, so it is stopped as damage is; one that
  // cannot be made is not there.
  if (!log && (is_damage(log.error().code) || (was_there && log.error().code == Errc::io_error))) {
    partitions_.push_back(std::make_shared<CorruptPartition>(options.id, log.error()));
    return {};
  }
  if (!log) return std::unexpected(log.error());
  if (const auto& torn = (*log)->torn_tail()) {
    recovered_.push_back({name_, options.id, torn->bytes, torn->file, torn->position, torn->batch,
                          torn->copy, torn->no_copy});
  }
  std::shared_ptr<LogPartition> partition;
  if (options.replica) {
    partition = LogPartition::open_replica(environment, *std::move(log), options, maintenance);
  } else {
    KEELSON_TRY_ASSIGN(partition,
                       LogPartition::open(environment, *std::move(log), options, maintenance));
  }
  open_.push_back(partition);
  partitions_.push_back(std::move(partition));
  return {};
}

std::vector<std::shared_ptr<LogPartition>> LogTopic::open_partitions() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

TopicOptions LogTopic::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

Result<void> LogTopic::set_retention(const log::Retention& retention) {
  const std::lock_guard one_at_a_time(changing_mutex_);
  const TopicRecord before{id_, options()};
  TopicRecord changed = before;
  changed.options.retention = retention;
  KEELSON_TRY(check_topic_options(changed.options));
  if (auto written = folder_.finish(changed); !written) {
    // It may be there all the same, and must not be found by the next start.
    if (auto restored = folder_.finish(before); !restored) {
      return fail(Errc::outcome_unknown,
                  "the retention of '" + name_ + "' after a restart: " + written.error().context);
    }
    return written;
  }
  const std::lock_guard lock(mutex_);
  options_ = std::move(changed).options;
  for (const auto& partition : open_) partition->set_retention(retention);
  return {};
}

void LogTopic::start_retention() {
  const std::lock_guard lock(mutex_);
  for (const auto& partition : open_) partition->start_retention();
}

void LogTopic::close() {
  std::vector<std::shared_ptr<LogPartition>> open;
  {
    const std::lock_guard lock(mutex_);
    open.swap(open_);
  }
  // All at once: each has something to sync.
  std::vector<std::promise<void>> closed(open.size());
  for (std::size_t i = 0; i < open.size(); ++i) {
    open[i]->close([&done = closed[i]] { done.set_value(); });
  }
  for (std::size_t i = 0; i < open.size(); ++i) {
    closed[i].get_future().wait();
    // The worker may still be on its way out of the call that answered the last commit.
    std::promise<void> idle;
    open[i]->when_idle([&idle] { idle.set_value(); });
    idle.get_future().wait();
  }
}

}  // namespace keelson
