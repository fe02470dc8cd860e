// The last snapshot of each long stream of one partition: a cache on disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aggregates/hash.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"
#include "engine/store/event.h"
#include "engine/store/partition.h"

namespace keelson::aggregates {

/// A committed state, and which event of which history made it.
struct Snapshot {
  std::string stream;
  Version version;
  Offset offset;
  Hash128 event{};           ///< identity of the event at `version`
  std::string code_version;  ///< AggregateInfo::code_version that evolved it
  std::string state;         ///< JSON
};

/// What tells an event from one of another history at the same place: all of it, with its time.
[[nodiscard]] Hash128 identity_of(const EventView& event);

/// Whether the event that made `snapshot` is in `partition`. It may not be, when the log was
/// restored from a backup or made anew and the snapshots were left over.
[[nodiscard]] bool lies_in(const Snapshot& snapshot, const Partition& partition);

/// One small file per stream, `<folder>/<2 hex digits>/<30 hex digits>.snapshot` by a hash of the
/// stream's name:
///     keelson-snapshot 1 <hash of all that follows>\n
///     {"stream":…,"version":…,"offset":…,"event":…,"code_version":…}\n
///     <state as JSON>
/// A file is replaced by renaming and never synced: what a crash leaves is the old file, the new
/// one or a torn one, and a file that does not hash to its first line is as good as none. Nothing
/// here can change an answer, only how long it takes; the folder may be deleted at any time.
///
/// `find` is safe from any thread; `save` is for one thread at a time.
class SnapshotStore {
 public:
  SnapshotStore(io::FileSystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  /// Nothing when there is none, or none that is whole.
  [[nodiscard]] std::optional<Snapshot> find(std::string_view stream) const;
  /// Replaces the stream's snapshot. @error io_error, disk_full  the old one stays.
  [[nodiscard]] Result<void> save(const Snapshot& snapshot);

 private:
  [[nodiscard]] std::string path_of(std::string_view stream) const;

  io::FileSystem& files_;
  std::string folder_;
};

}  // namespace keelson::aggregates
