#include "projections/progress.h"

#include <algorithm>
#include <utility>

namespace keelson::projections {

/// Fires once or is cancelled. The mutex is held while the task runs, so that cancelling waits for
/// it; recursive, because the task itself may cancel.
class Progress::Waiter {
 public:
  Waiter(Position position, Task task) : position_(std::move(position)), task_(std::move(task)) {}

  [[nodiscard]] const Position& position() const { return position_; }

  void fire() {
    const std::lock_guard lock(mutex_);
    if (Task task = std::exchange(task_, nullptr)) task();
  }

  void cancel() {
    const std::lock_guard lock(mutex_);
    task_ = nullptr;
  }

 private:
  const Position position_;
  std::recursive_mutex mutex_;
  Task task_;
};

class Progress::WaiterRegistration final : public Registration {
 public:
  WaiterRegistration(Progress& progress, std::shared_ptr<Waiter> waiter)
      : progress_(progress), waiter_(std::move(waiter)) {}
  ~WaiterRegistration() override {
    waiter_->cancel();
    progress_.forget(waiter_);
  }

 private:
  Progress& progress_;
  std::shared_ptr<Waiter> waiter_;
};

Position Progress::applied() const {
  const std::lock_guard lock(mutex_);
  return applied_;
}

void Progress::advance(PartitionId partition, Offset next) {
  std::vector<std::shared_ptr<Waiter>> met;
  {
    const std::lock_guard lock(mutex_);
    applied_.set_next(partition, next);
    std::erase_if(waiters_, [&](const std::shared_ptr<Waiter>& waiter) {
      if (!applied_.covers(waiter->position())) return false;
      met.push_back(waiter);
      return true;
    });
  }
  for (const auto& waiter : met) waiter->fire();
}

std::unique_ptr<Registration> Progress::when_applied(Position position, Task task) {
  auto waiter = std::make_shared<Waiter>(std::move(position), std::move(task));
  bool met = false;
  {
    const std::lock_guard lock(mutex_);
    met = applied_.covers(waiter->position());
    if (!met) waiters_.push_back(waiter);
  }
  if (met) waiter->fire();
  return std::make_unique<WaiterRegistration>(*this, std::move(waiter));
}

void Progress::forget(const std::shared_ptr<Waiter>& waiter) {
  const std::lock_guard lock(mutex_);
  std::erase(waiters_, waiter);
}

}  // namespace keelson::projections
