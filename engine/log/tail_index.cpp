#include "engine/log/tail_index.h"

#include <algorithm>
#include <bit>
#include <string>

#include "engine/base/check.h"

namespace keelson::log {

namespace {

constexpr std::uint64_t kSegmentBytesPerBucket = 512;

}  // namespace

TailIndex::Buckets::Buckets(std::uint64_t segment_bytes) {
  // At least two, so that the shift below stays within the word.
  const std::uint64_t count =
      std::bit_ceil(std::max<std::uint64_t>(segment_bytes / kSegmentBytesPerBucket, 2));
  heads_ = std::make_unique<std::atomic<std::uint32_t>[]>(count);
  for (std::uint64_t i = 0; i < count; ++i) heads_[i].store(kNone, std::memory_order_relaxed);
  shift_ = 64 - static_cast<unsigned>(std::countr_zero(count));
}

std::atomic<std::uint32_t>& TailIndex::Buckets::of(std::uint64_t hash) const {
  return heads_[hash >> shift_];
}

TailIndex::TailIndex(std::uint64_t segment_bytes)
    : stream_buckets_(segment_bytes), command_buckets_(segment_bytes) {
  // What the class comment promises.
  static_assert(sizeof(StreamNode) == 56 && sizeof(Posting) == 12 && sizeof(Block) == 16 &&
                sizeof(BatchNode) == 24 && sizeof(CommandNode) + sizeof(CommitNode) == 28);
}

// --- writer ---

void TailIndex::add_batch(const BatchEntry& entry, std::uint32_t event_count) {
  KEELSON_ASSERT(entry.relative_offset == event_count_);
  KEELSON_ASSERT(batches_.size() == 0 || batches_[batches_.size() - 1].events_end == event_count_);
  batches_[batches_.push()] = {entry, entry.relative_offset + event_count};
}

Result<void> TailIndex::add_event(const StreamKey& key, Version version,
                                  std::uint32_t body_position) {
  KEELSON_ASSERT(batches_.size() > 0 && event_count_ < batches_[batches_.size() - 1].events_end);
  const Posting posting{event_count_, batches_.size() - 1, body_position};
  if (const std::uint32_t known = find_stream_node(key); known != kNone) {
    StreamNode& stream = streams_[known];
    const Version next = stream.first_version + stream.count.load(std::memory_order_relaxed);
    if (version != next) {
      return fail(Errc::corruption, "version " + std::to_string(version.value) + " of '" +
                                        std::string(key.name) + "' follows " +
                                        std::to_string(next.value - 1));
    }
    push_posting(stream, posting);
  } else if (version == Version(0)) {
    return fail(Errc::corruption, "version 0 of '" + std::string(key.name) + "'");
  } else {
    push_stream(key, version, posting);
  }
  ++event_count_;
  return {};
}

void TailIndex::push_stream(const StreamKey& key, Version first_version, const Posting& first) {
  char* const name = static_cast<char*>(memory_.allocate(key.name.size(), 1));
  key.name.copy(name, key.name.size());
  std::atomic<std::uint32_t>& head = stream_buckets_.of(key.hash);
  const std::uint32_t added = streams_.push();
  StreamNode& stream = streams_[added];
  stream.hash = key.hash;
  stream.first_version = first_version;
  stream.name = name;
  stream.name_bytes = static_cast<std::uint32_t>(key.name.size());
  stream.next = head.load(std::memory_order_relaxed);
  stream.first = first;
  stream.count.store(1, std::memory_order_relaxed);
  stream.newest.store(nullptr, std::memory_order_relaxed);
  head.store(added, std::memory_order_release);
}

void TailIndex::push_posting(StreamNode& stream, const Posting& posting) {
  const std::uint32_t i = stream.count.load(std::memory_order_relaxed);
  Block* block = stream.newest.load(std::memory_order_relaxed);
  if (std::has_single_bit(i + 1)) {
    // The newest block, which ends at 2^n - 2, is full.
    const std::size_t bytes = sizeof(Block) + (i + 1) * sizeof(Posting);
    block = new (memory_.allocate(bytes, alignof(Block))) Block{block, i};
    stream.newest.store(block, std::memory_order_release);
  }
  block->postings()[i - block->first] = posting;
  stream.count.store(i + 1, std::memory_order_release);
}

void TailIndex::add_commit(std::uint64_t hash, std::uint32_t body_position) {
  KEELSON_ASSERT(batches_.size() > 0);
  const std::uint32_t commit = commits_.push();
  CommitNode& node = commits_[commit];
  node.place = {batches_.size() - 1, body_position};

  if (const std::uint32_t known = find_command_node(hash); known != kNone) {
    CommandNode& command = commands_[known];
    node.previous = command.newest.load(std::memory_order_relaxed);
    command.newest.store(commit, std::memory_order_release);
    return;
  }

  node.previous = kNone;
  std::atomic<std::uint32_t>& head = command_buckets_.of(hash);
  const std::uint32_t added = commands_.push();
  CommandNode& command = commands_[added];
  command.hash = hash;
  command.next = head.load(std::memory_order_relaxed);
  command.newest.store(commit, std::memory_order_relaxed);
  head.store(added, std::memory_order_release);
}

void TailIndex::publish(std::uint32_t batches) {
  KEELSON_ASSERT(batches >= published().batches);
  if (batches == 0) return;
  const std::uint64_t events = batches_[batches - 1].events_end;
  published_.store(std::uint64_t{batches} << 32 | events, std::memory_order_release);
}

// --- readers ---

TailIndex::Published TailIndex::published() const {
  const std::uint64_t both = published_.load(std::memory_order_acquire);
  return {static_cast<std::uint32_t>(both >> 32), static_cast<std::uint32_t>(both)};
}

Result<BatchEntry> TailIndex::batch(std::uint32_t i) const {
  KEELSON_ASSERT(i < batch_count());
  return batches_[i].entry;
}

Result<void> TailIndex::find_batches(std::span<const Posting> postings,
                                     std::span<BatchExtent> extents) const {
  const std::uint32_t batches = published().batches;
  const auto begin = [this](std::uint32_t i) { return batches_[i].entry.file_position; };
  std::ranges::transform(postings, extents.begin(), [&](const Posting& posting) {
    const std::uint32_t next = posting.batch + 1;
    return BatchExtent{begin(posting.batch), next < batches ? begin(next) : 0};
  });
  return {};
}

std::uint32_t TailIndex::find_stream_node(const StreamKey& key) const {
  std::uint32_t i = stream_buckets_.of(key.hash).load(std::memory_order_acquire);
  while (i != kNone) {
    const StreamNode& stream = streams_[i];
    if (stream.hash == key.hash && stream.key().name == key.name) break;
    i = stream.next;
  }
  return i;
}

std::uint32_t TailIndex::find_command_node(std::uint64_t hash) const {
  std::uint32_t i = command_buckets_.of(hash).load(std::memory_order_acquire);
  while (i != kNone && commands_[i].hash != hash) i = commands_[i].next;
  return i;
}

Result<std::optional<StreamPostings>> TailIndex::find_stream(const StreamKey& key) const {
  const std::uint32_t events_end = published().events;
  const std::uint32_t found = find_stream_node(key);
  if (found == kNone) return std::nullopt;
  const StreamNode& stream = streams_[found];
  const std::uint32_t count =
      count_before(stream, stream.count.load(std::memory_order_acquire), events_end);
  if (count == 0) return std::nullopt;
  return StreamPostings(*this, found, stream.first_version, count);
}

Result<std::optional<CommitPlace>> TailIndex::find_command(std::uint64_t hash,
                                                           const CommitMatch& matches) const {
  const std::uint32_t batches_end = published().batches;
  const std::uint32_t found = find_command_node(hash);
  if (found == kNone) return std::nullopt;
  std::uint32_t i = commands_[found].newest.load(std::memory_order_acquire);
  for (; i != kNone; i = commits_[i].previous) {
    const CommitPlace& place = commits_[i].place;
    if (place.batch >= batches_end) continue;
    KEELSON_TRY_ASSIGN(const bool same, matches(place));
    if (same) return place;
  }
  return std::nullopt;
}

const TailIndex::Block* TailIndex::block_of(const StreamNode& stream, std::uint32_t i) {
  // Begins perhaps with a block that is newer than what the reader has seen counted.
  const Block* block = stream.newest.load(std::memory_order_acquire);
  while (block != nullptr && block->first > i) block = block->previous;
  return block;
}

std::uint32_t TailIndex::count_before(const StreamNode& stream, std::uint32_t count,
                                      std::uint64_t relative_offset) {
  const auto is_before = [relative_offset](const Posting& posting) {
    return posting.relative_offset < relative_offset;
  };
  while (count > 1) {
    const Block* const block = block_of(stream, count - 1);
    const Posting* const first = block->postings();
    const Posting* const end = first + (count - block->first);
    if (is_before(end[-1])) return count;
    if (is_before(*first)) {
      return block->first +
             static_cast<std::uint32_t>(std::partition_point(first, end, is_before) - first);
    }
    count = block->first;
  }
  return count == 1 && is_before(stream.first) ? 1 : 0;
}

Result<void> TailIndex::copy_postings(std::uint32_t handle, std::uint32_t /*count*/,
                                      std::uint32_t first, std::span<Posting> out) const {
  const StreamNode& stream = streams_[handle];
  auto end = first + static_cast<std::uint32_t>(out.size());
  const Block* block = block_of(stream, end - 1);
  for (; end > first && block != nullptr; block = block->previous) {
    const std::uint32_t from = std::max(first, block->first);
    const Posting* const postings = block->postings();
    std::copy(postings + (from - block->first), postings + (end - block->first),
              out.begin() + (from - first));
    end = from;
  }
  if (end > first) out[0] = stream.first;
  return {};
}

Result<std::uint32_t> TailIndex::count_postings_before(std::uint32_t handle, std::uint32_t count,
                                                       std::uint64_t relative_offset) const {
  return count_before(streams_[handle], count, relative_offset);
}

// --- sealing ---

TailIndex::Counts TailIndex::counts() const {
  return {batches_.size(), event_count_, streams_.size(), commits_.size()};
}

void TailIndex::visit_batches(const std::function<void(const BatchEntry&)>& visit) const {
  for (std::uint32_t i = 0; i < batches_.size(); ++i) visit(batches_[i].entry);
}

void TailIndex::visit_streams(
    const std::function<void(const StreamKey&, const StreamPostings&)>& visit) const {
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    const StreamNode& stream = streams_[i];
    visit(stream.key(), StreamPostings(*this, i, stream.first_version,
                                       stream.count.load(std::memory_order_acquire)));
  }
}

void TailIndex::visit_commits(
    const std::function<void(std::uint64_t, const CommitPlace&)>& visit) const {
  for (std::uint32_t i = 0; i < commands_.size(); ++i) {
    std::uint32_t commit = commands_[i].newest.load(std::memory_order_acquire);
    for (; commit != kNone; commit = commits_[commit].previous) {
      visit(commands_[i].hash, commits_[commit].place);
    }
  }
}

}  // namespace keelson::log
