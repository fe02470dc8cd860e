// Which batches of a segment have been checked already.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace keelson::log {

/// Remembers the batches of one open segment whose checksums, of header and body, held: reading an
/// event of a large batch must not hash all of it each time. A bit for each batch. Thread-safe;
/// relaxed, since the bytes never change and two threads may check one batch without harm.
class VerifiedBatches {
 public:
  explicit VerifiedBatches(std::size_t batches_max)
      : batches_max_(batches_max),
        words_(std::make_unique<std::atomic<std::uint64_t>[]>(batches_max / kBits + 1)) {}

  /// `ordinal` counts from the segment's first batch; one beyond `batches_max` is never contained.
  [[nodiscard]] bool contains(std::uint32_t ordinal) const {
    return ordinal < batches_max_ &&
           (words_[ordinal / kBits].load(std::memory_order_relaxed) & bit(ordinal)) != 0;
  }
  void add(std::uint32_t ordinal) {
    if (ordinal < batches_max_ && !contains(ordinal)) {
      words_[ordinal / kBits].fetch_or(bit(ordinal), std::memory_order_relaxed);
    }
  }

 private:
  static constexpr std::size_t kBits = 64;
  [[nodiscard]] static std::uint64_t bit(std::uint32_t ordinal) {
    return std::uint64_t{1} << ordinal % kBits;
  }

  std::size_t batches_max_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
};

}  // namespace keelson::log
