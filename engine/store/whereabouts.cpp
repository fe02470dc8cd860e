#include "engine/store/whereabouts.h"

#include <algorithm>
#include <optional>

#include "engine/store/partition.h"

namespace keelson {

Result<void> check_here(const std::vector<const Partition*>& partitions) {
  const Partition* missing = nullptr;
  std::optional<std::vector<std::string>> having_all;
  for (const Partition* const partition : partitions) {
    Whereabouts is = partition->whereabouts();
    if (!is.here && missing == nullptr) missing = partition;
    if (!having_all) {
      having_all = std::move(is.others);
      continue;
    }
    std::erase_if(*having_all, [&](const std::string& node) {
      return std::ranges::find(is.others, node) == is.others.end();
    });
  }
  if (missing == nullptr) return {};
  if (!having_all->empty()) return fail(Errc::not_leader, having_all->front());
  const std::string name = "partition " + std::to_string(missing->id().value);
  if (missing->whereabouts().others.empty()) {
    return fail(Errc::not_enough_replicas,
                name + " is not on this node, and no node that has it is known");
  }
  return fail(Errc::bad_request,
              name +
                  " is not on this node, and no node has all partitions that this is about: ask "
                  "for each by itself, where it is");
}

}  // namespace keelson
