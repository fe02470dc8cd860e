// Strands in one thread, and a time that is moved by hand.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/scheduler.h"

namespace keelson::test {

/// For one thread. Must outlive its strands.
class SteppedScheduler final : public Scheduler {
 public:
  [[nodiscard]] std::shared_ptr<Strand> make_strand(std::string) override {
    return std::make_shared<Stepped>(*this);
  }
  [[nodiscard]] std::shared_ptr<Strand> make_worker(std::string name) override {
    return make_strand(std::move(name));
  }

  /// Runs all that is to be run now, and what follows from it.
  void run() {
    while (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  /// The same for all that is due within `duration`.
  void advance(std::chrono::nanoseconds duration) {
    run();
    const auto end = now_ + duration;
    while (!delayed_.empty() && delayed_.begin()->first <= end) {
      auto due = delayed_.extract(delayed_.begin());
      now_ = due.key();
      tasks_.push_back(std::move(due.mapped()));
      run();
    }
    now_ = end;
  }

 private:
  class Stepped final : public Strand {
   public:
    explicit Stepped(SteppedScheduler& scheduler) : scheduler_(scheduler) {}
    void dispatch(Task task) override { post(std::move(task)); }
    void post(Task task) override { scheduler_.tasks_.push_back(std::move(task)); }
    void post_after(std::chrono::nanoseconds delay, Task task) override {
      scheduler_.delayed_.emplace(scheduler_.now_ + delay, std::move(task));
    }

   private:
    SteppedScheduler& scheduler_;
  };

  std::chrono::nanoseconds now_{0};
  std::deque<Task> tasks_;
  std::multimap<std::chrono::nanoseconds, Task> delayed_;
};

}  // namespace keelson::test
