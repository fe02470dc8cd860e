#include "engine/replication/local_coordinator.h"

namespace keelson::replication {

struct LocalCoordinator::Watcher {
  std::string prefix;
  std::function<void(const std::string&, const Record&)> changed;
};

class LocalCoordinator::Watching final : public Watch {
 public:
  explicit Watching(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}

 private:
  std::shared_ptr<Watcher> watcher_;
};

void LocalCoordinator::get(std::string key, Read done) {
  std::optional<Record> record;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = records_.find(key); found != records_.end()) record = found->second;
  }
  done(std::move(record));
}

void LocalCoordinator::compare_and_set(std::string key, Revision expected, std::string value,
                                       Swap done) {
  Swapped result;
  std::vector<std::shared_ptr<Watcher>> told;
  {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(key);
    const Revision current = found == records_.end() ? Revision(0) : found->second.revision;
    if (current == expected) {
      result.swapped = true;
      result.current = records_[key] = Record{std::move(value), ++last_};
      std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
      for (const auto& weak : watchers_) {
        const auto watcher = weak.lock();
        if (watcher && key.starts_with(watcher->prefix)) told.push_back(watcher);
      }
    } else if (found != records_.end()) {
      result.current = found->second;
    }
  }
  for (const auto& watcher : told) watcher->changed(key, *result.current);
  done(std::move(result));
}

std::unique_ptr<Coordinator::Watch> LocalCoordinator::watch(
    std::string prefix, std::function<void(const std::string& key, const Record&)> changed) {
  auto watcher = std::make_shared<Watcher>(std::move(prefix), std::move(changed));
  std::vector<std::pair<std::string, Record>> now;
  {
    const std::lock_guard lock(mutex_);
    watchers_.push_back(watcher);
    for (const auto& [key, record] : records_) {
      if (key.starts_with(watcher->prefix)) now.emplace_back(key, record);
    }
  }
  for (const auto& [key, record] : now) watcher->changed(key, record);
  return std::make_unique<Watching>(std::move(watcher));
}

}  // namespace keelson::replication
