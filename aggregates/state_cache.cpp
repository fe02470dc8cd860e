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
  Folded folded = std::move(found->second->folded);
  drop(found->second);
  return folded;
}

void StateCache::put(std::string_view stream, Folded folded) {
  const std::uint64_t bytes = kEntryBytes + stream.size() + folded.state->bytes();
  entries_.push_front({std::string(stream), std::move(folded), bytes});
  by_stream_.insert_or_assign(entries_.front().stream, entries_.begin());
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
