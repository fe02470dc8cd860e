// Where a stream lies; fixed for ever, since moving it would break its order.
#pragma once

#include <string_view>

#include "engine/base/types.h"

namespace keelson {

/// XXH3-64 (seed 0) of the stream's id, modulo `partitions`.
[[nodiscard]] PartitionId partition_of(std::string_view stream, std::size_t partitions);

}  // namespace keelson
