#include <atomic>
#include <mutex>
#include <optional>

#include "http/services.h"

namespace keelson::http {

namespace {

/// One wait: the first of three wake-ups takes it, and the others are let go.
///
/// A wake-up may come while the others are still being set up, on this or another thread; it is
/// then only noted, and the one who sets up finishes. No registration is dropped under the lock, as
/// dropping waits for a task that may itself be waiting for the lock.
class Wait : public std::enable_shared_from_this<Wait> {
 public:
  using Done = std::move_only_function<void(Woken)>;

  Wait(WorkPool& work, Done done) : work_(work), done_(std::move(done)) {}

  void start(Timers& timers, std::chrono::milliseconds time, const std::stop_token& interrupted,
             const std::function<std::unique_ptr<Registration>(Task)>& arm) {
    const auto self = shared_from_this();
    event_ = arm([self] { self->wake(Woken::event); });
    timer_ = timers.after(time, [self] { self->wake(Woken::timeout); });
    interruption_.emplace(interrupted, [self] { self->wake(Woken::interrupted); });
    std::unique_lock lock(mutex_);
    armed_ = true;
    if (!woken_) return;
    lock.unlock();
    finish();
  }

 private:
  void wake(Woken why) {
    std::unique_lock lock(mutex_);
    if (woken_) return;
    woken_ = why;
    if (!armed_) return;
    lock.unlock();
    finish();
  }

  /// Once: by whoever woke it first, or by `start`.
  void finish() {
    work_.post_ending([self = shared_from_this()] { self->complete(); });
  }

  void complete() {
    // These own this object in turn: without letting go of them it would never be freed.
    event_.reset();
    timer_.reset();
    interruption_.reset();
    done_(*woken_);
    done_ = nullptr;
  }

  WorkPool& work_;
  Done done_;
  std::unique_ptr<Registration> event_;
  std::unique_ptr<Registration> timer_;
  std::optional<std::stop_callback<std::function<void()>>> interruption_;
  std::mutex mutex_;  // of what follows
  bool armed_ = false;
  std::optional<Woken> woken_;
};

}  // namespace

void wait_for(Services& services, std::chrono::milliseconds time, std::stop_token interrupted,
              const std::function<std::unique_ptr<Registration>(Task)>& arm,
              std::move_only_function<void(Woken)> done) {
  std::make_shared<Wait>(services.work, std::move(done))
      ->start(services.timers, time, interrupted, arm);
}

}  // namespace keelson::http
