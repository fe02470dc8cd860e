// Time that passes only when the simulation says so, and the strands of processes that live in it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/scheduler.h"
#include "engine/replication/replica_state.h"

namespace keelson::simulation {

using replication::Moment;

/// What is to happen, in order. A task may spend time: what it starts after that happens later,
/// while what others do meanwhile comes in between.
class VirtualTime {
 public:
  [[nodiscard]] Moment now() const { return event_at_ + spent_; }
  void after(Moment delay, Task run) {
    events_.emplace(std::pair(now() + delay, ++order_), std::move(run));
  }
  /// Makes the running task take longer.
  void spend(Moment moment) { spent_ += moment; }
  /// What a task that only looks has spent is forgotten.
  [[nodiscard]] Moment spent() const { return spent_; }
  void forget_spent_since(Moment spent) { spent_ = spent; }
  /// Runs what comes next, unless it comes after `end`; false when there is nothing.
  bool step(Moment end);
  void clear() { events_.clear(); }

 private:
  Moment event_at_{};
  Moment spent_{};
  std::uint64_t order_ = 0;
  std::map<std::pair<Moment, std::uint64_t>, Task> events_;
};

/// The strands of one process, each of which runs its tasks in order and one at a time, after waits
/// that a seed chooses. What a task spends, its strand is busy for.
class VirtualScheduler final : public Scheduler {
 public:
  struct Hooks {
    std::function<bool()> gone;       ///< the process is ending: nothing starts any more
    std::function<void()> task_done;  ///< called after each task
  };
  VirtualScheduler(VirtualTime& time, std::uint64_t seed, Hooks hooks)
      : time_(time), random_(seed), hooks_(std::move(hooks)) {}

  [[nodiscard]] std::shared_ptr<Strand> make_strand(std::string name) override;
  [[nodiscard]] std::shared_ptr<Strand> make_worker(std::string name) override;

  /// No task begins before `until`.
  void pause(Moment until) { paused_until_ = until; }
  /// Nor of a worker, as when the disk hangs on which workers wait.
  void hold_workers(Moment until) { workers_held_until_ = until; }
  /// For how long there is none from now on.
  [[nodiscard]] Moment paused_for() const {
    return std::max(Moment(0), paused_until_ - time_.now());
  }
  /// The process is gone, and all that it was to do. What it has owned is being dropped, which may
  /// wait for tasks of its own: those are done at once, and timers go off no more. Not within a
  /// task.
  void unwind();
  /// While a process starts nothing but the start runs. When that is `in_vain`, or the process ends
  /// meanwhile, what is dropped waits as in `unwind`.
  enum class Start { no, going_on, in_vain };
  void set_start(Start start) { start_ = start; }

 private:
  class VirtualStrand;

  [[nodiscard]] std::shared_ptr<Strand> make(bool runs_at_once);
  void run_all();
  /// Somebody waits for what is to be done.
  [[nodiscard]] bool at_once() const {
    return unwinding_ || start_ == Start::in_vain || (start_ == Start::going_on && hooks_.gone());
  }

  VirtualTime& time_;
  std::mt19937_64 random_;
  const Hooks hooks_;
  bool unwinding_ = false;
  Start start_ = Start::no;
  bool running_all_ = false;
  Moment paused_until_{};
  Moment workers_held_until_{};
  std::vector<std::weak_ptr<VirtualStrand>> strands_;
};

}  // namespace keelson::simulation
