// Where work runs, injected: real threads in a server, one seeded queue in the simulation.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace keelson {

using Task = std::move_only_function<void()>;

/// Runs its tasks one at a time, in the order they were given. Thread-safe. Tasks must not throw.
class Strand {
 public:
  virtual ~Strand() = default;

  /// Runs `task` before returning when the strand is idle and the implementation allows it, else
  /// like `post`. Saves a thread switch on the hot path, so hold no lock when calling.
  virtual void dispatch(Task task) = 0;

  /// Runs `task` later, never before returning.
  virtual void post(Task task) = 0;

  /// Runs `task` once, `delay` or more from now.
  virtual void post_after(std::chrono::nanoseconds delay, Task task) = 0;
};

/// Makes strands. Must outlive them. Thread-safe.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  /// A strand for short tasks that never block.
  [[nodiscard]] virtual std::shared_ptr<Strand> make_strand(std::string name) = 0;

  /// A strand for tasks that may block on disk or run long (writing, syncing, applying events). It
  /// has a thread of its own; the thread ends when the last reference is dropped, after its tasks.
  [[nodiscard]] virtual std::shared_ptr<Strand> make_worker(std::string name) = 0;

  /// A worker for derived data, which may lag: while the processors are busy with what callers wait
  /// for, it gets a small share of them, and so does more at a time when it comes to its turn.
  [[nodiscard]] virtual std::shared_ptr<Strand> make_background_worker(std::string name) {
    return make_worker(std::move(name));
  }
};

}  // namespace keelson
