// Constants of a group filter's file, version 1. The grammar is docs/index-format.md, "Group
// filters"; a change here changes that document and the golden bytes in
// tests/engine/log/segment_group_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace keelson::log {

inline constexpr std::string_view kGroupMagic = "KEELGRP\n";
inline constexpr std::uint32_t kGroupVersion = 1;

/// What a group has: segments, or groups of the level below.
inline constexpr std::size_t kGroupColumns = 16;
inline constexpr std::uint32_t kGroupLevels = 2;

/// Positions of the header's fields.
namespace group_header {
inline constexpr std::size_t kVersion = 8;
inline constexpr std::size_t kLevel = 12;
inline constexpr std::size_t kBlockCount = 16;
inline constexpr std::size_t kPartition = 24;
inline constexpr std::size_t kEndBatch = 40;
inline constexpr std::size_t kColumns = 48;                             ///< first batch of each
inline constexpr std::size_t kReserved = kColumns + 8 * kGroupColumns;  ///< zeros, as is 20…23
inline constexpr std::size_t kTableChecksum = 4080;                     ///< of the block checksums
inline constexpr std::size_t kHeaderChecksum = 4088;                    ///< of all before it
inline constexpr std::size_t kBytes = 4096;
}  // namespace group_header

/// All probes of a key lie in one block: a page of memory, and what one checksum covers.
inline constexpr std::size_t kGroupBlockBytes = 4096;
/// A row is one bit for each column.
using GroupRow = std::uint16_t;
static_assert(sizeof(GroupRow) * 8 == kGroupColumns);
inline constexpr std::size_t kGroupBlockRows = kGroupBlockBytes / sizeof(GroupRow);

// At 12 rows for each key of the fullest column, and 5 probes, about one absent key in 200 passes
// in a column.
inline constexpr std::uint64_t kGroupRowsPerKey = 12;
inline constexpr unsigned kGroupProbes = 5;
inline constexpr unsigned kGroupProbeBits = 11;
inline constexpr std::uint64_t kGroupMultiplier = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
static_assert(std::size_t{1} << kGroupProbeBits == kGroupBlockRows,
              "a probe must reach every row of its block and none beyond");
static_assert(kGroupProbes * kGroupProbeBits <= 64, "one product holds all probes");

/// Which of `blocks` blocks is `hash`'s. Grows with the hash.
[[nodiscard]] constexpr std::uint64_t group_block(std::uint64_t hash, std::uint64_t blocks) {
  return (hash >> 32) * blocks >> 32;
}

/// The row of the block that probe `i` < kGroupProbes of `hash` is.
[[nodiscard]] constexpr std::size_t group_row(std::uint64_t hash, unsigned i) {
  return (hash * kGroupMultiplier >> (64 - kGroupProbeBits * (i + 1))) & (kGroupBlockRows - 1);
}

/// How many blocks a group needs whose fullest column has `keys` keys; at least one.
[[nodiscard]] constexpr std::uint64_t group_blocks(std::uint64_t keys) {
  return (keys * kGroupRowsPerKey + kGroupBlockRows - 1) / kGroupBlockRows + (keys == 0 ? 1 : 0);
}

[[nodiscard]] constexpr std::uint64_t group_file_bytes(std::uint64_t blocks) {
  return group_header::kBytes + blocks * (kGroupBlockBytes + 8);
}

}  // namespace keelson::log
