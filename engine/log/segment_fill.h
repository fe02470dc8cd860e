// Where batches go: into which segment, and how large a new one is made.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/log/log_format.h"

namespace keelson::log {

/// How full a segment is. All decisions about the layout of a log are here, and a function of the
/// batches and of the size that is asked for alone: replicas that have the same batches have the
/// same files.
struct SegmentFill {
  std::uint64_t capacity = 0;                    ///< bytes of the file
  std::uint64_t position = kSegmentHeaderBytes;  ///< where the next batch goes
  std::uint64_t entries = 0;                     ///< events and commits
  bool operator==(const SegmentFill&) const = default;

  /// A segment holds no more of them than if they were not compressed, so that the memory of its
  /// index is bounded by its size in any case.
  [[nodiscard]] std::uint64_t entries_max() const {
    // The smallest event or commit.
    return capacity / std::min(kCommitHeadBytes, kEventFramingBytes + kLeafHeadBytes);
  }
  /// Whether a batch of so many bytes, padding included, and entries goes here.
  [[nodiscard]] bool takes(std::uint64_t batch_bytes, std::uint64_t batch_entries) const {
    const bool few = entries == 0 || entries + batch_entries <= entries_max();
    return few && position <= capacity && batch_bytes <= capacity - position;
  }
  void add(std::uint64_t batch_bytes, std::uint64_t batch_entries) {
    position += batch_bytes;
    entries += batch_entries;
  }
  [[nodiscard]] bool empty() const { return position == kSegmentHeaderBytes; }
  /// Of the segment after this one, unless a larger batch asks for more.
  [[nodiscard]] std::uint64_t next_capacity(std::uint64_t segment_bytes) const {
    return std::min(segment_bytes, capacity * kSegmentGrowth);
  }
  /// The segment that is made for a batch which does not go here.
  [[nodiscard]] SegmentFill next(std::uint64_t segment_bytes, std::uint64_t batch_bytes) const {
    return {std::max(next_capacity(segment_bytes), kSegmentHeaderBytes + batch_bytes),
            kSegmentHeaderBytes, 0};
  }
};

/// Of the segment with batch 0.
[[nodiscard]] constexpr std::uint64_t first_segment_bytes(std::uint64_t segment_bytes) {
  return std::min(segment_bytes, kFirstSegmentBytes);
}

}  // namespace keelson::log
