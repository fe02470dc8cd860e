#include "engine/log/segment_header.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

// Where each field lies. docs/log-format.md, "Segment". Magic, version and checksum stay where they
// are in every later version.
constexpr std::size_t kMagic = 0;
constexpr std::size_t kVersion = 8;
constexpr std::size_t kReserved = 10;
constexpr std::size_t kPeakCount = 12;
constexpr std::size_t kIdentity = 16;
constexpr std::size_t kFirstBatch = 32;
constexpr std::size_t kBaseOffset = 40;
constexpr std::size_t kLastEpoch = 48;
constexpr std::size_t kLastTime = 56;
constexpr std::size_t kCapacity = 64;
constexpr std::size_t kPeaks = kSegmentFixedBytes;
constexpr std::size_t kChecksum = kSegmentHeaderBytes - sizeof(std::uint64_t);

/// The header is checked before its identity is: its own checksum cannot depend on it.
constexpr ChecksumSeed kNoSeed = 0;

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  const auto& peaks = header.start.tree.peaks();
  std::string bytes(kSegmentHeaderBytes, '\0');
  char* const at = bytes.data();
  std::memcpy(at + kMagic, kSegmentMagic.data(), kSegmentMagic.size());
  put(at + kVersion, kFormatVersion);
  put(at + kPeakCount, static_cast<std::uint32_t>(peaks.size()));
  std::memcpy(at + kIdentity, header.identity.bytes.data(), header.identity.bytes.size());
  put(at + kFirstBatch, header.start.point.next_batch.value);
  put(at + kBaseOffset, header.start.point.end.value);
  put(at + kLastEpoch, header.start.point.last_epoch.value);
  put(at + kLastTime, header.start.point.last_time.value);
  put(at + kCapacity, header.capacity);
  for (std::size_t i = 0; i < peaks.size(); ++i) {
    std::memcpy(at + kPeaks + i * kHashBytes, peaks[i].data(), kHashBytes);
  }
  put(at + kChecksum, checksum({at, kChecksum}, kNoSeed));
  return bytes;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes, const Uuid& identity) {
  if (bytes.size() < kSegmentHeaderBytes) return fail(Errc::corruption, "segment header cut short");
  bytes = bytes.substr(0, kSegmentHeaderBytes);
  if (!bytes.starts_with(kSegmentMagic))
    return fail(Errc::corruption, "not a segment: wrong magic");
  if (get<std::uint64_t>(bytes, kChecksum) != checksum(bytes.substr(0, kChecksum), kNoSeed)) {
    return fail(Errc::corruption, "segment header fails its checksum");
  }
  if (const auto version = get<std::uint16_t>(bytes, kVersion); version != kFormatVersion) {
    return fail(Errc::unsupported_format, "segment of format version " + std::to_string(version));
  }
  if (get<std::uint16_t>(bytes, kReserved) != 0) {
    return fail(Errc::unsupported_format, "segment header's reserved bytes are set");
  }
  SegmentHeader header;
  std::memcpy(header.identity.bytes.data(), bytes.data() + kIdentity, header.identity.bytes.size());
  if (header.identity != identity) {
    return fail(Errc::unsupported_format, "segment belongs to another partition");
  }
  auto& point = header.start.point;
  point.next_batch = BatchNo(get<std::uint64_t>(bytes, kFirstBatch));
  point.end = Offset(get<std::uint64_t>(bytes, kBaseOffset));
  point.last_epoch = Epoch(get<std::uint64_t>(bytes, kLastEpoch));
  point.last_time = TimeUs(get<std::int64_t>(bytes, kLastTime));
  header.capacity = get<std::uint64_t>(bytes, kCapacity);
  const auto peak_count = get<std::uint32_t>(bytes, kPeakCount);
  if (peak_count != static_cast<std::uint32_t>(std::popcount(point.end.value))) {
    return fail(Errc::corruption, "segment header's Merkle frontier does not fit its offset");
  }
  const std::size_t rest = kPeaks + peak_count * kHashBytes;
  if (bytes.substr(rest, kChecksum - rest).find_first_not_of('\0') != bytes.npos) {
    return fail(Errc::unsupported_format, "segment header's bytes after the frontier are set");
  }
  std::vector<Hash> peaks(peak_count);
  for (std::size_t i = 0; i < peaks.size(); ++i) {
    std::memcpy(peaks[i].data(), bytes.data() + kPeaks + i * kHashBytes, kHashBytes);
  }
  header.start.tree = MerkleFrontier(point.end.value, std::move(peaks));
  return header;
}

std::string segment_name(BatchNo first_batch) {
  const std::string digits = std::to_string(first_batch.value);
  return std::string(kSegmentNameDigits - digits.size(), '0') + digits +
         std::string(kSegmentSuffix);
}

std::optional<BatchNo> parse_segment_name(std::string_view name) {
  if (name.size() != kSegmentNameDigits + kSegmentSuffix.size()) return std::nullopt;
  if (!name.ends_with(kSegmentSuffix)) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = name.data() + kSegmentNameDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return BatchNo(number);
}

}  // namespace keelson::log
