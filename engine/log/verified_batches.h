// Which batches of a segment have been checked already.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/log/codec.h"

namespace keelson::log {

/// Remembers the batches of one open segment whose checksums, of header and body, held: reading an
/// event of a large batch must not hash all of it each time. And which of them are not compressed:
/// in those an event can be read without a look at the batch's header. Two bits for each batch.
/// Thread-safe; relaxed, since the bytes never change and two threads may check one batch without
/// harm.
class VerifiedBatches {
 public:
  explicit VerifiedBatches(std::size_t batches_max)
      : batches_max_(batches_max),
        words_(std::make_unique<std::atomic<std::uint64_t>[]>(batches_max / kBatchesPerWord + 1)) {}

  /// `ordinal` counts from the segment's first batch; one beyond `batches_max` is never contained.
  [[nodiscard]] bool contains(std::uint32_t ordinal) const { return has(ordinal, kVerified); }
  /// Verified, and not compressed.
  [[nodiscard]] bool contains_plain(std::uint32_t ordinal) const { return has(ordinal, kPlain); }
  void add(std::uint32_t ordinal, Codec codec) {
    if (ordinal >= batches_max_ || contains(ordinal)) return;
    const std::uint64_t bits = codec == Codec::none ? kVerified | kPlain : kVerified;
    words_[ordinal / kBatchesPerWord].fetch_or(bits << shift(ordinal), std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t kVerified = 1;
  static constexpr std::uint64_t kPlain = 2;
  static constexpr std::uint32_t kBatchesPerWord = 32;
  [[nodiscard]] static std::uint32_t shift(std::uint32_t ordinal) {
    return 2 * (ordinal % kBatchesPerWord);
  }
  [[nodiscard]] bool has(std::uint32_t ordinal, std::uint64_t bit) const {
    return ordinal < batches_max_ &&
           (words_[ordinal / kBatchesPerWord].load(std::memory_order_relaxed) >> shift(ordinal) &
            bit) != 0;
  }

  std::size_t batches_max_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
};

}  // namespace keelson::log
