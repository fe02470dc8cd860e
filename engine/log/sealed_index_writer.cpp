#include "engine/log/sealed_index_writer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/sealed_index_format.h"

namespace keelson::log {

namespace {

struct SealedStream {
  StreamKey key;
  StreamPostings postings;
};

struct SealedCommit {
  std::uint64_t hash;
  CommitPlace place;
};

/// Fills the sections of one index file.
class IndexImage {
 public:
  explicit IndexImage(const IndexCounts& counts)
      : layout_(counts), bytes_(layout_.file_bytes, '\0') {}

  void put_header(const SegmentId& segment, const IndexCounts& counts);
  void put_batches(const TailIndex& tail);
  void put_streams(const std::vector<SealedStream>& streams);
  void put_commits(const std::vector<SealedCommit>& commits);

  [[nodiscard]] std::string take() {
    set_index_checksums(bytes_);
    return std::move(bytes_);
  }

 private:
  void set_filter_bits(std::uint64_t filter, const KeyTable& table, std::uint64_t hash);
  template <class Hashed>
  void put_directory(std::uint64_t directory, const KeyTable& table,
                     const std::vector<Hashed>& sorted, std::uint64_t (*hash)(const Hashed&));
  void put_postings(std::uint64_t first, const StreamPostings& postings);

  char* at(std::uint64_t position) { return bytes_.data() + position; }

