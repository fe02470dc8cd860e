#include "engine/log/segment_search.h"

#include <algorithm>

namespace keelson::log {

bool SegmentSearch::may_hold(Asked& asked, const SegmentGroup& group, BatchNo batch) const {
  if (asked.group != &group) asked = {&group, group.may_contain(hash_)};
  return (asked.columns >> group.column_of(batch) & 1u) != 0;
}

const std::shared_ptr<Segment>* SegmentSearch::next() {
  const auto& [small, large] = *groups_;
  while (next_ > 0) {
    const std::shared_ptr<Segment>& segment = (*segments_)[next_ - 1];
    const BatchNo batch = segment->start().next_batch;
    const SegmentGroup* const group = group_of(small, batch);
    if (group == nullptr) {
      --next_;
      return &segment;
    }
    const SegmentGroup* const wider = group_of(large, batch);
    if (wider != nullptr && !may_hold(large_, *wider, batch)) {
      // None of this group: on to the segment before its first.
      const auto first = std::ranges::lower_bound(
          segments_->begin(), segments_->begin() + static_cast<std::ptrdiff_t>(next_),
          group->first(), {}, [](const auto& other) { return other->start().next_batch; });
      next_ = static_cast<std::size_t>(first - segments_->begin());
      continue;
    }
    --next_;
    if (may_hold(small_, *group, batch)) return &segment;
  }
  return nullptr;
}

}  // namespace keelson::log
