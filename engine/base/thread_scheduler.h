// The scheduler of a server: real threads.
#pragma once

#include <memory>

#include "engine/base/scheduler.h"

namespace keelson {

/// A strand here is a queue with an owner, not a thread: `dispatch` on an idle strand runs the task
/// on the calling thread, which then also runs what others queue meanwhile, up to a bound; past it
/// the rest moves to a thread of the pool. A worker is a thread.
///
/// Destruction runs what was posted, drops what was delayed, and joins the pool; strands and
/// workers must not be used after it.
class ThreadScheduler final : public Scheduler {
 public:
  /// @param threads  of the pool, at least 1.
  explicit ThreadScheduler(unsigned threads);
  ~ThreadScheduler() override;

  [[nodiscard]] std::shared_ptr<Strand> make_strand(std::string name) override;
  [[nodiscard]] std::shared_ptr<Strand> make_worker(std::string name) override;
  [[nodiscard]] std::shared_ptr<Strand> make_background_worker(std::string name) override;

 private:
  class Pool;
  class PoolStrand;
  class WorkerStrand;
  std::shared_ptr<Pool> pool_;
};

}  // namespace keelson
