#include "aggregates/state_cache.h"

#include <utility>

namespace keelson::aggregates {

namespace {

/// The list node, the hash node, the name and the pointers between them, about.
constexpr std::uint64_t kEntryBytes = 200;

}  // namespace

std::optional<Folded> StateCache::take(std::string_view stream) {
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return {};
  const Entries::iterator entry = found->second;
  bytes_ -= entry->bytes;
  spare_place_ = by_stream_.extract(found);
  spare_.clear();
  spare_.splice(spare_.begin(), entries_, entry);
  return std::move(entry->folded);
}

void StateCache::put(std::string_view stream, Folded folded) {
  const std::uint64_t bytes = kEntryBytes + stream.size() + folded.state->bytes();
  if (const auto old = by_stream_.find(stream); old != by_stream_.end()) drop(old->second);
  if (spare_.empty()) spare_.emplace_front();
  Entry& entry = spare_.front();
  entry.stream = stream;
  entry.folded = std::move(folded);
  entry.bytes = bytes;
  entries_.splice(entries_.begin(), spare_);
  if (spare_place_) {
    spare_place_.key() = entry.stream;
    spare_place_.mapped() = entries_.begin();
    by_stream_.insert(std::move(spare_place_));
  } else {
    by_stream_.emplace(entry.stream, entries_.begin());
  }
  bytes_ += bytes;
  while (bytes_ > bytes_max_) drop(std::prev(entries_.end()));
}

void StateCache::clear() {
  by_stream_.clear();
  entries_.clear();
  bytes_ = 0;
}

void StateCache::drop(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  by_stream_.erase(entry->stream);
  entries_.erase(entry);
}

}  // namespace keelson::aggregates
