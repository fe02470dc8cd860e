#include "engine/store/tail_waiters.h"

namespace keelson {

struct TailWaiters::Entry {
  std::recursive_mutex mutex;  // recursive: the task may drop its own registration
  Task task;
};

class TailWaiters::Handle final : public Registration {
 public:
  Handle(std::weak_ptr<TailWaiters> waiters, std::shared_ptr<Entry> entry, Offset offset)
      : waiters_(std::move(waiters)), entry_(std::move(entry)), offset_(offset) {}

  ~Handle() override {
    if (const auto waiters = waiters_.lock()) {
      const std::lock_guard lock(waiters->mutex_);
      auto [first, last] = waiters->entries_.equal_range(offset_);
      for (; first != last; ++first) {
        if (first->second == entry_) {
          waiters->entries_.erase(first);
          break;
        }
      }
    }
    Task dropped;  // destroyed after the lock is released
    const std::lock_guard lock(entry_->mutex);
    dropped = std::move(entry_->task);
    entry_->task = nullptr;
  }

 private:
  std::weak_ptr<TailWaiters> waiters_;
  std::shared_ptr<Entry> entry_;
  Offset offset_;
};

std::unique_ptr<Registration> TailWaiters::add(Offset offset, Task task) {
  auto entry = std::make_shared<Entry>();
  entry->task = std::move(task);
  auto handle = std::make_unique<Handle>(weak_from_this(), entry, offset);
  {
    const std::lock_guard lock(mutex_);
    // `advance` raises end_ before it takes the lock, so one of the two sees the other.
    if (end_.load() <= offset.value) {
      entries_.emplace(offset, std::move(entry));
      return handle;
    }
  }
  const std::lock_guard lock(entry->mutex);
  Task now = std::move(entry->task);
  entry->task = nullptr;
  now();
  return handle;
}

void TailWaiters::advance(Offset end) {
  end_.store(end.value);
  std::vector<std::shared_ptr<Entry>> due;
  {
    const std::lock_guard lock(mutex_);
    const auto last = entries_.lower_bound(end);
    for (auto it = entries_.begin(); it != last; ++it) due.push_back(std::move(it->second));
    entries_.erase(entries_.begin(), last);
  }
  run(due);
}

void TailWaiters::wake_all() {
  std::vector<std::shared_ptr<Entry>> due;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [offset, entry] : entries_) due.push_back(std::move(entry));
    entries_.clear();
  }
  run(due);
}

void TailWaiters::run(const std::vector<std::shared_ptr<Entry>>& due) {
  for (const auto& entry : due) {
    const std::lock_guard lock(entry->mutex);
    if (!entry->task) continue;
    Task task = std::move(entry->task);
    entry->task = nullptr;
    task();
  }
}

}  // namespace keelson
