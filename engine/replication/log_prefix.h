// Finding how far two logs of one partition are the same.
#pragma once

#include <optional>

#include "engine/base/types.h"
#include "engine/log/log_tail.h"

namespace keelson::replication {

/// Where a log ends. Of two logs the greater one holds all that may have been committed: logs are
/// compared by the epoch of their last batch first.
struct LogEnd {
  Epoch epoch;  ///< of the last batch; 0 in an empty log
  BatchNo end;  ///< of the batch to come
  auto operator<=>(const LogEnd&) const = default;
};

using log::EpochStart;
/// As another replica needs to know it: all before `from` is committed.
using log::LogTail;

/// The part of `tail` from `from` on, or all of it when it begins later; nothing when it ends
/// before.
[[nodiscard]] std::optional<LogTail> since(const LogTail& tail, BatchNo from);

/// The end of the longest prefix that a log and `other` have in common. One epoch has one leader,
/// who writes each batch once: so two logs that share the epoch of a batch share all before it.
/// Lengths alone prove nothing.
/// @param log  of the other's `from`, or later.
/// @return nothing when they differ in what `other` knows to be committed: that must never be.
[[nodiscard]] std::optional<BatchNo> common_prefix(const LogTail& log, const LogTail& other);

}  // namespace keelson::replication
