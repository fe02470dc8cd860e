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
  static_assert(sizeof(EventNode) == 20 && sizeof(StreamNode) == 40 && sizeof(BatchNode) == 24 &&
                sizeof(CommandNode) + sizeof(CommitNode) == 28);
}

// --- writer ---

void TailIndex::add_batch(const BatchEntry& entry, std::uint32_t event_count) {
  KEELSON_ASSERT(entry.relative_offset == events_.size());
  KEELSON_ASSERT(batches_.size() == 0 ||
                 batches_[batches_.size() - 1].events_end == events_.size());
  batches_[batches_.push()] = {entry, entry.relative_offset + event_count};
}

Result<void> TailIndex::add_event(const StreamKey& key, Version version,
                                  std::uint32_t body_position) {
  KEELSON_ASSERT(batches_.size() > 0 && events_.size() < batches_[batches_.size() - 1].events_end);
  if (const std::uint32_t known = find_stream_node(key); known != kNone) {
    StreamNode& stream = streams_[known];
    const std::uint32_t newest = stream.newest.load(std::memory_order_relaxed);
    const Version next = stream.first_version + events_[newest].ordinal + 1;
    if (version != next) {
      return fail(Errc::corruption, "version " + std::to_string(version.value) + " of '" +
                                        std::string(key.name) + "' follows " +
                                        std::to_string(next.value - 1));
    }
    stream.newest.store(push_event(newest, body_position), std::memory_order_release);
    return {};
  }
  if (version == Version(0)) {
    return fail(Errc::corruption, "version 0 of '" + std::string(key.name) + "'");
  }
  push_stream(key, version, push_event(kNone, body_position));
  return {};
}

std::uint32_t TailIndex::push_event(std::uint32_t previous, std::uint32_t body_position) {
  const std::uint32_t event = events_.push();
  const bool oldest = previous == kNone;
  events_[event] = {.batch = batches_.size() - 1,
                    .body_position = body_position,
                    .ordinal = oldest ? 0 : events_[previous].ordinal + 1,
                    .previous = previous,
                    .jump = oldest ? event : jump_from(previous)};
  return event;
}

void TailIndex::push_stream(const StreamKey& key, Version first_version, std::uint32_t event) {
  char* name = static_cast<char*>(names_.allocate(key.name.size(), 1));
  key.name.copy(name, key.name.size());
  std::atomic<std::uint32_t>& head = stream_buckets_.of(key.hash);
  const std::uint32_t added = streams_.push();
  StreamNode& stream = streams_[added];
  stream.hash = key.hash;
  stream.first_version = first_version;
  stream.name = {name, key.name.size()};
  stream.next = head.load(std::memory_order_relaxed);
  stream.newest.store(event, std::memory_order_relaxed);
  head.store(added, std::memory_order_release);
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

std::uint32_t TailIndex::jump_from(std::uint32_t previous) const {
  // Myers: when the last two jumps span the same distance, the next one spans both and the step
  // between; the spans are then the digits of the length in skew-binary.
  const EventNode& node = events_[previous];
  const EventNode& middle = events_[node.jump];
  const EventNode& far = events_[middle.jump];
  const bool equal_spans = node.ordinal - middle.ordinal == middle.ordinal - far.ordinal;
  return equal_spans ? middle.jump : previous;
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

std::uint32_t TailIndex::find_stream_node(const StreamKey& key) const {
  std::uint32_t i = stream_buckets_.of(key.hash).load(std::memory_order_acquire);
  while (i != kNone && (streams_[i].hash != key.hash || streams_[i].name != key.name)) {
    i = streams_[i].next;
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
  const std::uint32_t newest =
      newest_before(stream.newest.load(std::memory_order_acquire), events_end);
  if (newest == kNone) return std::nullopt;
  return StreamPostings(*this, newest, stream.first_version, events_[newest].ordinal + 1);
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

std::uint32_t TailIndex::newest_before(std::uint32_t event, std::uint64_t end) const {
  while (event >= end) {
    const EventNode& node = events_[event];
    if (node.previous == kNone) return kNone;
    event = node.jump >= end ? node.jump : node.previous;
  }
  return event;
}

Result<void> TailIndex::copy_postings(std::uint32_t handle, std::uint32_t /*count*/,
                                      std::uint32_t first, std::span<Posting> out) const {
  const std::uint32_t last = first + static_cast<std::uint32_t>(out.size()) - 1;
  std::uint32_t event = handle;
  while (events_[event].ordinal > last) {
    const EventNode& node = events_[event];
    event = events_[node.jump].ordinal >= last ? node.jump : node.previous;
  }
  for (std::size_t i = out.size(); i-- > 0;) {
    const EventNode& node = events_[event];
    // The next step is not known before this one has come from memory; where the far link leads is
    // an event that may be wanted later, so it is asked for on the way.
    __builtin_prefetch(&events_[node.jump]);
    out[i] = {event, node.batch, node.body_position};
    event = node.previous;
  }
  return {};
}

Result<std::uint32_t> TailIndex::count_postings_before(std::uint32_t handle,
                                                       std::uint32_t /*count*/,
                                                       std::uint64_t relative_offset) const {
  const std::uint32_t newest = newest_before(handle, relative_offset);
  return newest == kNone ? 0 : events_[newest].ordinal + 1;
}

// --- sealing ---

TailIndex::Counts TailIndex::counts() const {
  return {batches_.size(), events_.size(), streams_.size(), commits_.size()};
}

void TailIndex::visit_batches(const std::function<void(const BatchEntry&)>& visit) const {
  for (std::uint32_t i = 0; i < batches_.size(); ++i) visit(batches_[i].entry);
}

void TailIndex::visit_streams(
    const std::function<void(const StreamKey&, const StreamPostings&)>& visit) const {
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    const StreamNode& stream = streams_[i];
    const std::uint32_t newest = stream.newest.load(std::memory_order_acquire);
    visit({stream.name, stream.hash},
          StreamPostings(*this, newest, stream.first_version, events_[newest].ordinal + 1));
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
