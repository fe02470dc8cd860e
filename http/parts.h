// Of which partitions a question to a read model is.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "http/request.h"

namespace keelson {
class Topic;
}

namespace keelson::http {

/// The query parameter that says it, as in `0,2`.
inline constexpr std::string_view kPartitionsParameter = "partitions";

/// The partitions that a request names, or all of `topic`. In order, each once.
/// @error bad_request  malformed, or the topic has no such partition.
[[nodiscard]] Result<std::vector<PartitionId>> partitions_asked(const Request& request,
                                                                const Topic& topic);

}  // namespace keelson::http
