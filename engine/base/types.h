// The ordinals that every layer speaks of. See docs/ARCHITECTURE.md, "Words".
#pragma once

#include <cstdint>

#include "engine/base/strong_number.h"

namespace keelson {

/// Ordinal of an event in its partition, from 0, dense.
using Offset = StrongNumber<struct OffsetTag, std::uint64_t>;

/// Ordinal of an event in its stream, from 1, dense. 0: the stream does not exist.
using Version = StrongNumber<struct VersionTag, std::uint64_t>;

/// Ordinal of a partition in its topic, from 0.
using PartitionId = StrongNumber<struct PartitionIdTag, std::uint32_t>;

/// Ordinal of a batch in its partition, from 0, dense; control batches have one too.
using BatchNo = StrongNumber<struct BatchNoTag, std::uint64_t>;

/// Leadership of a partition: at most one leader per epoch. From 1.
using Epoch = StrongNumber<struct EpochTag, std::uint64_t>;

/// Microseconds since 1970-01-01T00:00:00Z.
using TimeUs = StrongNumber<struct TimeUsTag, std::int64_t>;

}  // namespace keelson
