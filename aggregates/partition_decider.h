// Decides the commands of one partition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aggregates/folding.h"
#include "aggregates/state_cache.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

class SnapshotStore;

/// What was decided, and on which version.
struct DecidedOn {
  Version version;  ///< of the state before the command's events
  Decided decided;
  bool folded_in = false;  ///< the cached state has the events: `forget` it if they are not staged
};

/// Owns the cache of decoded states. Confined to the partition's strand.
///
/// Why the cache is never wrong: an entry at version v holds the fold of events 1…v. The next
/// command to the aggregate asks the partition which version the stream has now, staged events
/// included, and folds in what is missing: what others wrote, or all of it. Events decided here are
/// folded in at once, decoded as they will be read, so that a busy aggregate is not read from the
/// log for each command. Should the partition refuse their commit (too large), or take staged
/// commits back (a full disk), it says so before anything else is decided, and whoever hears it
/// calls `forget`. A command that was sent for another version is known to be refused and folds
/// nothing in: a client that loses a race again and again costs no reading. Many commands to one
/// aggregate are decided one on top of the other without waiting for the disk.
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
  /// @param expected  the version the command was sent for; the partition refuses another.
  [[nodiscard]] Result<DecidedOn> decide(const Staging& staging, const AggregateType& type,
                                         const std::string& stream, const AnyCommand& command,
                                         std::optional<Version> expected, Context context);

  /// Staged events were taken back.
  void forget() { cache_.clear(); }
  /// A commit to `stream` was decided and not staged.
  void forget(std::string_view stream) { static_cast<void>(cache_.take(stream)); }

  [[nodiscard]] const StateCache& cache() const { return cache_; }

 private:
  [[nodiscard]] Result<Folded> current(const Staging& staging, const AggregateType& type,
                                       const std::string& stream);

  const Partition& partition_;
  const SnapshotStore* snapshots_;
  StateCache cache_;
};

}  // namespace keelson::aggregates
