// Members of clusters in tests.
#pragma once

#include <cstdint>

#include "engine/replication/member.h"

namespace keelson::test {

/// @param data  tells data folders of one node apart.
inline replication::Member member(std::uint32_t node, int data = 0) {
  replication::Member made{replication::NodeId(node), {}};
  made.data.bytes[15] = std::byte(data);
  return made;
}

}  // namespace keelson::test
