#include "tests/support/seeded_scheduler.h"

#include <utility>

#include "engine/base/check.h"

namespace keelson::test {

class SeededScheduler::SeededStrand final
    : public Strand,
      public std::enable_shared_from_this<SeededScheduler::SeededStrand> {
 public:
  SeededStrand(SeededScheduler& scheduler, bool runs_at_once)
      : scheduler_(scheduler), runs_at_once_(runs_at_once) {}

  void dispatch(Task task) override {
    const bool may_run = runs_at_once_ && !running_ && tasks_.empty();
    if (!may_run || scheduler_.random_() % 2 == 0) return post(std::move(task));
    run(std::move(task));
    scheduler_.settle();
  }

  void post(Task task) override {
    if (tasks_.empty()) scheduler_.ready_.push_back(shared_from_this());
    tasks_.push_back(std::move(task));
    scheduler_.settle();
  }

  void post_after(std::chrono::nanoseconds, Task task) override {
    if (scheduler_.keeps_timers_) scheduler_.timers_.push_back({weak_from_this(), std::move(task)});
  }

  void run_next() {
    KEELSON_ASSERT(!running_ && !tasks_.empty());
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    if (tasks_.empty()) std::erase(scheduler_.ready_, shared_from_this());
    run(std::move(task));
  }

 private:
  void run(Task task) {
    ++scheduler_.depth_;
    running_ = true;
    task();
    task = nullptr;  // before somebody else may run: it may hold the last reference to something
    running_ = false;
    --scheduler_.depth_;
  }

  SeededScheduler& scheduler_;
  const bool runs_at_once_;
  bool running_ = false;
  std::deque<Task> tasks_;
};

std::shared_ptr<Strand> SeededScheduler::make_strand(std::string) {
  return std::make_shared<SeededStrand>(*this, true);
}

std::shared_ptr<Strand> SeededScheduler::make_worker(std::string) {
  return std::make_shared<SeededStrand>(*this, false);
}

void SeededScheduler::release() {
  held_ = false;
  settle();
}

bool SeededScheduler::step() {
  KEELSON_ASSERT(depth_ == 0);
  if (ready_.empty()) return false;
  const std::shared_ptr<SeededStrand> next = ready_[random_() % ready_.size()];
  next->run_next();
  return true;
}

void SeededScheduler::elapse() {
  for (Timer& timer : std::exchange(timers_, {})) {
    if (const auto strand = timer.strand.lock()) strand->post(std::move(timer.task));
  }
}

void SeededScheduler::settle() {
  if (held_ || depth_ > 0) return;
  while (step()) {
  }
}

}  // namespace keelson::test
