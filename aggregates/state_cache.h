// Decoded states of one partition's aggregates, the most recently used ones.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "aggregates/folding.h"

namespace keelson::aggregates {

/// Bounded in bytes; what does not fit, the least recently used first, is dropped and can be read
/// from the log again. An entry is taken out to be used and put back afterwards, so that one whose
/// use failed half-way is simply not there any more; its memory is kept for the next one put in.
/// Confined to the partition's strand.
class StateCache {
 public:
  explicit StateCache(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Moves the state of `stream` out of the cache; nothing when it is not there.
  [[nodiscard]] std::optional<Folded> take(std::string_view stream);
  void put(std::string_view stream, Folded folded);
  void clear();

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string stream;
    Folded folded;
    std::uint64_t bytes = 0;
  };
  using Entries = std::list<Entry>;  // most recently used first
  using Places = std::unordered_map<std::string_view, Entries::iterator>;

  void drop(Entries::iterator entry);

  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  Entries entries_;
  Places by_stream_;  // views into entries_
  Entries spare_;     // the entry taken out last, if any …
  Places::node_type spare_place_;
};

}  // namespace keelson::aggregates
