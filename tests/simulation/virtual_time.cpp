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
    const bool may_run = runs_at_once_ && !running_ && on_the_way_.empty() && tasks_.empty() &&
                         scheduler_.time_.spent() == Moment(0) &&
                         scheduler_.paused_for() == Moment(0) && !scheduler_.at_once();
    if (!may_run || scheduler_.random_() % 2 == 0) return post(std::move(task));
    run(std::move(task));
  }

  void post(Task task) override {
    if (!open()) return;
    if (scheduler_.at_once()) {
      tasks_.push_back(std::move(task));
      return scheduler_.run_all();
    }
    const std::uint64_t id = ++last_id_;
    on_the_way_.emplace(id, std::move(task));
    // In the order in which they were given, whatever time a task had spent that gave one.
    const Moment now = scheduler_.time_.now();
    last_post_ = std::max(last_post_, now);
    scheduler_.time_.after(last_post_ - now, [weak = weak_from_this(), id] {
      if (const auto self = weak.lock()) self->arrive(self->on_the_way_, id);
    });
  }

  void post_after(std::chrono::nanoseconds delay, Task task) override {
    if (!open() || scheduler_.at_once()) return;
    const std::uint64_t id = ++last_id_;
    delayed_.emplace(id, std::move(task));
    scheduler_.time_.after(delay, [weak = weak_from_this(), id] {
      if (const auto self = weak.lock()) self->go_off(id);
    });
  }

  void drop_all() {
    // What is dropped may drop more.
    const auto tasks = std::exchange(tasks_, {});
    const auto on_the_way = std::exchange(on_the_way_, {});
    const auto delayed = std::exchange(delayed_, {});
  }
  /// @return whether there was one.
  bool run_one() {
    if (tasks_.empty()) return false;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    run(std::move(task));
    return true;
  }

 private:
  [[nodiscard]] bool open() const { return scheduler_.at_once() || !scheduler_.hooks_.gone(); }

  using Waiting = std::map<std::uint64_t, Task>;

  void arrive(Waiting& waiting, std::uint64_t id) {
    auto arrived = waiting.extract(id);
    if (!arrived) return;
    tasks_.push_back(std::move(arrived.mapped()));
    run_later(Moment(0));
  }

  /// A timer. That of a process which is paused: when it goes on, what others have sent may come
  /// first.
  void go_off(std::uint64_t id) {
    const Moment wait = scheduler_.paused_for();
    if (wait == Moment(0)) return arrive(delayed_, id);
    const Moment jitter = std::chrono::nanoseconds(scheduler_.random_() % 5'000'000);
    scheduler_.time_.after(wait + jitter, [weak = weak_from_this(), id] {
      if (const auto self = weak.lock()) self->go_off(id);
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
    if (tasks_.empty() || scheduler_.unwinding_) return;
    const Moment begins = runs_at_once_
                              ? scheduler_.paused_until_
                              : std::max(scheduler_.paused_until_, scheduler_.workers_held_until_);
    if (const Moment now = scheduler_.time_.now(); now < begins || now < busy_until_) {
      return run_later(begins);
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
    if (!scheduler_.at_once()) scheduler_.hooks_.task_done();
  }

  VirtualScheduler& scheduler_;
  const bool runs_at_once_;
  bool running_ = false;
  bool run_planned_ = false;
  std::uint64_t last_id_ = 0;
  Moment busy_until_{};
  Moment last_post_{};  ///< when it arrives
  std::deque<Task> tasks_;
  Waiting on_the_way_;  ///< posted
  Waiting delayed_;
};

std::shared_ptr<Strand> VirtualScheduler::make(bool runs_at_once) {
  auto strand = std::make_shared<VirtualStrand>(*this, runs_at_once);
  strands_.push_back(strand);
  return strand;
}

std::shared_ptr<Strand> VirtualScheduler::make_strand(std::string) { return make(true); }
std::shared_ptr<Strand> VirtualScheduler::make_worker(std::string) { return make(false); }

void VirtualScheduler::unwind() {
  unwinding_ = true;
  for (const auto& weak : strands_) {
    if (const auto strand = weak.lock()) strand->drop_all();
  }
}

void VirtualScheduler::run_all() {
  if (std::exchange(running_all_, true)) return;
  for (bool ran = true; ran;) {
    ran = false;
    // Tasks may make strands.
    for (std::size_t i = 0; i < strands_.size(); ++i) {
      if (const auto strand = strands_[i].lock()) ran |= strand->run_one();
    }
  }
  running_all_ = false;
}

}  // namespace keelson::simulation
