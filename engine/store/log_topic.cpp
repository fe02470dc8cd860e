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
    TopicRecord record, log::Opening opening) {
  auto topic = std::unique_ptr<LogTopic>(
      new LogTopic(TopicFolder(environment.files, folder), std::move(name), std::move(record)));
  const auto maintenance = environment.scheduler.make_worker("maintain");
  const auto compression = topic->options().sealed_codec == log::Codec::none
                               ? nullptr
                               : environment.scheduler.make_background_worker("compress");
  for (std::uint32_t p = 0; p < topic->options().partitions; ++p) {
    const PartitionId id(p);
    const std::string partition_folder = folder + "/" + std::to_string(p);
    auto log = log::PartitionLog::open(environment.files, partition_folder,
                                       partition_identity(topic->id(), id),
                                       {.segment_bytes = topic->options().segment_bytes,
                                        .opening = opening,
                                        .retention = topic->options().retention,
                                        .codec = topic->options().codec,
                                        .sealed_codec = topic->options().sealed_codec,
                                        .open_segments = open_segments});
    if (!log && is_damage(log.error().code)) {
      topic->partitions_.push_back(std::make_shared<CorruptPartition>(id, log.error()));
      continue;
    }
    if (!log) return std::unexpected(log.error());
    if (const auto& torn = (*log)->torn_tail()) {
      topic->recovered_.push_back({topic->name_, id, torn->bytes, torn->file, torn->position});
    }
    LogPartitionOptions options;
    options.id = id;
    options.partitions = topic->options().partitions;
    options.durability = topic->options().durability;
    options.retention = topic->options().retention;
    options.compression = compression;
    options.limits = store.limits;
    options.pending_bytes_max = store.pending_bytes_max;
    options.batch_bytes_max = store.batch_bytes_max;
    if (const auto& changed = store.on_maintenance_change) {
      options.on_maintenance_change = [changed, name = topic->name_, id](
                                          Maintenance work, const std::optional<Error>& failing) {
        changed({name, id, work, failing});
      };
    }
    KEELSON_TRY_ASSIGN(auto partition,
                       LogPartition::open(environment, *std::move(log), options, maintenance));
    topic->open_.push_back(partition);
    topic->partitions_.push_back(std::move(partition));
  }
  return topic;
}

TopicOptions LogTopic::options() const {
  const std::lock_guard lock(mutex_);
  return record_.options;
}

Result<void> LogTopic::set_retention(const log::Retention& retention) {
  const std::lock_guard one_at_a_time(changing_mutex_);
  const TopicRecord before{record_.id, options()};
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
  record_ = std::move(changed);
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
