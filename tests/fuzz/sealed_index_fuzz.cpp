// Any bytes under right checksums: opening and every look-up must give a value or an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/sealed_index.h"
#include "engine/log/sealed_index_writer.h"

using namespace keelson;
using namespace keelson::log;

namespace {

constexpr std::uint32_t kEntriesAsked = 64;

/// The segment the file says it belongs to, so that it is not refused for that.
SegmentId claimed_segment(std::string_view bytes) {
  SegmentId id;
  std::memcpy(id.partition.bytes.data(), bytes.data() + index_header::kPartition,
              id.partition.bytes.size());
  id.first_batch = BatchNo(get<std::uint64_t>(bytes, index_header::kFirstBatch));
  id.base_offset = Offset(get<std::uint64_t>(bytes, index_header::kBaseOffset));
  id.used_end = get<std::uint64_t>(bytes, index_header::kUsedEnd);
  return id;
}

void ask_batches(const SealedIndex& index) {
  for (std::uint32_t i = 0; i < std::min(index.batch_count(), kEntriesAsked); ++i) {
    const auto entry = index.batch(i);
    if (!entry) continue;
    (void)index.batch_of_offset(entry->relative_offset);
    (void)index.batch_after(entry->time);
  }
}

void ask_stream(const SealedIndex& index, const StreamKey& key) {
  const auto found = index.find_stream(key);
  if (!found || !*found) return;
  const StreamPostings& postings = **found;
  KEELSON_ASSERT(postings.count() > 0 && postings.count() <= index.event_count());
  std::vector<Posting> all(postings.count());
  if (postings.copy(0, all)) {
    for (const Posting& posting : all) {
      KEELSON_ASSERT(posting.batch < index.batch_count());
      KEELSON_ASSERT(posting.relative_offset < index.event_count());
    }
  }
  (void)postings.nth(postings.count() - 1);
  const auto before = postings.count_before(index.event_count() / 2);
  KEELSON_ASSERT(!before || *before <= postings.count());
}

/// Asks for the streams and commits that the file has, whatever their entries say.
void ask_keys(const SealedIndex& index, std::string_view bytes) {
  const IndexCounts counts = read_index_counts(bytes);
  const IndexLayout layout(counts);
  for (std::uint32_t i = 0; i < std::min(counts.streams, kEntriesAsked); ++i) {
    const std::string_view entry = bytes.substr(layout.streams + i * kIndexStreamBytes);
    const auto position = std::min(get<std::uint32_t>(entry, 24), counts.name_bytes);
    const auto length = std::min(get<std::uint32_t>(entry, 28), counts.name_bytes - position);
    ask_stream(index,
               {bytes.substr(layout.names + position, length), get<std::uint64_t>(entry, 0)});
  }
  for (std::uint32_t i = 0; i < std::min(counts.commits, kEntriesAsked); ++i) {
    const auto refuses = [&](const CommitPlace& place) -> Result<bool> {
      KEELSON_ASSERT(place.batch < index.batch_count());
      return false;
    };
    (void)index.find_command(get<std::uint64_t>(bytes, layout.commits + i * kIndexCommitBytes),
                             refuses);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.size() < index_header::kBytes) return 0;
  set_index_checksums(bytes);
  const auto index = SealedIndex::open(bytes, claimed_segment(bytes));
  if (!index) return 0;
  KEELSON_ASSERT((*index)->check_all().has_value());
  ask_batches(**index);
  ask_keys(**index, bytes);
  return 0;
}