  IndexLayout layout_;
  std::string bytes_;
};

void IndexImage::put_header(const SegmentId& segment, const IndexCounts& counts) {
  kIndexMagic.copy(at(0), kIndexMagic.size());
  put(at(index_header::kVersion), kIndexVersion);
  put(at(index_header::kBatchCount), counts.batches);
  put(at(index_header::kEventCount), counts.events);
  put(at(index_header::kStreamCount), counts.streams);
  put(at(index_header::kCommitCount), counts.commits);
  put(at(index_header::kNameBytes), counts.name_bytes);
  bytes_of(segment.partition.bytes).copy(at(index_header::kPartition), 16);
  put(at(index_header::kFirstBatch), segment.first_batch.value);
  put(at(index_header::kBaseOffset), segment.base_offset.value);
  put(at(index_header::kUsedEnd), segment.used_end);
}

void IndexImage::put_batches(const TailIndex& tail) {
  char* to = at(layout_.batches);
  tail.visit_batches([&](const BatchEntry& entry) {
    put(to, entry.file_position);
    put(to + 4, entry.relative_offset);
    put(to + 8, entry.time.value);
    to += kIndexBatchBytes;
  });
}

void IndexImage::put_streams(const std::vector<SealedStream>& streams) {
  std::uint32_t first_posting = 0;
  std::uint32_t name_position = 0;
  char* to = at(layout_.streams);
  for (const SealedStream& stream : streams) {
    const auto name_bytes = static_cast<std::uint32_t>(stream.key.name.size());
    put(to, stream.key.hash);
    put(to + 8, stream.postings.first_version().value);
    put(to + 16, first_posting);
    put(to + 20, stream.postings.count());
    put(to + 24, name_position);
    put(to + 28, name_bytes);
    to += kIndexStreamBytes;

    stream.key.name.copy(at(layout_.names + name_position), name_bytes);
    put_postings(first_posting, stream.postings);
    set_filter_bits(layout_.stream_filter, layout_.stream_table, stream.key.hash);
    first_posting += stream.postings.count();
    name_position += name_bytes;
  }
  put_directory<SealedStream>(layout_.stream_directory, layout_.stream_table, streams,
                              [](const SealedStream& stream) { return stream.key.hash; });
}

void IndexImage::put_postings(std::uint64_t first, const StreamPostings& postings) {
  std::vector<Posting> all(postings.count());
  const Result<void> copied = postings.copy(0, all);
  KEELSON_ASSERT(copied.has_value());  // a TailIndex never fails
  char* to = at(layout_.postings + first * kIndexPostingBytes);
  for (const Posting& posting : all) {
    put(to, posting.relative_offset);
    put(to + 4, posting.batch);
    put(to + 8, posting.body_position);
    to += kIndexPostingBytes;
  }
}

void IndexImage::put_commits(const std::vector<SealedCommit>& commits) {
  char* to = at(layout_.commits);
  for (const SealedCommit& commit : commits) {
    put(to, commit.hash);
    put(to + 8, commit.place.batch);
    put(to + 12, commit.place.body_position);
    to += kIndexCommitBytes;
    set_filter_bits(layout_.command_filter, layout_.command_table, commit.hash);
  }
  put_directory<SealedCommit>(layout_.command_directory, layout_.command_table, commits,
                              [](const SealedCommit& commit) { return commit.hash; });
}

void IndexImage::set_filter_bits(std::uint64_t filter, const KeyTable& table, std::uint64_t hash) {
  char* line = at(filter + filter_line(hash, table.filter_lines) * kFilterLineBytes);
  for (unsigned i = 0; i < kFilterProbes; ++i) {
    const std::size_t bit = filter_bit(hash, i);
    line[bit / 8] = static_cast<char>(static_cast<unsigned char>(line[bit / 8]) | 1u << bit % 8);
  }
}

template <class Hashed>
void IndexImage::put_directory(std::uint64_t directory, const KeyTable& table,
                               const std::vector<Hashed>& sorted,
                               std::uint64_t (*hash)(const Hashed&)) {
  std::uint32_t entry = 0;
  for (std::uint64_t bucket = 0; bucket <= table.buckets; ++bucket) {
    while (entry < sorted.size() && table.bucket(hash(sorted[entry])) < bucket) ++entry;
    put(at(directory + bucket * kDirectorySlotBytes), entry);
  }
}

}  // namespace

std::string seal_index(const TailIndex& tail, const SegmentId& segment) {
  const TailIndex::Counts counts = tail.counts();
  std::uint64_t name_bytes = 0;
  std::vector<SealedStream> streams;
  streams.reserve(counts.streams);
  tail.visit_streams([&](const StreamKey& key, const StreamPostings& postings) {
    streams.push_back({key, postings});
    name_bytes += key.name.size();
  });
  std::vector<SealedCommit> commits;
  commits.reserve(counts.commits);
  tail.visit_commits([&](std::uint64_t hash, const CommitPlace& place) {
    commits.push_back({hash, place});
  });
  KEELSON_ASSERT(name_bytes <= UINT32_MAX);  // they are in the segment, which is smaller

  // Stable: within a hash streams stay in order of appearance, and commits newest first.
  std::ranges::stable_sort(streams, {}, [](const SealedStream& s) { return s.key.hash; });
  std::ranges::stable_sort(commits, {}, &SealedCommit::hash);

  const IndexCounts sizes{counts.batches, counts.events, counts.streams, counts.commits,
                          static_cast<std::uint32_t>(name_bytes)};
  IndexImage image(sizes);
  image.put_header(segment, sizes);
  image.put_batches(tail);
  image.put_streams(streams);
  image.put_commits(commits);
  return image.take();
}

void set_index_checksums(std::string& bytes) {
  if (bytes.size() < index_header::kBytes) return;
  const IndexLayout layout(read_index_counts(bytes));
  if (layout.file_bytes != bytes.size()) return;
  const std::string_view all = bytes;
  Uuid partition;
  std::memcpy(partition.bytes.data(), bytes.data() + index_header::kPartition,
              partition.bytes.size());
  const ChecksumSeed seed = checksum_seed(partition);
  for (std::uint64_t block = 0; block < layout.blocks; ++block) {
    const auto [first, end] = layout.block(block);
    put(bytes.data() + layout.checksums + block * kChecksumBytes,
        checksum(all.substr(first, end - first), seed));
  }
  put(bytes.data() + index_header::kTableChecksum, checksum(all.substr(layout.checksums), seed));
  put(bytes.data() + index_header::kHeaderChecksum,
      checksum(all.substr(0, index_header::kHeaderChecksum), seed));
}

}  // namespace keelson::log
