#include "tests/simulation/virtual_time.h"

#include <algorithm>

#include "engine/base/check.h"

namespace keelson::simulation {

bool VirtualTime::step(Moment end) {
  if (events_.empty() || events_.begin()->first.first > end) {
    event_at_ = std::max(event_at_, end);
    return false;
  }
  auto next = events_.extract(events_.begin());
  event_at_ = next.key().first;
  spent_ = Moment(0);
  next.mapped()();
  next.mapped() = nullptr;
  spent_ = Moment(0);
  return true;
}

class VirtualScheduler::VirtualStrand final
    : public Strand,
      public std::enable_shared_from_this<VirtualScheduler::VirtualStrand> {
 public:
  VirtualStrand(VirtualScheduler& scheduler, bool runs_at_once)
      : scheduler_(scheduler), runs_at_once_(runs_at_once) {}

  void dispatch(Task task) override {
    if (!open()) return;
    const bool may_run = runs_at_once_ && !running_ && on_the_way_ == 0 && tasks_.empty() &&
                         scheduler_.time_.spent() == Moment(0) &&
                         scheduler_.time_.now() >= scheduler_.paused_until_;
    if (!may_run || scheduler_.random_() % 2 == 0) return post(std::move(task));
    run(std::move(task));
  }

  void post(Task task) override {
    if (!open()) return;
    ++on_the_way_;
    arrive_after(Moment(0), std::move(task), true);
  }

  void post_after(std::chrono::nanoseconds delay, Task task) override {
    if (open()) arrive_after(delay, std::move(task), false);
  }

  void end() {
    // What is dropped may drop more.
    const auto tasks = std::exchange(tasks_, {});
    const auto delayed = std::exchange(delayed_, {});
  }

 private:
  [[nodiscard]] bool open() const { return !scheduler_.ended_ && !scheduler_.hooks_.gone(); }

  void arrive_after(Moment delay, Task task, bool counted) {
    const std::uint64_t id = ++last_delayed_;
    delayed_.emplace(id, std::move(task));
    scheduler_.time_.after(delay, [weak = weak_from_this(), id, counted] {
      const auto self = weak.lock();
      if (!self) return;
      auto arrived = self->delayed_.extract(id);
      if (!arrived) return;
      if (counted) --self->on_the_way_;
      self->tasks_.push_back(std::move(arrived.mapped()));
      self->run_later(Moment(0));
    });
  }

  void run_later(Moment not_before) {
    if (run_planned_ || tasks_.empty()) return;
    run_planned_ = true;
    const Moment now = scheduler_.time_.now();
    const Moment jitter = std::chrono::nanoseconds(scheduler_.random_() % 20'000);
    scheduler_.time_.after(std::max({busy_until_ - now, not_before - now, Moment(0)}) + jitter,
                           [weak = weak_from_this()] {
                             if (const auto self = weak.lock()) self->run_next();
                           });
  }

  void run_next() {
    run_planned_ = false;
    if (tasks_.empty()) return;
    if (const Moment now = scheduler_.time_.now();
        now < scheduler_.paused_until_ || now < busy_until_) {
      return run_later(scheduler_.paused_until_);
    }
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    run(std::move(task));
    run_later(Moment(0));
  }

  void run(Task task) {
    KEELSON_ASSERT(!running_);
    running_ = true;
    task();
    task = nullptr;
    running_ = false;
    busy_until_ = scheduler_.time_.now();
    scheduler_.hooks_.task_done();
  }

  VirtualScheduler& scheduler_;
  const bool runs_at_once_;
  bool running_ = false;
  bool run_planned_ = false;
  std::uint64_t on_the_way_ = 0;
  std::uint64_t last_delayed_ = 0;
  Moment busy_until_{};
  std::deque<Task> tasks_;
  std::map<std::uint64_t, Task> delayed_;
};

std::shared_ptr<Strand> VirtualScheduler::make(bool runs_at_once) {
  auto strand = std::make_shared<VirtualStrand>(*this, runs_at_once);
  strands_.push_back(strand);
  return strand;
}

std::shared_ptr<Strand> VirtualScheduler::make_strand(std::string) { return make(true); }
std::shared_ptr<Strand> VirtualScheduler::make_worker(std::string) { return make(false); }

void VirtualScheduler::end() {
  ended_ = true;
  for (const auto& weak : strands_) {
    if (const auto strand = weak.lock()) strand->end();
  }
}

}  // namespace keelson::simulation
