// Which segments may hold a key, newest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/log/published_log.h"
#include "engine/log/segment_group.h"

namespace keelson::log {

/// Walks back over the segments of a log and passes over those that, by the filters of their
/// groups, hold no key with the hash. Of n segments an absent key touches at most 15 that are in no
/// group yet, 15 groups of sixteen and n/256 groups of 256, a page each, and by chance one in about
/// 200 of what those cover. Takes the segments as they were when it was made.
class SegmentSearch {
 public:
  SegmentSearch(const PublishedLog& log, std::uint64_t hash)
      : hash_(hash),
        segments_(log.segments.all()),
        groups_(log.groups.all()),
        next_(segments_->size()) {}

  /// The next older segment that may hold the key, or nullptr.
  [[nodiscard]] const std::shared_ptr<Segment>* next();

 private:
  /// What a group said, so that it is asked once on the way through it.
  struct Asked {
    const SegmentGroup* group = nullptr;
    SegmentGroup::Columns columns = 0;
  };
  [[nodiscard]] bool may_hold(Asked& asked, const SegmentGroup& group, BatchNo batch) const;

  const std::uint64_t hash_;
  const std::shared_ptr<const SegmentList::Segments> segments_;
  const std::shared_ptr<const Groups> groups_;
  std::size_t next_;  ///< segments from here on have been looked at
  Asked small_;
  Asked large_;
};

}  // namespace keelson::log
