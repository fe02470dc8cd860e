// Who takes part in replicating a partition.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/strong_number.h"

namespace keelson::replication {

using NodeId = StrongNumber<struct NodeIdTag, std::uint32_t>;

/// A node together with the identity of its data folder: a wiped or restored disk is a new member,
/// outside every list until it is added.
struct Member {
  NodeId node;
  Uuid data;
  auto operator<=>(const Member&) const = default;
};

/// One start of a process on a member's data folder. A later one has a greater number; two that
/// were given the same number, on copies of a folder, differ in the id.
struct Incarnation {
  std::uint64_t number = 0;
  Uuid id;
  auto operator<=>(const Incarnation&) const = default;
};

/// Without duplicates; the first one is preferred as leader.
using MemberList = std::vector<Member>;

[[nodiscard]] inline bool contains(const MemberList& list, const Member& member) {
  return std::ranges::find(list, member) != list.end();
}

/// Whether `holds` for more than half of `list`.
[[nodiscard]] inline bool majority(const MemberList& list,
                                   const std::function<bool(const Member&)>& holds) {
  return static_cast<std::size_t>(std::ranges::count_if(list, holds)) > list.size() / 2;
}

}  // namespace keelson::replication
