// What a commit must look like, whatever the state of the partition; and the errors about it.
#pragma once

#include <string_view>

#include "engine/base/result.h"
#include "engine/store/commit.h"
#include "engine/store/options.h"

namespace keelson {

/// @error bad_request, too_large  names the field and the limit.
[[nodiscard]] Result<void> check_commit(const Commit& commit, const Limits& limits);
[[nodiscard]] Result<void> check_stamp(const CommandStamp& stamp, const Limits& limits);
[[nodiscard]] Result<void> check_group(std::string_view group, const Limits& limits);

[[nodiscard]] std::unexpected<Error> version_conflict(const std::string& stream,
                                                      const ExpectedVersion& expected,
                                                      Version current);
[[nodiscard]] std::unexpected<Error> idempotency_mismatch(const CommandStamp& stamp);

}  // namespace keelson
