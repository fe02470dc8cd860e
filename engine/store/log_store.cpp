// The store of one node.
//
//   FOLDER/keelson.lock            held while the store is open
//   FOLDER/topics/NAME/            a topic: see TopicFolder
//   FOLDER/topics/NAME/P/          the log of partition P
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "engine/io/file_system.h"
#include "engine/log/open_segment.h"
#include "engine/store/log_topic.h"
#include "engine/store/names.h"
#include "engine/store/replica_store.h"
#include "engine/store/topic_folder.h"

namespace keelson {

namespace {

std::unexpected<Error> other_options(const std::string& name) {
  return fail(Errc::already_exists, "topic '" + name + "' exists with other options");
}

/// What can be a topic's folder, whatever the limits were when it was made.
bool is_topic_name(const std::string& name) {
  Limits widest;
  widest.name_bytes_max = UINT16_MAX;
  return check_topic_name(name, widest).has_value();
}

class LogStore final : public ReplicaStore {
 public:
  LogStore(Environment environment, StoreOptions options, CommittedBy committed_by,
           std::unique_ptr<io::FolderLock> lock)
      : environment_(environment),
        options_(std::move(options)),
        committed_by_(committed_by),
        lock_(std::move(lock)),
        open_segments_(std::make_shared<log::OpenSegments>(options_.open_segments_max,
                                                           options_.decompressed_bytes_max)) {}

  ~LogStore() override { close(); }

  Result<void> open_topics() {
    KEELSON_TRY(environment_.files.create_folders(topics_folder()));
    KEELSON_TRY_ASSIGN(const auto names, environment_.files.list(topics_folder()));
    for (const auto& name : names) {
      if (!is_topic_name(name)) continue;  // `lost+found`, say
      auto record = look_at(name);
      if (!record && record.error().code == Errc::not_found) {
        strays_.push_back(name);
        continue;
      }
      // Whatever it is that cannot be read stops what it belongs to, and nothing else.
      if (!record) {
        damaged_.push_back({name, std::nullopt, std::move(record).error()});
        continue;
      }
      if (!*record) continue;  // a crash while it was made; `create_topic` begins again
      KEELSON_TRY(open_topic(name, **record));
    }
    return {};
  }

  const StoreOptions& options() const override { return options_; }
  const std::vector<RecoveryReport>& recovered() const override { return recovered_; }
  const std::vector<std::string>& strays() const override { return strays_; }

  Result<Topic*> create_topic(const std::string& name, const TopicOptions& options) override {
    if (options.replication_factor > 1) {
      return fail(Errc::bad_request, "replication_factor " +
                                         std::to_string(options.replication_factor) +
                                         ": this node is not in a cluster");
    }
    return find_or_make(name, options, std::nullopt);
  }

  Result<Topic*> adopt_topic(const std::string& name, const TopicRecord& record) override {
    KEELSON_TRY_ASSIGN(Topic* const topic, find_or_make(name, record.options, record.id));
    if (topic->id() == record.id) return topic;
    return fail(Errc::already_exists, "the topic '" + name +
                                          "' in this data folder is another one: " +
                                          to_hex(topic->id()) + ", not " + to_hex(record.id));
  }

  std::vector<std::shared_ptr<LogPartition>> replicas(std::string_view name) override {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find(name);
    if (found == topics_.end()) return {};
    return found->second->open_partitions();
  }

  void set_whereabouts(std::string_view name, PartitionId partition, bool replica,
                       std::vector<std::string> others) override {
    LogTopic* topic = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = topics_.find(name); found != topics_.end()) {
        topic = found->second.get();
      }
    }
    if (topic == nullptr || partition.value >= topic->partition_count()) return;
    topic->partition(partition).set_whereabouts(replica, std::move(others));
  }

  std::string partition_folder(std::string_view topic, PartitionId partition) const override {
    return topics_folder() + "/" + std::string(topic) + "/" + std::to_string(partition.value);
  }

