// Of which partitions a question to a read model is, and who can be asked.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "http/problem.h"
#include "http/request.h"

namespace keelson {
class Partition;
class Topic;
}  // namespace keelson

namespace keelson::http {

struct Services;

/// The query parameter that says it, as in `0,2`.
inline constexpr std::string_view kPartitionsParameter = "partitions";

/// The partitions that a request names, or all of `topic`. In order, each once.
/// @error bad_request  malformed, or the topic has no such partition.
[[nodiscard]] Result<std::vector<PartitionId>> partitions_asked(const Request& request,
                                                                const Topic& topic);

/// Nothing where all of `partitions` can be asked of this node: see `check_here`. Otherwise what to
/// answer, rather than a part of what was asked for; where no node has all of them that is
/// `not-on-one-node`, with who has which.
[[nodiscard]] std::optional<Problem> not_here(const Services& services,
                                              const std::vector<const Partition*>& partitions);

}  // namespace keelson::http
