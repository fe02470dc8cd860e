#include "engine/log/sealed_index.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/batch.h"

namespace keelson::log {

namespace {

constexpr std::size_t kBlocksPerWord = 64;

constexpr std::uint32_t kPostingsAhead = 64;
constexpr std::uint32_t kPostingsPerLine = 64 / kIndexPostingBytes;

SegmentId read_segment_id(std::string_view header) {
  SegmentId id;
  std::memcpy(id.partition.bytes.data(), header.data() + index_header::kPartition,
              id.partition.bytes.size());
  id.first_batch = BatchNo(get<std::uint64_t>(header, index_header::kFirstBatch));
  id.base_offset = Offset(get<std::uint64_t>(header, index_header::kBaseOffset));
  id.used_end = get<std::uint64_t>(header, index_header::kUsedEnd);
  return id;
}

std::unexpected<Error> unusable(BatchNo first_batch, std::string_view why,
                                Errc code = Errc::corruption) {
  return fail(code, "index of the segment from batch " + std::to_string(first_batch.value) + ": " +
                        std::string(why));
}

std::unexpected<Error> no_index(std::string_view why, Errc code = Errc::corruption) {
  return fail(code, "index of a segment: " + std::string(why));
}

Posting decode_posting(std::string_view bytes, std::size_t position) {
  return {get<std::uint32_t>(bytes, position), get<std::uint32_t>(bytes, position + 4),
          get<std::uint32_t>(bytes, position + 8)};
}

}  // namespace

Result<SegmentId> SealedIndex::owner_of(std::string_view bytes) {
  if (bytes.size() < index_header::kBytes) return no_index("shorter than its header");
  const std::string_view header = bytes.substr(0, index_header::kBytes);
  if (!header.starts_with(kIndexMagic)) return no_index("not an index file");
  const auto version = get<std::uint32_t>(header, index_header::kVersion);
  if (version != kIndexVersion) {
    return no_index("version " + std::to_string(version), Errc::unsupported_format);
  }
  const SegmentId owner = read_segment_id(header);
  if (checksum(header.substr(0, index_header::kHeaderChecksum), checksum_seed(owner.partition)) !=
      get<std::uint64_t>(header, index_header::kHeaderChecksum)) {
    return no_index("the header's checksum is wrong");
  }
  return owner;
}

Result<std::unique_ptr<SealedIndex>> SealedIndex::open(std::string_view bytes,
                                                       const SegmentId& segment,
                                                       const io::ReadFaults* faults) {
  KEELSON_TRY_ASSIGN(const SegmentId owner, owner_of(bytes));
  if (owner != segment) return unusable(segment.first_batch, "belongs to another segment");
  const std::string_view header = bytes.substr(0, index_header::kBytes);
  const ChecksumSeed seed = checksum_seed(owner.partition);

  const std::string_view reserved = header.substr(
      index_header::kReserved, index_header::kTableChecksum - index_header::kReserved);
  if (reserved.find_first_not_of('\0') != std::string_view::npos) {
    return unusable(segment.first_batch, "a reserved field is not zero");
  }

  const IndexCounts counts = read_index_counts(header);
  const IndexLayout layout(counts);
  if (layout.file_bytes != bytes.size()) {
    return unusable(segment.first_batch, "has " + std::to_string(bytes.size()) +
                                             " bytes instead of " +
                                             std::to_string(layout.file_bytes));
  }
  if (checksum(bytes.substr(layout.checksums), seed) !=
      get<std::uint64_t>(header, index_header::kTableChecksum)) {
    return unusable(segment.first_batch, "the checksum of the block checksums is wrong");
  }
  if (faults != nullptr && faults->any()) {
    return unusable(segment.first_batch, "a part of it cannot be read");
  }
  return std::unique_ptr<SealedIndex>(new SealedIndex(bytes, segment, counts, faults));
}

SealedIndex::SealedIndex(std::string_view bytes, const SegmentId& segment,
                         const IndexCounts& counts, const io::ReadFaults* faults)
    : bytes_(bytes),
      faults_(faults),
      first_batch_(segment.first_batch),
      seed_(checksum_seed(segment.partition)),
      counts_(counts),
      layout_(counts),
      checked_blocks_(std::make_unique<std::atomic<std::uint64_t>[]>(
          (layout_.blocks + kBlocksPerWord - 1) / kBlocksPerWord)) {}

// --- bytes ---

std::unexpected<Error> SealedIndex::found_damaged(std::string_view what) const {
  damaged_.store(true, std::memory_order_relaxed);
  return unusable(first_batch_, what);
}

bool SealedIndex::is_checked(std::uint64_t block) const {
  const std::uint64_t word =
      checked_blocks_[block / kBlocksPerWord].load(std::memory_order_relaxed);
  return (word >> block % kBlocksPerWord & 1u) != 0;
}

Result<void> SealedIndex::check_block(std::uint64_t block) const {
  const auto [first, end] = layout_.block(block);
  const auto expected = get<std::uint64_t>(bytes_, layout_.checksums + block * kChecksumBytes);
  if (checksum(bytes_.substr(first, end - first), seed_) != expected) {
    return found_damaged("the checksum of bytes " + std::to_string(first) + " to " +
                         std::to_string(end) + " is wrong");
  }
  checked_blocks_[block / kBlocksPerWord].fetch_or(std::uint64_t{1} << block % kBlocksPerWord,
                                                   std::memory_order_relaxed);
  return {};
}

Result<void> SealedIndex::check_all() const {
  return believed([&]() -> Result<void> {
    for (std::uint64_t block = 0; block < layout_.blocks; ++block) KEELSON_TRY(check_block(block));
    return {};
  });
}

Result<std::string_view> SealedIndex::checked(std::uint64_t position, std::uint64_t length) const {
  KEELSON_ASSERT(position <= layout_.checksums && length <= layout_.checksums - position);
  const std::uint64_t blocks_end = (position + length + kIndexBlockBytes - 1) / kIndexBlockBytes;
  for (std::uint64_t block = position / kIndexBlockBytes; block < blocks_end; ++block) {
    if (!is_checked(block)) KEELSON_TRY(check_block(block));
  }
  return bytes_.substr(position, length);
}

// --- batches ---

Result<BatchEntry> SealedIndex::batch(std::uint32_t i) const {
  return believed([&]() -> Result<BatchEntry> {
    KEELSON_ASSERT(i < counts_.batches);
    KEELSON_TRY_ASSIGN(
        const std::string_view entry,
        checked(layout_.batches + std::uint64_t{i} * kIndexBatchBytes, kIndexBatchBytes));
    return BatchEntry{get<std::uint32_t>(entry, 0), get<std::uint32_t>(entry, 4),
                      TimeUs(get<std::int64_t>(entry, 8))};
  });
}

Result<void> SealedIndex::find_batches(std::span<const Posting> postings,
                                       std::span<BatchExtent> extents) const {
  return believed([&]() -> Result<void> {
    for (std::size_t i = 0; i < postings.size(); ++i) {
      const std::uint32_t batch = postings[i].batch;  // `copy_postings` has checked that it is one
      const bool last = batch + 1 == counts_.batches;
      KEELSON_TRY_ASSIGN(const std::string_view entries,
                         checked(layout_.batches + std::uint64_t{batch} * kIndexBatchBytes,
                                 (last ? 1 : 2) * kIndexBatchBytes));
      extents[i] = {get<std::uint32_t>(entries, 0),
                    last ? 0 : get<std::uint32_t>(entries, kIndexBatchBytes)};
    }
    return {};
  });
}

// --- keys ---

SealedIndex::HashedSection SealedIndex::stream_section() const {
  return {layout_.stream_table, layout_.stream_filter, layout_.stream_directory,
          layout_.streams,      counts_.streams,       kIndexStreamBytes};
}

SealedIndex::HashedSection SealedIndex::command_section() const {
  return {layout_.command_table, layout_.command_filter, layout_.command_directory,
          layout_.commits,       counts_.commits,        kIndexCommitBytes};
}

Result<bool> SealedIndex::may_contain(const HashedSection& section, std::uint64_t hash) const {
  if (section.entry_count == 0) return false;
  const std::uint64_t line_no = filter_line(hash, section.table.filter_lines);
  KEELSON_TRY_ASSIGN(const std::string_view line,
                     checked(section.filter + line_no * kFilterLineBytes, kFilterLineBytes));
  for (unsigned i = 0; i < kFilterProbes; ++i) {
    const std::size_t bit = filter_bit(hash, i);
    if ((static_cast<unsigned char>(line[bit / 8]) >> bit % 8 & 1u) == 0) return false;
  }
  return true;
}

Result<std::uint64_t> SealedIndex::hash_at(const HashedSection& section, std::uint32_t i) const {
  KEELSON_TRY_ASSIGN(
      const std::string_view bytes,
      checked(section.entries + std::uint64_t{i} * section.entry_bytes, sizeof(std::uint64_t)));
  return get<std::uint64_t>(bytes, 0);
}

Result<std::uint64_t> SealedIndex::stream_hash(std::uint32_t i) const {
  return believed([&]() -> Result<std::uint64_t> {
    KEELSON_ASSERT(i < counts_.streams);
    return hash_at(stream_section(), i);
  });
}

Result<std::uint64_t> SealedIndex::commit_hash(std::uint32_t i) const {
  return believed([&]() -> Result<std::uint64_t> {
    KEELSON_ASSERT(i < counts_.commits);
    return hash_at(command_section(), i);
  });
}

Result<SealedIndex::EntryRange> SealedIndex::candidates(const HashedSection& section,
                                                        std::uint64_t hash) const {
  KEELSON_TRY_ASSIGN(const bool possible, may_contain(section, hash));
  if (!possible) return EntryRange{0, 0};
  const std::uint64_t slot = section.table.bucket(hash) * kDirectorySlotBytes;
  KEELSON_TRY_ASSIGN(const std::string_view slots,
                     checked(section.directory + slot, 2 * kDirectorySlotBytes));
  auto first = get<std::uint32_t>(slots, 0);
  const auto bucket_end = get<std::uint32_t>(slots, kDirectorySlotBytes);
  if (first > bucket_end || bucket_end > section.entry_count) {
    return found_damaged("a directory slot points outside its section");
  }
  // One hash repeated often makes a bucket large, so search it by halves.
  std::uint32_t end = bucket_end;
  while (first < end) {
    const std::uint32_t middle = first + (end - first) / 2;
    KEELSON_TRY_ASSIGN(const std::uint64_t other, hash_at(section, middle));
    if (other < hash) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return EntryRange{first, bucket_end};
}

Result<std::optional<StreamPostings>> SealedIndex::find_stream(const StreamKey& key) const {
  return believed([&]() -> Result<std::optional<StreamPostings>> {
    KEELSON_TRY_ASSIGN(const EntryRange range, candidates(stream_section(), key.hash));
    for (std::uint32_t i = range.first; i < range.end; ++i) {
      KEELSON_TRY_ASSIGN(
          const std::string_view entry,
          checked(layout_.streams + std::uint64_t{i} * kIndexStreamBytes, kIndexStreamBytes));
      if (get<std::uint64_t>(entry, 0) != key.hash) break;
      const auto name_position = get<std::uint32_t>(entry, 24);
      const auto name_bytes = get<std::uint32_t>(entry, 28);
      if (name_position > counts_.name_bytes || name_bytes > counts_.name_bytes - name_position) {
        return found_damaged("a stream's name lies outside the names");
      }
      if (name_bytes != key.name.size()) continue;
      KEELSON_TRY_ASSIGN(const std::string_view name,
                         checked(layout_.names + name_position, name_bytes));
      if (name != key.name) continue;
      KEELSON_TRY_ASSIGN(const StreamPostings postings, postings_of(entry));
      return postings;
    }
    return std::nullopt;
  });
}

Result<std::optional<CommitPlace>> SealedIndex::find_command(std::uint64_t hash,
                                                             const CommitMatch& matches) const {
  return believed([&]() -> Result<std::optional<CommitPlace>> {
    KEELSON_TRY_ASSIGN(const EntryRange range, candidates(command_section(), hash));
    for (std::uint32_t i = range.first; i < range.end; ++i) {
      KEELSON_TRY_ASSIGN(
          const std::string_view entry,
          checked(layout_.commits + std::uint64_t{i} * kIndexCommitBytes, kIndexCommitBytes));
      if (get<std::uint64_t>(entry, 0) != hash) break;
      const CommitPlace place{get<std::uint32_t>(entry, 8), get<std::uint32_t>(entry, 12)};
      if (place.batch >= counts_.batches) return found_damaged("a commit lies in no batch");
      KEELSON_TRY_ASSIGN(const bool same, matches(place));
      if (same) return place;
    }
    return std::nullopt;
  });
}

// --- postings ---

Result<StreamPostings> SealedIndex::postings_of(std::string_view stream_entry) const {
  const auto first_version = get<std::uint64_t>(stream_entry, 8);
  const auto first_posting = get<std::uint32_t>(stream_entry, 16);
  const auto count = get<std::uint32_t>(stream_entry, 20);
  if (count == 0 || first_posting > counts_.events || count > counts_.events - first_posting) {
    return found_damaged("a stream's postings lie outside the postings");
  }
  if (first_version == 0 || first_version > UINT64_MAX - count) {
    return found_damaged("a stream's first version is out of range");
  }
  // They are read next, as a rule: the processor is asked for them now.
  const char* const postings = bytes_.data() + layout_.postings;
  const std::uint64_t ahead = std::min(count, kPostingsAhead);
  for (std::uint64_t i = 0; i < ahead; i += kPostingsPerLine) {
    __builtin_prefetch(postings + (first_posting + i) * kIndexPostingBytes);
  }
  return StreamPostings(*this, first_posting, Version(first_version), count);
}

Result<Posting> SealedIndex::posting(std::uint64_t i) const {
  KEELSON_TRY_ASSIGN(const std::string_view bytes,
                     checked(layout_.postings + i * kIndexPostingBytes, kIndexPostingBytes));
  return decode_posting(bytes, 0);
}

Result<void> SealedIndex::copy_postings(std::uint32_t handle, std::uint32_t /*count*/,
                                        std::uint32_t first, std::span<Posting> out) const {
  return believed([&]() -> Result<void> {
    const std::uint64_t from = std::uint64_t{handle} + first;
    KEELSON_TRY_ASSIGN(
        const std::string_view bytes,
        checked(layout_.postings + from * kIndexPostingBytes, out.size() * kIndexPostingBytes));
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = decode_posting(bytes, i * kIndexPostingBytes);
      if (out[i].batch >= counts_.batches || out[i].relative_offset >= counts_.events) {
        return found_damaged("a posting points outside the segment");
      }
    }
    return {};
  });
}

Result<std::uint32_t> SealedIndex::count_postings_before(std::uint32_t handle, std::uint32_t count,
                                                         std::uint64_t relative_offset) const {
  return believed([&]() -> Result<std::uint32_t> {
    if (relative_offset >= counts_.events) return count;
    std::uint32_t first = 0;
    std::uint32_t end = count;
    while (first < end) {
      const std::uint32_t middle = first + (end - first) / 2;
      KEELSON_TRY_ASSIGN(const Posting at, posting(std::uint64_t{handle} + middle));
      if (at.relative_offset < relative_offset) {
        first = middle + 1;
      } else {
        end = middle;
      }
    }
    return first;
  });
}

}  // namespace keelson::log
