// State from events: the one way in which states come about.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "aggregates/aggregate_type.h"
#include "engine/base/result.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

class SnapshotStore;

/// A state with the event that made it.
struct Folded {
  std::unique_ptr<AnyState> state;
  Version version{};  ///< events 1…version are in it
  Offset offset{};    ///< of the last of them; meaningless at version 0
};

/// Reads a stream forward from a version.
using StreamReader = std::function<Result<void>(Version from, const EventVisitor& visit)>;

/// Applies the events after `from.version` that `read` gives, which must follow without a gap.
/// @error below_start  retention has removed events that are needed.
/// @error unsupported_format, internal  as AggregateType::evolve.
[[nodiscard]] Result<Folded> fold(const AggregateType& type, Folded from, const StreamReader& read);

/// How much of a stream to look at: the events with version <= version_max and offset < before.
struct FoldLimit {
  Version version_max{UINT64_MAX};
  Offset before{UINT64_MAX};
};

/// Where folding can start: the stream's snapshot if it lies within `limit` and fits the code and
/// the log, else the initial state.
/// @param snapshots  may be null.
[[nodiscard]] Folded fold_start(const AggregateType& type, const Partition& partition,
                                const SnapshotStore* snapshots, std::string_view stream,
                                const FoldLimit& limit);

/// Whether the stream has its first event still: no answer is to depend on what a cache or a
/// snapshot happens to know. Costs nothing where retention has removed nothing.
/// @error below_start, and as Partition::read_stream
[[nodiscard]] Result<void> check_whole(const Partition& partition, std::string_view stream);

/// The committed state within `limit`; version 0 when there are no events within it.
/// Safe from any thread. @error as `fold` and `check_whole`
[[nodiscard]] Result<Folded> fold_committed(const AggregateType& type, const Partition& partition,
                                            const SnapshotStore* snapshots, std::string_view stream,
                                            const FoldLimit& limit);

}  // namespace keelson::aggregates
