// What of a mapped file could not be read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace keelson::io {

/// Where a mapped file could not be read when it was touched: zeros are shown there from then on,
/// as long as it is mapped. So whoever has used bytes of a mapping asks here before what it made of
/// them is believed: after the last of them has been read, and not before. Thread-safe.
class ReadFaults {
 public:
  /// Whether there are any. For the way that all goes: one load.
  [[nodiscard]] bool any() const {
    // What was read before is read before this, by the compiler and by the processor.
#ifdef __SANITIZE_THREAD__
    std::atomic_signal_fence(std::memory_order_seq_cst);  // it knows no other
#else
    std::atomic_thread_fence(std::memory_order_acquire);
#endif
    return any_.load(std::memory_order_acquire);
  }

  /// The first byte of [position, position + length) that could not be read; nothing when all of
  /// them could.
  [[nodiscard]] std::optional<std::uint64_t> first_in(std::uint64_t position,
                                                      std::uint64_t length) const {
    if (!any()) return std::nullopt;
    if (all_.load(std::memory_order_acquire)) return position;
    std::optional<std::uint64_t> first;
    for (const Range& range : ranges_) {
      const std::uint64_t end = range.end.load(std::memory_order_acquire);
      const std::uint64_t begin = range.begin.load(std::memory_order_relaxed);
      if (end <= position || begin >= position + length) continue;
      const std::uint64_t here = begin < position ? position : begin;
      if (!first || here < *first) first = here;
    }
    return first;
  }

  /// Before zeros are shown at [begin, end). Async-signal-safe.
  /// @return false when there have been too many to tell them apart: then all of the file counts as
  ///         unreadable, and zeros may be shown everywhere.
  bool add(std::uint64_t begin, std::uint64_t end) {
    const std::uint32_t at = claimed_.fetch_add(1);
    const bool room = at < kRangesMax;
    if (room) {
      ranges_[at].begin.store(begin, std::memory_order_relaxed);
      ranges_[at].end.store(end, std::memory_order_release);
    } else {
      claimed_.store(kRangesMax);  // it never comes round
      all_.store(true);
    }
    any_.store(true);
    return room;
  }

 private:
  static constexpr std::size_t kRangesMax = 16;
  struct Range {
    std::atomic<std::uint64_t> begin = 0;
    std::atomic<std::uint64_t> end = 0;
  };

  std::atomic<bool> any_ = false;
  std::atomic<bool> all_ = false;
  std::atomic<std::uint32_t> claimed_ = 0;
  std::array<Range, kRangesMax> ranges_;

  static_assert(std::atomic<bool>::is_always_lock_free &&
                    std::atomic<std::uint64_t>::is_always_lock_free,
                "a signal handler writes them");
};

}  // namespace keelson::io
