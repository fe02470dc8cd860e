// Constants of the log's format, version 1. The grammar, with tables, is docs/log-format.md; a
// change here changes that document and the golden bytes in tests/engine/log/golden_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace keelson::log {

/// Written in every segment and batch; a reader refuses others as `unsupported_format`.
inline constexpr std::uint16_t kFormatVersion = 1;

// --- segment ---
inline constexpr std::string_view kSegmentMagic = "KEELSEG\n";
/// One block, so that the header never shares a sector with a batch: a torn batch cannot harm it.
inline constexpr std::size_t kSegmentHeaderBytes = 4096;
/// Fixed fields before the Merkle frontier.
inline constexpr std::size_t kSegmentFixedBytes = 72;
inline constexpr std::size_t kHashBytes = 32;
/// A tree of 2^64 leaves has no more peaks than this.
inline constexpr std::size_t kFrontierPeaksMax = 64;
static_assert(kSegmentFixedBytes + kFrontierPeaksMax * kHashBytes + 8 <= kSegmentHeaderBytes,
              "the fullest frontier and the checksum must fit the header block");

inline constexpr std::string_view kSegmentSuffix = ".seg";
/// Beside a sealed segment, with the same number.
inline constexpr std::string_view kIndexSuffix = ".idx";
/// The index of a segment that retention has removed: its index file, renamed.
inline constexpr std::string_view kPastSuffix = ".past";
inline constexpr std::size_t kSegmentNameDigits = 20;
/// An index of a removed segment that another replica has sent, until the log begins after it.
inline constexpr std::string_view kFetchedSuffix = ".fetched";
/// The segment that is being made, before it has a name of its own.
inline constexpr std::string_view kNextSegmentName = "next.tmp";

// --- mark ---
/// There while batches are being removed, or taken from another replica: see tail_cut.h.
inline constexpr std::string_view kMarkName = "tail.cut";
inline constexpr std::string_view kMarkMagic = "KEELCUT\n";
inline constexpr std::size_t kMarkBytes = 48;
/// There while another beginning is given to the log: see log_install.h.
inline constexpr std::string_view kInstallMarkName = "install.mark";
inline constexpr std::string_view kInstallMarkMagic = "KEELINS\n";
inline constexpr std::string_view kFetchName = "fetch.tmp";
inline constexpr std::string_view kStartName = "start.tmp";

// --- compressed segment ---
inline constexpr std::string_view kCompressedSuffix = ".seg.zst";
/// The first frame is the segment's header alone, so that a start decompresses little.
inline constexpr std::uint64_t kFirstFrameBytes = kSegmentHeaderBytes;
/// Of the segment, in every other frame but the last.
inline constexpr std::uint64_t kFrameBytes = 1u << 20;
inline constexpr std::uint32_t kSkippableMagic = 0x184D2A5E;
inline constexpr std::uint32_t kSeekTableMagic = 0x8F92EAB1;
inline constexpr std::size_t kSkippableHeadBytes = 8;
inline constexpr std::size_t kSeekEntryBytes = 8;
inline constexpr std::size_t kSeekFootBytes = 9;

/// Smaller ones only cost; tests use the smallest.
inline constexpr std::uint64_t kSegmentBytesMin = 64u << 10;
inline constexpr std::uint64_t kSegmentBytesMax = 1u << 30;
/// The first segment of a log is small and each next one this many times larger, up to the size
/// that is asked for: a topic of many partitions costs little before it is used.
inline constexpr std::uint64_t kFirstSegmentBytes = 1u << 20;
inline constexpr std::uint64_t kSegmentGrowth = 4;

// --- batch ---
inline constexpr std::uint32_t kBatchMagic = 0x31424C4B;  // "KLB1" as bytes
inline constexpr std::size_t kBatchHeaderBytes = 128;
/// Batches start at multiples of this, so that recovery knows where to look for one.
inline constexpr std::size_t kBatchAlignment = 8;
/// Of a whole batch. Far above what the partition gathers; positions in a batch are 32 bits wide.
inline constexpr std::uint32_t kBatchBytesMax = 1u << 30;
static_assert(kBatchHeaderBytes % kBatchAlignment == 0);
static_assert(kSegmentHeaderBytes % kBatchAlignment == 0);

// --- commit and event ---
inline constexpr std::size_t kCommitHeadBytes = 44;
inline constexpr std::size_t kFingerprintBytes = 16;
/// Length of the leaf, and the distance back to the commit.
inline constexpr std::size_t kEventFramingBytes = 8;
inline constexpr std::size_t kLeafHeadBytes = 28;

/// `position` rounded up to where a batch may start.
[[nodiscard]] constexpr std::uint64_t align_batch(std::uint64_t position) {
  return (position + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment;
}

}  // namespace keelson::log
