#include "engine/log/batch.h"

// xxHash by itself asks memory for 384 bytes ahead. These few cache lines do not cover the time
// that memory takes to answer: hashing a mapped segment took 2.5 times as long as with these.
#define XXH_PREFETCH_DIST 1024
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "engine/base/check.h"
#include "engine/base/coding.h"

namespace keelson::log {

namespace {

// Where each field lies. docs/log-format.md, "Batch".
constexpr std::size_t kMagic = 0;
constexpr std::size_t kVersion = 4;
constexpr std::size_t kKind = 6;
constexpr std::size_t kCodec = 7;
constexpr std::size_t kLength = 8;
constexpr std::size_t kEventCount = 12;
constexpr std::size_t kCommitCount = 16;
constexpr std::size_t kReserved = 20;
constexpr std::size_t kBatchNo = 24;
constexpr std::size_t kEpoch = 32;
constexpr std::size_t kBaseOffset = 40;
constexpr std::size_t kTime = 48;
constexpr std::size_t kDurableBatches = 56;
constexpr std::size_t kTreeRoot = 64;
constexpr std::size_t kBodyChecksum = 96;
constexpr std::size_t kReservedTail = 104;
constexpr std::size_t kReservedTailBytes = 16;
constexpr std::size_t kHeaderChecksum = 120;
static_assert(kHeaderChecksum + sizeof(std::uint64_t) == kBatchHeaderBytes);

}  // namespace

ChecksumSeed checksum_seed(const Uuid& identity) {
  return XXH3_64bits(identity.bytes.data(), identity.bytes.size());
}

std::uint64_t checksum(std::string_view bytes, ChecksumSeed seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::array<char, kBatchHeaderBytes> encode_batch_header(const BatchHeader& header,
                                                        ChecksumSeed seed) {
  std::array<char, kBatchHeaderBytes> bytes{};
  char* const at = bytes.data();
  put(at + kMagic, kBatchMagic);
  put(at + kVersion, kFormatVersion);
  put(at + kKind, static_cast<std::uint8_t>(header.kind));
  put(at + kCodec, static_cast<std::uint8_t>(header.codec));
  put(at + kLength, header.length);
  put(at + kEventCount, header.event_count);
  put(at + kCommitCount, header.commit_count);
  put(at + kBatchNo, header.batch_no.value);
  put(at + kEpoch, header.epoch.value);
  put(at + kBaseOffset, header.base_offset.value);
  put(at + kTime, header.time.value);
  put(at + kDurableBatches, header.durable_batches.value);
  std::memcpy(at + kTreeRoot, header.tree_root.data(), kHashBytes);
  put(at + kBodyChecksum, header.body_checksum);
  put(at + kHeaderChecksum, checksum({at, kHeaderChecksum}, seed));
  return bytes;
}

Result<BatchHeader> decode_batch_header(std::string_view bytes, ChecksumSeed seed) {
  if (bytes.size() < kBatchHeaderBytes) return fail(Errc::corruption, "batch header cut short");
  bytes = bytes.substr(0, kBatchHeaderBytes);
  if (get<std::uint32_t>(bytes, kMagic) != kBatchMagic) {
    return fail(Errc::corruption, "no batch here: wrong magic");
  }
  if (get<std::uint64_t>(bytes, kHeaderChecksum) !=
      checksum(bytes.substr(0, kHeaderChecksum), seed)) {
    return fail(Errc::corruption, "batch header fails its checksum");
  }
  // From here the bytes are as they were written: what is unknown comes from a later version.
  if (const auto version = get<std::uint16_t>(bytes, kVersion); version != kFormatVersion) {
    return fail(Errc::unsupported_format, "batch of format version " + std::to_string(version));
  }
  const auto kind = get<std::uint8_t>(bytes, kKind);
  if (kind > static_cast<std::uint8_t>(BatchKind::control)) {
    return fail(Errc::unsupported_format, "batch of kind " + std::to_string(kind));
  }
  const auto codec = get<std::uint8_t>(bytes, kCodec);
  if (codec > static_cast<std::uint8_t>(Codec::zstd)) {
    return fail(Errc::unsupported_format, "batch with codec " + std::to_string(codec));
  }
  const auto reserved_tail = bytes.substr(kReservedTail, kReservedTailBytes);
  if (get<std::uint32_t>(bytes, kReserved) != 0 ||
      reserved_tail.find_first_not_of('\0') != reserved_tail.npos) {
    return fail(Errc::unsupported_format, "batch header's reserved bytes are set");
  }
  BatchHeader header;
  header.kind = static_cast<BatchKind>(kind);
  header.codec = static_cast<Codec>(codec);
  header.length = get<std::uint32_t>(bytes, kLength);
  header.event_count = get<std::uint32_t>(bytes, kEventCount);
  header.commit_count = get<std::uint32_t>(bytes, kCommitCount);
  header.batch_no = BatchNo(get<std::uint64_t>(bytes, kBatchNo));
  header.epoch = Epoch(get<std::uint64_t>(bytes, kEpoch));
  header.base_offset = Offset(get<std::uint64_t>(bytes, kBaseOffset));
  header.time = TimeUs(get<std::int64_t>(bytes, kTime));
  header.durable_batches = BatchNo(get<std::uint64_t>(bytes, kDurableBatches));
  std::memcpy(header.tree_root.data(), bytes.data() + kTreeRoot, kHashBytes);
  header.body_checksum = get<std::uint64_t>(bytes, kBodyChecksum);
  const bool empty =
      header.event_count == 0 && header.commit_count == 0 && header.codec == Codec::none;
  if (header.kind == BatchKind::control && !empty) {
    return fail(Errc::unsupported_format, "control batch with events, commits or a codec");
  }
  if (header.length < kBatchHeaderBytes || header.length > kBatchBytesMax) {
    return fail(Errc::corruption, "batch length out of range");
  }
  return header;
}

std::string_view batch_bytes(std::string_view bytes) {
  if (bytes.size() < kBatchHeaderBytes) return {};
  const std::uint64_t length = get<std::uint32_t>(bytes, kLength);
  if (length < kBatchHeaderBytes || align_batch(length) > bytes.size()) return {};
  return bytes.substr(0, align_batch(length));
}

Result<void> check_batch_body(const BatchHeader& header, std::string_view batch,
                              ChecksumSeed seed) {
  KEELSON_ASSERT(batch.size() == header.padded_bytes());
  if (checksum(batch.substr(kBatchHeaderBytes), seed) != header.body_checksum) {
    return fail(Errc::corruption, "batch body fails its checksum");
  }
  return {};
}

}  // namespace keelson::log
