// How far a projection has come, and who waits for it.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/base/scheduler.h"
#include "engine/store/partition.h"
#include "engine/store/position.h"

namespace keelson::projections {

/// The applied position of one projection over all partitions. Thread-safe.
class Progress {
 public:
  explicit Progress(std::size_t partitions) : applied_(partitions) {}

  [[nodiscard]] Position applied() const;

  /// All below `next` is committed in the read model of `partition`. Runs the tasks that waited for
  /// it on this thread.
  void advance(PartitionId partition, Offset next);

  /// Calls `task` once when the applied position covers `position`; at once if it does.
  [[nodiscard]] std::unique_ptr<Registration> when_applied(Position position, Task task);

 private:
  class Waiter;
  class WaiterRegistration;

  void forget(const std::shared_ptr<Waiter>& waiter);

  mutable std::mutex mutex_;
  Position applied_;
  std::vector<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace keelson::projections
