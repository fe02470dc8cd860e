// Who waits for a partition's committed end to move.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/base/scheduler.h"
#include "engine/base/types.h"
#include "engine/store/partition.h"

namespace keelson {

/// One-shot wake-ups keyed by the offset they wait to see passed. Thread-safe.
///
/// A task runs with its own entry locked and nothing else, so that a registration's destructor can
/// wait for it; a task may register again or drop its own registration.
class TailWaiters : public std::enable_shared_from_this<TailWaiters> {
 public:
  /// Runs `task` when `advance` has been called with an end > `offset`.
  [[nodiscard]] std::unique_ptr<Registration> add(Offset offset, Task task);

  /// Offsets below `end` are committed: wakes whoever waited for them, on the calling thread.
  void advance(Offset end);
  /// Wakes everybody: there will be nothing more to wait for here.
  void wake_all();

 private:
  struct Entry;
  class Handle;

  static void run(const std::vector<std::shared_ptr<Entry>>& due);

  std::mutex mutex_;
  std::multimap<Offset, std::shared_ptr<Entry>> entries_;
  std::atomic<std::uint64_t> end_{0};
};

}  // namespace keelson
