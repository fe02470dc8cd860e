#include "aggregates/folding.h"

#include <string>
#include <utility>

#include "aggregates/snapshot_store.h"

namespace keelson::aggregates {

Result<Folded> fold(const AggregateType& type, Folded from, const StreamReader& read) {
  Result<void> evolved;
  const auto apply = [&](const EventView& event) {
    if (event.version != from.version + 1) {
      evolved =
          fail(Errc::below_start, "events of '" + std::string(event.stream) + "' before version " +
                                      std::to_string(event.version.value) +
                                      " are gone, its state cannot be derived any more");
    } else {
      evolved = type.evolve(*from.state, event);
    }
    if (!evolved) return false;
    from.version = event.version;
    from.offset = event.offset;
    return true;
  };
  KEELSON_TRY(read(from.version + 1, apply));
  if (!evolved) return std::unexpected(std::move(evolved).error());
  return from;
}

Folded fold_start(const AggregateType& type, const Partition& partition,
                  const SnapshotStore* snapshots, std::string_view stream, const FoldLimit& limit) {
  if (snapshots != nullptr) {
    const auto snapshot = snapshots->find(stream);
    if (snapshot && snapshot->code_version == type.info().code_version &&
        snapshot->version <= limit.version_max && snapshot->offset < limit.before &&
        lies_in(*snapshot, partition)) {
      if (auto state = type.read_state(snapshot->state)) {
        return {*std::move(state), snapshot->version, snapshot->offset};
      }
    }
  }
  return {type.initial(), Version(0), Offset(0)};
}

Result<void> check_whole(const Partition& partition, std::string_view stream) {
  if (partition.start() == Offset(0)) return {};
  StreamRange first;
  first.from = Version(1);
  first.limit = 1;
  first.command_ids = false;
  return partition.read_stream(stream, first, [](const EventView&) { return false; });
}

Result<Folded> fold_committed(const AggregateType& type, const Partition& partition,
                              const SnapshotStore* snapshots, std::string_view stream,
                              const FoldLimit& limit) {
  const auto read = [&](Version from, const EventVisitor& visit) -> Result<void> {
    if (from > limit.version_max) return {};
    StreamRange range;
    range.from = from;
    range.limit = limit.version_max - from;
    if (range.limit != UINT64_MAX) ++range.limit;  // version_max itself is wanted
    range.before = limit.before;
    range.command_ids = false;
    return partition.read_stream(stream, range, visit);
  };
  KEELSON_TRY(check_whole(partition, stream));
  return fold(type, fold_start(type, partition, snapshots, stream, limit), read);
}

}  // namespace keelson::aggregates
