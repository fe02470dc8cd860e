#include "engine/replication/local_coordinator.h"

#include <utility>

#include "engine/replication/record_watcher.h"

namespace keelson::replication {

struct LocalCoordinator::Watcher : RecordWatcher {
  Watcher(std::string prefix_, std::function<void(const Change&)> changed)
      : RecordWatcher(std::move(changed)), prefix(std::move(prefix_)) {}

  const std::string prefix;
};

class LocalCoordinator::Present final : public Presence {
 public:
  Present(LocalCoordinator& coordinator, std::string key)
      : coordinator_(coordinator), key_(std::move(key)) {}
  ~Present() override { coordinator_.put(key_, std::nullopt); }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;

 private:
  LocalCoordinator& coordinator_;
  const std::string key_;
};

void LocalCoordinator::get(std::string key, Read done) {
  std::optional<Record> record;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = records_.find(key); found != records_.end()) record = found->second;
  }
  done(std::move(record));
}

/// With the mutex held.
std::vector<std::shared_ptr<LocalCoordinator::Watcher>> LocalCoordinator::watchers_of(
    const std::string& key) {
  std::vector<std::shared_ptr<Watcher>> told;
  std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
  for (const auto& weak : watchers_) {
    auto watcher = weak.lock();
    if (watcher && key.starts_with(watcher->prefix)) told.push_back(std::move(watcher));
  }
  return told;
}

void LocalCoordinator::compare_and_set(std::string key, std::optional<Record> expected,
                                       std::string value, Swap done) {
  Swapped result;
  std::vector<std::shared_ptr<Watcher>> told;
  {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(key);
    const bool there = found != records_.end();
    if (there ? found->second == expected : !expected) {
      result.swapped = true;
      result.current = records_[key] = Record{std::move(value), ++last_};
      told = watchers_of(key);
    } else if (there) {
      result.current = found->second;
    }
  }
  for (const auto& watcher : told) watcher->tell({key, result.current});
  done(std::move(result));
}

void LocalCoordinator::put(const std::string& key, std::optional<std::string> value) {
  std::optional<Record> record;
  std::vector<std::shared_ptr<Watcher>> told;
  {
    const std::lock_guard lock(mutex_);
    ++last_;
    if (value) {
      record = records_[key] = Record{*std::move(value), last_};
    } else {
      records_.erase(key);
    }
    told = watchers_of(key);
  }
  for (const auto& watcher : told) watcher->tell({key, record});
}

std::unique_ptr<Coordinator::Watch> LocalCoordinator::watch(
    std::string prefix, std::function<void(const Change&)> changed) {
  auto watcher = std::make_shared<Watcher>(std::move(prefix), std::move(changed));
  std::vector<Change> now;
  {
    const std::lock_guard lock(mutex_);
    watchers_.push_back(watcher);
    for (const auto& [key, record] : records_) {
      if (key.starts_with(watcher->prefix)) now.push_back({key, record});
    }
  }
  for (const Change& change : now) watcher->tell(change);
  return std::make_unique<RecordWatch>(std::move(watcher));
}

std::unique_ptr<Coordinator::Presence> LocalCoordinator::appear(std::string key, std::string value,
                                                                std::chrono::seconds,
                                                                std::optional<Record>) {
  put(key, std::move(value));
  return std::make_unique<Present>(*this, std::move(key));
}

}  // namespace keelson::replication
