#include "aggregates/partition_decider.h"

#include <optional>
#include <utility>

namespace keelson::aggregates {

Result<DecidedOn> PartitionDecider::decide(const Staging& staging, const AggregateType& type,
                                           const std::string& stream, const AnyCommand& command,
                                           std::optional<Version> expected, Context context) {
  KEELSON_TRY_ASSIGN(Folded folded, current(staging, type, stream));
  context.version = folded.version;
  context.time = staging.time();
  auto decided = type.decide(*folded.state, command, context);
  const Version version = folded.version;
  const bool folding_in = decided && !decided->refusal && expected.value_or(version) == version;
  if (folding_in) {
    if (auto evolved = type.evolve(*folded.state, *decided->decoded); !evolved) {
      return std::unexpected(std::move(evolved).error());
    }
    // Its offset is not known before it is staged, and nobody asks a cached state for it.
    folded.version = version + decided->events.size();
  }
  // A stream without events costs nothing to start anew, and asking for it must not evict others.
  if (folded.version != Version(0)) cache_.put(stream, std::move(folded));
  if (!decided) return std::unexpected(std::move(decided).error());
  return DecidedOn{version, *std::move(decided), folding_in};
}

Result<Folded> PartitionDecider::current(const Staging& staging, const AggregateType& type,
                                         const std::string& stream) {
  KEELSON_TRY_ASSIGN(const Version version, staging.version(stream));
  KEELSON_TRY(check_whole(partition_, stream));
  std::optional<Folded> cached = cache_.take(stream);
  if (!cached || cached->version > version) {
    cached = version == Version(0)
                 ? Folded{type.initial(), Version(0), Offset(0)}
                 : fold_start(type, partition_, snapshots_, stream, {.version_max = version});
  }
  if (cached->version == version) return *std::move(cached);
  KEELSON_TRY_ASSIGN(Folded folded, fold(type, *std::move(cached), [&](Version from, auto& visit) {
                       return staging.read(stream, from, visit);
                     }));
  if (folded.version != version) {
    return fail(Errc::internal, "stream '" + stream + "' is at version " +
                                    std::to_string(version.value) + " but its events end at " +
                                    std::to_string(folded.version.value));
  }
  return folded;
}

}  // namespace keelson::aggregates
