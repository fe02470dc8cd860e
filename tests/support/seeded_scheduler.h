// The strands of a store in one thread, in an order that a seed chooses.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/base/scheduler.h"

namespace keelson::test {

/// Each strand runs its tasks in order; whose turn it is, and whether `dispatch` runs its task at
/// once where it may, the seed says. So one seed is one history, crash points included.
///
/// Whoever gives a task from outside finds that task, and all that follows from it, done when the
/// call returns: a call that waits for an answer has it. Between `hold` and `release` tasks wait
/// for `step`, so that batches gather and overlap. No time passes: delayed tasks run in `elapse`,
/// if `keep_timers` was called before they were given, and never otherwise.
///
/// For one thread. Must outlive its strands.
class SeededScheduler final : public Scheduler {
 public:
  explicit SeededScheduler(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] std::shared_ptr<Strand> make_strand(std::string name) override;
  [[nodiscard]] std::shared_ptr<Strand> make_worker(std::string name) override;

  void hold() { held_ = true; }
  /// Runs all that has waited.
  void release();
  /// Runs one task; false when there is none.
  bool step();

  void keep_timers() { keeps_timers_ = true; }
  /// All that is delayed now is due: it runs, and what follows from it.
  void elapse();

 private:
  class SeededStrand;

  struct Timer {
    std::weak_ptr<SeededStrand> strand;
    Task task;
  };

  void settle();

  std::mt19937_64 random_;
  bool held_ = false;
  bool keeps_timers_ = false;
  std::vector<Timer> timers_;
  int depth_ = 0;                                     ///< tasks that run, one inside the other
  std::vector<std::shared_ptr<SeededStrand>> ready_;  ///< those with tasks
};

}  // namespace keelson::test
