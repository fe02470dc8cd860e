// Which batches this process has checked already.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "engine/base/types.h"

namespace keelson::log {

/// Remembers batches whose body checksum held, so that reading one event of a large batch does not
/// hash all of it each time. A fixed table: a batch that another one displaced is checked again.
/// Thread-safe.
class VerifiedBatches {
 public:
  [[nodiscard]] bool contains(BatchNo batch) const {
    return slot(batch).load(std::memory_order_relaxed) == mark(batch);
  }
  void add(BatchNo batch) { slot(batch).store(mark(batch), std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kSlots = 16384;
  /// Never 0, which is an empty slot.
  [[nodiscard]] static std::uint64_t mark(BatchNo batch) { return batch.value + 1; }
  [[nodiscard]] std::atomic<std::uint64_t>& slot(BatchNo batch) {
    return slots_[batch.value % kSlots];
  }
  [[nodiscard]] const std::atomic<std::uint64_t>& slot(BatchNo batch) const {
    return slots_[batch.value % kSlots];
  }

  std::array<std::atomic<std::uint64_t>, kSlots> slots_{};
};

}  // namespace keelson::log
