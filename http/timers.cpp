#include "http/timers.h"

#include <cstdint>
#include <utility>

namespace keelson::http {

using SteadyClock = std::chrono::steady_clock;

class ThreadTimers::State {
 public:
  using Key = std::pair<SteadyClock::time_point, std::uint64_t>;

  /// Of a `task` that is left nothing was added: there is no thread any more to run it.
  Key add(std::chrono::milliseconds delay, Task& task) {
    const std::lock_guard lock(mutex_);
    const Key key{SteadyClock::now() + delay, ++last_id_};
    if (stopping_) return key;
    const auto added = waiting_.emplace(key, std::exchange(task, nullptr)).first;
    if (added == waiting_.begin()) wake_.notify_all();
    return key;
  }

  /// On return the task is not running and will not run, unless it is the caller.
  void cancel(const Key& key) {
    Task dropped;  // destroyed outside of the lock: what it owns may come back here
    std::unique_lock lock(mutex_);
    if (const auto found = waiting_.find(key); found != waiting_.end()) {
      dropped = std::move(found->second);
      waiting_.erase(found);
      lock.unlock();
      return;
    }
    if (std::this_thread::get_id() == thread_) return;
    idle_.wait(lock, [&] { return running_ != key.second; });
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }

  void run() {
    std::unique_lock lock(mutex_);
    thread_ = std::this_thread::get_id();
    while (!stopping_) {
      if (waiting_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const Key first = waiting_.begin()->first;
      if (first.first > SteadyClock::now()) {
        wake_.wait_until(lock, first.first);
        continue;
      }
      Task task = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      running_ = first.second;
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
      running_ = 0;
      idle_.notify_all();
    }
    auto dropped = std::exchange(waiting_, {});
    lock.unlock();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::map<Key, Task> waiting_;
  std::uint64_t last_id_ = 0;
  std::uint64_t running_ = 0;
  std::thread::id thread_;
  bool stopping_ = false;
};

class ThreadTimers::Entry final : public Registration {
 public:
  Entry(std::shared_ptr<State> state, State::Key key) : state_(std::move(state)), key_(key) {}
  ~Entry() override { state_->cancel(key_); }

 private:
  std::shared_ptr<State> state_;
  State::Key key_;
};

ThreadTimers::ThreadTimers()
    : state_(std::make_shared<State>()), thread_([state = state_] { state->run(); }) {}

ThreadTimers::~ThreadTimers() { stop(); }

void ThreadTimers::stop() {
  state_->stop();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<Registration> ThreadTimers::after(std::chrono::milliseconds delay, Task task) {
  return std::make_unique<Entry>(state_, state_->add(delay, task));
}

}  // namespace keelson::http
