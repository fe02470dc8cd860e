#include "engine/base/thread_scheduler.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include "engine/base/check.h"

namespace keelson {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Tasks one thread runs for a strand before it hands the rest to the pool.
constexpr int kTasksPerTurn = 256;

void name_this_thread(const std::string& name) {
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());  // the kernel's limit is 15
}

/// Who is served first when both want a processor.
enum class Share { full, background };

/// Leaves about nine parts of ten of a processor to threads of full share that want it. On Linux a
/// thread has a niceness of its own, whatever POSIX says of processes.
constexpr int kBackgroundNice = 10;

void give_way() {
  ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + kBackgroundNice);
}

}  // namespace

/// Threads that run ready tasks, and one thread that waits for delayed ones.
class ThreadScheduler::Pool {
 public:
  explicit Pool(unsigned threads) {
    KEELSON_ASSERT(threads > 0);
    for (unsigned i = 0; i < threads; ++i) {
      threads_.emplace_back([this, i] {
        name_this_thread("pool-" + std::to_string(i));
        run();
      });
    }
    timer_ = std::thread([this] {
      name_this_thread("timer");
      run_timer();
    });
  }

  void submit(Task task) {
    {
      const std::lock_guard lock(mutex_);
      ready_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

  void submit_after(std::chrono::nanoseconds delay, Task task) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      delayed_.push_back({std::chrono::steady_clock::now() + delay, order_++, std::move(task)});
      std::push_heap(delayed_.begin(), delayed_.end(), later);
    }
    timer_wake_.notify_one();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      delayed_.clear();
    }
    wake_.notify_all();
    timer_wake_.notify_all();
    for (auto& thread : threads_) thread.join();
    timer_.join();
  }

 private:
  struct Delayed {
    SteadyTime due;
    std::uint64_t order;
    Task task;
  };
  static bool later(const Delayed& a, const Delayed& b) {
    return std::tie(a.due, a.order) > std::tie(b.due, b.order);
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !ready_.empty(); });
      if (ready_.empty()) return;
      Task task = std::move(ready_.front());
      ready_.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }

  void run_timer() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (delayed_.empty()) {
        timer_wake_.wait(lock);
        continue;
      }
      const SteadyTime due = delayed_.front().due;
      if (std::chrono::steady_clock::now() < due) {
        timer_wake_.wait_until(lock, due);
        continue;
      }
      std::pop_heap(delayed_.begin(), delayed_.end(), later);
      ready_.push_back(std::move(delayed_.back().task));
      delayed_.pop_back();
      wake_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable timer_wake_;
  std::deque<Task> ready_;
  std::vector<Delayed> delayed_;
  std::uint64_t order_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  std::thread timer_;
};

class ThreadScheduler::PoolStrand final : public Strand,
                                          public std::enable_shared_from_this<PoolStrand> {
 public:
  explicit PoolStrand(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

  void dispatch(Task task) override {
    {
      const std::lock_guard lock(mutex_);
      if (running_) {
        queue_.push_back(std::move(task));
        return;
      }
      running_ = true;
    }
    task();
    task = nullptr;
    run_queued();
  }

  void post(Task task) override {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(task));
      if (running_) return;
      running_ = true;
    }
    hand_over();
  }

  void post_after(std::chrono::nanoseconds delay, Task task) override {
    pool_->submit_after(delay, [self = shared_from_this(), task = std::move(task)]() mutable {
      self->dispatch(std::move(task));
    });
  }

 private:
  void hand_over() {
    pool_->submit([self = shared_from_this()] { self->run_queued(); });
  }

  /// Called by whoever set `running_`.
  void run_queued() {
    for (int i = 0; i < kTasksPerTurn; ++i) {
      Task task;
      {
        const std::lock_guard lock(mutex_);
        if (queue_.empty()) {
          running_ = false;
          return;
        }
        task = std::move(queue_.front());
        queue_.pop_front();
      }
      task();
    }
    hand_over();
  }

  std::shared_ptr<Pool> pool_;
  std::mutex mutex_;
  std::deque<Task> queue_;
  bool running_ = false;
};

/// The thread shares the queue, so that it may outlive this object when that is dropped on it.
class ThreadScheduler::WorkerStrand final : public Strand {
 public:
  WorkerStrand(std::shared_ptr<Pool> pool, std::string name, Share share)
      : pool_(std::move(pool)), state_(std::make_shared<State>()) {
    thread_ = std::thread([state = state_, name = std::move(name), share] {
      name_this_thread(name);
      if (share == Share::background) give_way();
      run(*state);
    });
  }

  ~WorkerStrand() override {
    {
      const std::lock_guard lock(state_->mutex);
      state_->stopping = true;
    }
    state_->wake.notify_one();
    if (thread_.get_id() == std::this_thread::get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }

  void dispatch(Task task) override { post(std::move(task)); }

  void post(Task task) override { post_to(*state_, std::move(task)); }

  void post_after(std::chrono::nanoseconds delay, Task task) override {
    pool_->submit_after(delay, [weak = std::weak_ptr(state_), task = std::move(task)]() mutable {
      if (const auto state = weak.lock()) post_to(*state, std::move(task));
    });
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Task> queue;
    bool stopping = false;
  };

  static void post_to(State& state, Task task) {
    {
      const std::lock_guard lock(state.mutex);
      state.queue.push_back(std::move(task));
    }
    state.wake.notify_one();
  }

  static void run(State& state) {
    std::unique_lock lock(state.mutex);
    while (true) {
      state.wake.wait(lock, [&state] { return state.stopping || !state.queue.empty(); });
      if (state.queue.empty()) return;
      Task task = std::move(state.queue.front());
      state.queue.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }

  std::shared_ptr<Pool> pool_;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

ThreadScheduler::ThreadScheduler(unsigned threads) : pool_(std::make_shared<Pool>(threads)) {}

ThreadScheduler::~ThreadScheduler() { pool_->stop(); }

std::shared_ptr<Strand> ThreadScheduler::make_strand(std::string) {
  return std::make_shared<PoolStrand>(pool_);
}

std::shared_ptr<Strand> ThreadScheduler::make_worker(std::string name) {
  return std::make_shared<WorkerStrand>(pool_, std::move(name), Share::full);
}

std::shared_ptr<Strand> ThreadScheduler::make_background_worker(std::string name) {
  return std::make_shared<WorkerStrand>(pool_, std::move(name), Share::background);
}

}  // namespace keelson
