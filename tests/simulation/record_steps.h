// What may become of a partition's record: an invariant of both simulations.
#pragma once

#include "engine/replication/partition_record.h"

namespace keelson::simulation {

/// Whether `next` follows from `last` by one step of rules 1, 9 or 16, or was made anew.
[[nodiscard]] bool is_one_step(const replication::PartitionRecord& last,
                               const replication::PartitionRecord& next);

}  // namespace keelson::simulation
