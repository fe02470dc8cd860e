#include "engine/log/segment_index.h"

#include <xxhash.h>

#include <cstring>

#include "engine/base/check.h"

namespace keelson::log {

namespace {

std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

/// How many of the first `count` batches come before those that `is_past` accepts, which must hold
/// for all batches after the first one it holds for.
template <class Past>
Result<std::uint32_t> batches_before(const SegmentIndex& index, std::uint32_t count,
                                     const Past& is_past) {
  std::uint32_t first = 0;
  std::uint32_t end = count;
  while (first < end) {
    const std::uint32_t middle = first + (end - first) / 2;
    KEELSON_TRY_ASSIGN(const BatchEntry entry, index.batch(middle));
    if (is_past(entry)) {
      end = middle;
    } else {
      first = middle + 1;
    }
  }
  return first;
}

}  // namespace

KeyHasher::KeyHasher(const Uuid& partition) {
  std::memcpy(&seed_, partition.bytes.data(), sizeof seed_);
}

StreamKey KeyHasher::stream(std::string_view name) const { return {name, hash_of(name, seed_)}; }

std::uint64_t KeyHasher::command(const CommandKey& key) const {
  // Each part's hash seeds the next one's, so that moving a byte from one part to another changes
  // the hash.
  return hash_of(key.id, hash_of(key.target, hash_of(key.principal, seed_)));
}

Result<Posting> StreamPostings::nth(std::uint32_t i) const {
  Posting posting;
  KEELSON_TRY(copy(i, std::span(&posting, 1)));
  return posting;
}

Result<void> StreamPostings::copy(std::uint32_t first, std::span<Posting> out) const {
  KEELSON_ASSERT(first <= count_ && out.size() <= count_ - first);
  if (out.empty()) return {};
  return index_->copy_postings(handle_, count_, first, out);
}

Result<std::uint32_t> StreamPostings::count_before(std::uint64_t relative_offset) const {
  return index_->count_postings_before(handle_, count_, relative_offset);
}

Result<std::optional<std::uint32_t>> SegmentIndex::batch_of_offset(
    std::uint64_t relative_offset) const {
  if (relative_offset >= event_count()) return std::nullopt;
  // Of several batches that begin at one offset only the last has events.
  const auto is_past = [&](const BatchEntry& entry) {
    return entry.relative_offset > relative_offset;
  };
  KEELSON_TRY_ASSIGN(const std::uint32_t before, batches_before(*this, batch_count(), is_past));
  if (before == 0) return fail(Errc::corruption, "segment index: the first batch begins late");
  return before - 1;
}

Result<std::optional<std::uint32_t>> SegmentIndex::batch_after(TimeUs time) const {
  const std::uint32_t count = batch_count();
  const auto is_past = [&](const BatchEntry& entry) { return entry.time > time; };
  KEELSON_TRY_ASSIGN(const std::uint32_t before, batches_before(*this, count, is_past));
  if (before == count) return std::nullopt;
  return before;
}

}  // namespace keelson::log
