// Decides the commands of one partition.
#pragma once

#include <cstdint>
#include <string>

#include "aggregates/folding.h"
#include "aggregates/state_cache.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

class SnapshotStore;

/// What was decided, and on which version.
struct DecidedOn {
  Version version;  ///< of the state before the command's events
  Decided decided;
};

/// Owns the cache of decoded states. Confined to the partition's strand.
///
/// Why the cache is never wrong: an entry at version v holds the fold of events 1…v *as the
/// partition gave them back*. Deciding does not advance it; the next command to the aggregate asks
/// the partition which version the stream has now, staged events included, and folds in what is
/// missing. So a commit that is refused after it was decided (too large, a version that was not the
/// expected one, a full disk) left no trace here to undo. Staged events cannot change but by being
/// taken back, and then the partition calls `forget` before anything else is decided. Many commands
/// to one aggregate are decided one on top of the other without waiting for the disk.
///
/// A crash loses the cache and nothing else.
class PartitionDecider {
 public:
  /// @param snapshots  may be null; outlives this object.
  PartitionDecider(const Partition& partition, const SnapshotStore* snapshots,
                   std::uint64_t cache_bytes_max)
      : partition_(partition), snapshots_(snapshots), cache_(cache_bytes_max) {}

  /// Decides with the state as staged. `context` comes with who and what asks; its version and time
  /// are filled in here.
  [[nodiscard]] Result<DecidedOn> decide(const Staging& staging, const AggregateType& type,
                                         const std::string& stream, const AnyCommand& command,
                                         Context context);

  /// Staged events were taken back.
  void forget() { cache_.clear(); }

  [[nodiscard]] const StateCache& cache() const { return cache_; }

 private:
  [[nodiscard]] Result<Folded> current(const Staging& staging, const AggregateType& type,
                                       const std::string& stream);

  const Partition& partition_;
  const SnapshotStore* snapshots_;
  StateCache cache_;
};

}  // namespace keelson::aggregates
