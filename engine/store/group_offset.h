// A consumer group's offset as a commit without events: under a key of its own, the newest one
// counts.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/log/record.h"

namespace keelson {

/// No principal or stream of a user can be `$group`: names starting with `$` are reserved.
[[nodiscard]] inline log::CommandKey group_key(std::string_view group) {
  return {"$group", group, "offset"};
}

/// 8 bytes, little-endian: the first offset not done.
[[nodiscard]] std::string encode_group_offset(Offset next);
/// @error corruption  not 8 bytes.
[[nodiscard]] Result<Offset> decode_group_offset(std::string_view bytes);

}  // namespace keelson
