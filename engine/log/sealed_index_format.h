// Constants and layout of a sealed segment's index file, version 1. The grammar, with tables, is
// docs/index-format.md; a change here changes that document and the golden bytes in
// tests/engine/log/sealed_index_test.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/coding.h"

namespace keelson::log {

inline constexpr std::string_view kIndexMagic = "KEELIDX\n";
inline constexpr std::uint32_t kIndexVersion = 1;

/// Positions of the header's fields.
namespace index_header {
inline constexpr std::size_t kVersion = 8;
inline constexpr std::size_t kBatchCount = 12;
inline constexpr std::size_t kEventCount = 16;
inline constexpr std::size_t kStreamCount = 20;
inline constexpr std::size_t kCommitCount = 24;
inline constexpr std::size_t kNameBytes = 28;
inline constexpr std::size_t kPartition = 32;
inline constexpr std::size_t kFirstBatch = 48;
inline constexpr std::size_t kBaseOffset = 56;
inline constexpr std::size_t kUsedEnd = 64;
inline constexpr std::size_t kReserved = 72;         ///< zeros
inline constexpr std::size_t kTableChecksum = 112;   ///< of the block checksums
inline constexpr std::size_t kHeaderChecksum = 120;  ///< of all before it
inline constexpr std::size_t kBytes = 128;
}  // namespace index_header

inline constexpr std::size_t kIndexBlockBytes = 4096;  ///< what one checksum covers
inline constexpr std::size_t kChecksumBytes = 8;
inline constexpr std::size_t kIndexStreamBytes = 32;
inline constexpr std::size_t kIndexBatchBytes = 16;
inline constexpr std::size_t kIndexCommitBytes = 16;
inline constexpr std::size_t kIndexPostingBytes = 12;
inline constexpr std::size_t kDirectorySlotBytes = 4;

// A Bloom filter in cache lines: all bits of a key are in one. At 12 bits a key and 7 probes, about
// one absent key in 150 passes.
inline constexpr std::size_t kFilterLineBytes = 64;
inline constexpr std::uint64_t kFilterBitsPerKey = 12;
inline constexpr unsigned kFilterProbes = 7;
inline constexpr unsigned kFilterProbeBits = 9;
inline constexpr std::uint64_t kFilterMultiplier = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
static_assert(std::size_t{1} << kFilterProbeBits == kFilterLineBytes * 8,
              "a probe must reach every bit of its line and none beyond");
static_assert(kFilterProbes * kFilterProbeBits <= 64, "one product holds all probes");
static_assert(index_header::kBytes % kFilterLineBytes == 0 &&
                  kIndexBlockBytes % kFilterLineBytes == 0,
              "the filters follow the header, so that each line is one cache line and one block");

/// Which line of a filter with `lines` lines, at least one, is `hash`'s.
[[nodiscard]] constexpr std::uint64_t filter_line(std::uint64_t hash, std::uint64_t lines) {
  return (hash >> 32) * lines >> 32;
}

/// The bit of the line that probe `i` < kFilterProbes of `hash` is.
[[nodiscard]] constexpr std::size_t filter_bit(std::uint64_t hash, unsigned i) {
  return (hash * kFilterMultiplier >> (64 - kFilterProbeBits * (i + 1))) &
         (kFilterLineBytes * 8 - 1);
}

/// How `keys` keys are found: a filter, then a directory of about 8 keys a bucket.
struct KeyTable {
  std::uint64_t filter_lines;
  std::uint64_t buckets;  ///< a power of two, at least 2

  explicit constexpr KeyTable(std::uint32_t keys)
      : filter_lines((keys * kFilterBitsPerKey + kFilterLineBytes * 8 - 1) /
                     (kFilterLineBytes * 8)),
        buckets(std::bit_ceil(std::max<std::uint64_t>(keys / 8, 2))) {}

  /// Keys are sorted by hash, so a bucket is all those that share the hash's highest bits.
  [[nodiscard]] constexpr std::uint64_t bucket(std::uint64_t hash) const {
    return hash >> (64 - std::countr_zero(buckets));
  }
};

struct IndexCounts {
  std::uint32_t batches = 0;
  std::uint32_t events = 0;
  std::uint32_t streams = 0;
  std::uint32_t commits = 0;
  std::uint32_t name_bytes = 0;
};

/// The counts in an index file's header, of which there must be `index_header::kBytes` bytes.
[[nodiscard]] inline IndexCounts read_index_counts(std::string_view header) {
  return {get<std::uint32_t>(header, index_header::kBatchCount),
          get<std::uint32_t>(header, index_header::kEventCount),
          get<std::uint32_t>(header, index_header::kStreamCount),
          get<std::uint32_t>(header, index_header::kCommitCount),
          get<std::uint32_t>(header, index_header::kNameBytes)};
}

/// Where the sections are. It follows from the counts alone, so there are no positions in the file
/// that could be wrong; nothing here can overflow, as all counts are 32 bits wide.
struct IndexLayout {
  KeyTable stream_table;
  KeyTable command_table;
  std::uint64_t stream_filter;
  std::uint64_t command_filter;
  std::uint64_t streams;
  std::uint64_t batches;
  std::uint64_t commits;
  std::uint64_t postings;
  std::uint64_t stream_directory;
  std::uint64_t command_directory;
  std::uint64_t names;
  std::uint64_t checksums;
  std::uint64_t blocks;  ///< of [0, checksums), the last one possibly short
  std::uint64_t file_bytes;

  explicit constexpr IndexLayout(const IndexCounts& counts)
      : stream_table(counts.streams),
        command_table(counts.commits),
        stream_filter(index_header::kBytes),
        command_filter(stream_filter + stream_table.filter_lines * kFilterLineBytes),
        streams(command_filter + command_table.filter_lines * kFilterLineBytes),
        batches(streams + std::uint64_t{counts.streams} * kIndexStreamBytes),
        commits(batches + std::uint64_t{counts.batches} * kIndexBatchBytes),
        postings(commits + std::uint64_t{counts.commits} * kIndexCommitBytes),
        stream_directory(postings + std::uint64_t{counts.events} * kIndexPostingBytes),
        command_directory(stream_directory + (stream_table.buckets + 1) * kDirectorySlotBytes),
        names(command_directory + (command_table.buckets + 1) * kDirectorySlotBytes),
        checksums(names + counts.name_bytes),
        blocks((checksums + kIndexBlockBytes - 1) / kIndexBlockBytes),
        file_bytes(checksums + blocks * kChecksumBytes) {}

  /// Bytes [first, end) of the file are what checksum `block` covers: a block of the file, without
  /// the header, which has a checksum of its own.
  struct Range {
    std::uint64_t first;
    std::uint64_t end;
  };
  [[nodiscard]] constexpr Range block(std::uint64_t block) const {
    return {std::max<std::uint64_t>(block * kIndexBlockBytes, index_header::kBytes),
            std::min<std::uint64_t>((block + 1) * kIndexBlockBytes, checksums)};
  }
};

}  // namespace keelson::log
