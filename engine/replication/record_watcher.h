// What the coordinators' watches have in common.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/replication/coordinator.h"

namespace keelson::replication {

/// Stands between who reports changes and a watch that may be dropped meanwhile, on another thread
/// or by what it calls. Thread-safe; changes are told one at a time.
class RecordWatcher {
 public:
  explicit RecordWatcher(std::function<void(const Coordinator::Change&)> changed)
      : changed_(std::move(changed)) {}

  /// @return whether there is more to be told: not once it is dropped.
  bool tell(const Coordinator::Change& change) {
    const std::lock_guard lock(mutex_);
    if (!dropped_) changed_(change);
    return !dropped_;
  }
  [[nodiscard]] bool dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
  }
  /// When it returns, nothing is being told any more, unless this is called by what was told.
  void drop() {
    const std::lock_guard lock(mutex_);
    dropped_ = true;
  }

 private:
  mutable std::recursive_mutex mutex_;  ///< held while a change is told
  bool dropped_ = false;
  const std::function<void(const Coordinator::Change&)> changed_;
};

/// Drops its watcher at its own end.
class RecordWatch final : public Coordinator::Watch {
 public:
  explicit RecordWatch(std::shared_ptr<RecordWatcher> watcher) : watcher_(std::move(watcher)) {}
  ~RecordWatch() override { watcher_->drop(); }
  RecordWatch(const RecordWatch&) = delete;
  RecordWatch& operator=(const RecordWatch&) = delete;

 private:
  const std::shared_ptr<RecordWatcher> watcher_;
};

}  // namespace keelson::replication
