// The store of one node.
//
//   FOLDER/keelson.lock            held while the store is open
//   FOLDER/topics/NAME/topic.meta  written last when a topic is made: without it the rest is debris
//   FOLDER/topics/NAME/P/          the log of partition P
#include <algorithm>
#include <map>
#include <mutex>

#include "engine/io/file_system.h"
#include "engine/store/log_topic.h"
#include "engine/store/names.h"
#include "engine/store/store.h"

namespace keelson {

namespace {

constexpr std::string_view kLockName = "keelson.lock";
constexpr std::uint64_t kTopicRecordBytesMax = 4096;
constexpr std::uint32_t kPartitionsMax = 1024;
constexpr std::uint64_t kSegmentBytesMin = 1u << 20;
constexpr std::uint64_t kSegmentBytesMax = 1u << 30;

Result<void> check_options(const TopicOptions& options) {
  if (options.partitions < 1 || options.partitions > kPartitionsMax) {
    return fail(Errc::bad_request, "partitions must be 1…" + std::to_string(kPartitionsMax));
  }
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax) {
    return fail(Errc::bad_request, "segment_bytes must be 1 MiB…1 GiB");
  }
  return {};
}

class LogStore final : public Store {
 public:
  LogStore(Environment environment, StoreOptions options, std::unique_ptr<io::FolderLock> lock)
      : environment_(environment), options_(std::move(options)), lock_(std::move(lock)) {}

  ~LogStore() override { close(); }

  Result<void> open_topics() {
    KEELSON_TRY(environment_.files.create_folders(topics_folder()));
    KEELSON_TRY_ASSIGN(const auto names, environment_.files.list(topics_folder()));
    for (const auto& name : names) {
      KEELSON_TRY_ASSIGN(const bool made, environment_.files.exists(record_path(name)));
      if (!made) continue;  // a crash while it was made; `create_topic` begins again
      KEELSON_TRY_ASSIGN(
          const std::string text,
          io::read_file(environment_.files, record_path(name), kTopicRecordBytesMax));
      auto record = decode_topic_record(text);
      if (!record)
        return fail(record.error().code, record_path(name) + ": " + record.error().context);
      KEELSON_TRY(open_topic(name, *record));
    }
    return {};
  }

  const StoreOptions& options() const override { return options_; }
  const std::vector<RecoveryReport>& recovered() const override { return recovered_; }

  Result<Topic*> create_topic(const std::string& name, const TopicOptions& options) override {
    KEELSON_TRY(check_topic_name(name, options_.limits));
    KEELSON_TRY(check_options(options));
    const std::lock_guard lock(mutex_);
    if (closed_) return fail(Errc::closed, "the store is shutting down");
    if (const auto found = topics_.find(name); found != topics_.end()) {
      if (found->second->options() == options) return found->second.get();
      return fail(Errc::already_exists, "topic '" + name + "' exists with other options");
    }
    KEELSON_TRY_ASSIGN(const bool debris, environment_.files.exists(topic_folder(name)));
    if (debris) KEELSON_TRY(environment_.files.remove_all(topic_folder(name)));
    KEELSON_TRY(environment_.files.create_folders(topic_folder(name)));
    const TopicRecord record{make_uuid(environment_.random), options};
    KEELSON_TRY(open_topic(name, record));
    auto written =
        io::replace_file(environment_.files, record_path(name), encode_topic_record(record));
    if (!written) {
      topics_.erase(name);
      return std::unexpected(written.error());
    }
    return topics_.find(name)->second.get();
  }

  Topic* find_topic(std::string_view name) override {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second.get();
  }

  std::vector<Topic*> topics() override {
    const std::lock_guard lock(mutex_);
    std::vector<Topic*> all;
    for (const auto& [name, topic] : topics_) all.push_back(topic.get());
    return all;
  }

  void close() override {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    for (const auto& [name, topic] : topics_) topic->close();
  }

 private:
  [[nodiscard]] std::string topics_folder() const { return options_.folder + "/topics"; }
  [[nodiscard]] std::string topic_folder(const std::string& name) const {
    return topics_folder() + "/" + name;
  }
  [[nodiscard]] std::string record_path(const std::string& name) const {
    return topic_folder(name) + "/topic.meta";
  }

  Result<void> open_topic(const std::string& name, const TopicRecord& record) {
    KEELSON_TRY_ASSIGN(auto topic,
                       LogTopic::open(environment_, options_, topic_folder(name), name, record));
    recovered_.insert(recovered_.end(), topic->recovered().begin(), topic->recovered().end());
    topics_.emplace(name, std::move(topic));
    return {};
  }

  Environment environment_;
  StoreOptions options_;
  std::unique_ptr<io::FolderLock> lock_;
  std::vector<RecoveryReport> recovered_;
  std::mutex mutex_;
  bool closed_ = false;
  std::map<std::string, std::unique_ptr<LogTopic>, std::less<>> topics_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(Environment environment, StoreOptions options) {
  KEELSON_TRY(environment.files.create_folders(options.folder));
  KEELSON_TRY_ASSIGN(auto lock, environment.files.lock(options.folder, kLockName));
  auto store = std::make_unique<LogStore>(environment, std::move(options), std::move(lock));
  KEELSON_TRY(store->open_topics());
  return store;
}

}  // namespace keelson