  Topic* find_topic(std::string_view name) override {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second.get();
  }

  Result<Topic*> topic(std::string_view name) override {
    if (Topic* const found = find_topic(name)) return found;
    for (const Damage& damage : damaged_) {
      if (damage.topic == name) return std::unexpected(damage.error);
    }
    return fail(Errc::not_found, "there is no topic '" + std::string(name) + "'");
  }

  std::vector<Topic*> topics() override {
    const std::lock_guard lock(mutex_);
    std::vector<Topic*> all;
    for (const auto& [name, topic] : topics_) all.push_back(topic.get());
    return all;
  }

  std::vector<Damage> damage() override {
    std::vector<Damage> found = damaged_;
    for (Topic* const topic : topics()) {
      for (std::uint32_t p = 0; p < topic->partition_count(); ++p) {
        const auto health = topic->partition(PartitionId(p)).health();
        if (!health) found.push_back({topic->name(), PartitionId(p), health.error()});
      }
    }
    return found;
  }

  void start_retention() override {
    const std::lock_guard lock(mutex_);
    retaining_ = true;
    for (const auto& [name, topic] : topics_) topic->start_retention();
  }

  void close() override {
    const std::lock_guard one_at_a_time(closing_mutex_);
    std::vector<LogTopic*> open;
    {
      std::unique_lock lock(mutex_);
      if (closed_) return;
      closed_ = true;
      made_.wait(lock, [&] { return making_.empty(); });
      for (const auto& [name, topic] : topics_) open.push_back(topic.get());
    }
    for (LogTopic* const topic : open) topic->close();
  }

 private:
  /// @param id  of a topic that is to be made; none: a new one.
  [[nodiscard]] Result<Topic*> find_or_make(const std::string& name, const TopicOptions& options,
                                            const std::optional<Uuid>& id) {
    KEELSON_TRY(check_topic_name(name, options_.limits));
    KEELSON_TRY(check_topic_options(options));
    std::unique_lock lock(mutex_);
    made_.wait(lock, [&] { return !making_.contains(name); });
    if (closed_) return fail(Errc::closed, "the store is shutting down");
    if (const auto found = topics_.find(name); found != topics_.end()) {
      LogTopic* const topic = found->second.get();
      lock.unlock();
      return change(*topic, options);
    }
    for (const Damage& damage : damaged_) {
      if (damage.topic == name) return std::unexpected(damage.error);
    }
    // Many files are filled and synced now: nobody else is to wait for that.
    making_.insert(name);
    lock.unlock();
    auto topic = make_topic(name, options, id);
    lock.lock();
    making_.erase(name);
    made_.notify_all();
    if (!topic) return std::unexpected(std::move(topic).error());
    LogTopic* const made = topics_.emplace(name, *std::move(topic)).first->second.get();
    if (retaining_) made->start_retention();
    return made;
  }

  /// Gives an existing topic the retention of `options`, if that is all that differs.
  [[nodiscard]] static Result<Topic*> change(LogTopic& topic, const TopicOptions& options) {
    TopicOptions now = topic.options();
    if (now == options) return &topic;
    now.retention = options.retention;
    if (now != options) return other_options(topic.name());
    KEELSON_TRY(topic.set_retention(options.retention));
    return &topic;
  }

  [[nodiscard]] Result<std::unique_ptr<LogTopic>> make_topic(const std::string& name,
                                                             const TopicOptions& options,
                                                             const std::optional<Uuid>& id) {
    const TopicFolder folder = folder_of(name);
    KEELSON_TRY(environment_.files.create_folders(folder.path()));
    // An earlier call may have come further than it knew: its last step failed.
    KEELSON_TRY_ASSIGN(const auto known, folder.load());
    const TopicRecord record =
        known.value_or(TopicRecord{id ? *id : make_uuid(environment_.random), options});
    if (record.options != options) return other_options(name);
    if (!known) KEELSON_TRY(folder.begin());
    KEELSON_TRY_ASSIGN(
        auto topic,
        LogTopic::open(environment_, options_, open_segments_, folder.path(), name, record,
                       known ? log::Opening::existing : log::Opening::make_if_missing,
                       committed_by_));
    if (!known) KEELSON_TRY(folder.finish(record));
    return topic;
  }

