// What the partitions of a node have in common, whatever state they are in.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/store/partition.h"

namespace keelson {

/// Knows where else in its cluster it is, as somebody has told it: alone it is here.
class NodePartition : public Partition {
 public:
  /// From any thread.
  /// @param replica  this node is to have one.
  void set_whereabouts(bool replica, std::vector<std::string> others) {
    {
      const std::lock_guard lock(others_mutex_);
      others_ = std::move(others);
    }
    if (replica_.exchange(replica) && !replica) on_moved_away();
  }

  [[nodiscard]] Whereabouts whereabouts() const final {
    const bool good = !damaged();
    const std::lock_guard lock(others_mutex_);
    // What is damaged and nowhere else says so itself.
    return {replica_ && (good || others_.empty()), others_};
  }

 protected:
  [[nodiscard]] bool has_replica() const { return replica_.load(std::memory_order_acquire); }

 private:
  [[nodiscard]] virtual bool damaged() const = 0;
  /// There is no replica here any more.
  virtual void on_moved_away() = 0;

  std::atomic<bool> replica_ = true;
  mutable std::mutex others_mutex_;  ///< of `others_`
  std::vector<std::string> others_;
};

}  // namespace keelson
