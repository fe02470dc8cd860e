// From a batch's records to the index of its segment.
#pragma once

#include "engine/base/result.h"
#include "engine/log/log_state.h"
#include "engine/log/stored_batch.h"
#include "engine/log/tail_index.h"

namespace keelson::log {

/// Adds all records of `batch`, which is the next one of the segment that begins at `segment`.
/// @error corruption  the frames do not fit each other; the index is of no use any more.
[[nodiscard]] Result<void> add_to_index(TailIndex& index, const KeyHasher& hasher,
                                        const LogPoint& segment, const StoredBatch& batch);

}  // namespace keelson::log