  [[nodiscard]] std::string topics_folder() const { return options_.folder + "/topics"; }
  [[nodiscard]] TopicFolder folder_of(const std::string& name) const {
    return TopicFolder(environment_.files, topics_folder() + "/" + name);
  }

  /// The record of what is called `name` where the topics are, or nothing of one half made.
  /// @error not_found  it is no folder.
  [[nodiscard]] Result<std::optional<TopicRecord>> look_at(const std::string& name) const {
    const TopicFolder folder = folder_of(name);
    KEELSON_TRY_ASSIGN(const bool is_folder, environment_.files.is_folder(folder.path()));
    if (!is_folder) return fail(Errc::not_found, folder.path() + " is no folder");
    auto record = folder.load();
    // Something of it has gone meanwhile: it is not for us to say that there was never anything.
    if (!record && record.error().code == Errc::not_found) {
      return fail(Errc::io_error, record.error().context);
    }
    return record;
  }

  Result<void> open_topic(const std::string& name, const TopicRecord& record) {
    KEELSON_TRY_ASSIGN(
        auto topic, LogTopic::open(environment_, options_, open_segments_, folder_of(name).path(),
                                   name, record, log::Opening::existing, committed_by_));
    recovered_.insert(recovered_.end(), topic->recovered().begin(), topic->recovered().end());
    topics_.emplace(name, std::move(topic));
    return {};
  }

  Environment environment_;
  StoreOptions options_;
  const CommittedBy committed_by_;
  std::unique_ptr<io::FolderLock> lock_;
  std::shared_ptr<log::OpenSegments> open_segments_;
  std::vector<RecoveryReport> recovered_;
  std::vector<std::string> strays_;
  std::vector<Damage> damaged_;  ///< topics; written by `open_topics` alone
  std::mutex closing_mutex_;     ///< held by `close`, before the other
  std::mutex mutex_;             ///< of all that follows; never held while a disk is waited for
  std::condition_variable made_;
  bool closed_ = false;
  bool retaining_ = false;
  std::set<std::string> making_;  ///< names that `create_topic` is making
  std::map<std::string, std::unique_ptr<LogTopic>, std::less<>> topics_;
};

Result<std::unique_ptr<LogStore>> open_store(Environment environment, StoreOptions options,
                                             CommittedBy committed_by) {
  KEELSON_TRY(check_limits(options));
  KEELSON_TRY(environment.files.create_folders(options.folder));
  if (committed_by == CommittedBy::this_node) {
    const std::string node_file = options.folder + "/" + std::string(kNodeFile);
    KEELSON_TRY_ASSIGN(const bool of_cluster, environment.files.exists(node_file));
    if (of_cluster) {
      return fail(Errc::bad_request,
                  options.folder +
                      " is of a node of a cluster, whose log others have as well: "
                      "serve it as that node, or a copy of it without " +
                      std::string(kNodeFile));
    }
  }
  KEELSON_TRY_ASSIGN(auto lock, environment.files.lock(options.folder, kFolderLock));
  auto store =
      std::make_unique<LogStore>(environment, std::move(options), committed_by, std::move(lock));
  KEELSON_TRY(store->open_topics());
  if (!store->options().retention_waits) store->start_retention();
  return store;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(Environment environment, StoreOptions options) {
  return open_store(environment, std::move(options), CommittedBy::this_node);
}

Result<std::unique_ptr<ReplicaStore>> ReplicaStore::open(Environment environment,
                                                         StoreOptions options) {
  return open_store(environment, std::move(options), CommittedBy::replicas);
}

}  // namespace keelson
