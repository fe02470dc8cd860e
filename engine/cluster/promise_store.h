// The promise of a replica on disk: `promise`, a small text file in the partition's folder.
#pragma once

#include <optional>
#include <string>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"
#include "engine/replication/promise.h"

namespace keelson::cluster {

/// Keeps the highest epoch that one replica has promised to obey (rule 2 of docs/replication.md).
///
/// The file is replaced as a whole: written beside, synced, renamed. So a crash leaves the promise
/// before or the one that was being stored, never a part of one, and a file that is damaged is
/// corruption and not a torn write. In two slots of one file a torn new promise and a rotten one
/// would look alike, and the older slot would take back what was promised. A promise is stored once
/// an election: the two syncs more do not matter.
///
/// Blocks on the disk. For one thread at a time.
class PromiseStore {
 public:
  /// @param folder     of the partition; must exist.
  /// @param partition  its identity, so that a promise of another one is noticed.
  PromiseStore(io::FileSystem& files, const std::string& folder, const Uuid& partition);

  /// What is stored; a promise of `Epoch(0)` when there is no file. Durable on return, also when
  /// the process that stored it was killed before it knew. Before the first `store`.
  /// @error corruption          the file is damaged, or of another partition: context has its name.
  /// @error unsupported_format  it is of another version.
  [[nodiscard]] Result<replication::Promise> load();

  /// What is stored, as it is shown now: nothing may be done upon it.
  /// @error corruption, unsupported_format  as above
  [[nodiscard]] Result<replication::Promise> read() const;

  /// Durable on return. The promise must not be of a lower epoch than what is stored.
  /// @error any  of the file system: the promise is the one before or this one. After `disk_full`
  ///             it may be tried again. When a sync has failed, so that it may be neither once the
  ///             power goes, the process must end.
  [[nodiscard]] Result<void> store(const replication::Promise& promise);

 private:
  io::FileSystem& files_;
  const std::string folder_;
  const std::string path_;
  const Uuid partition_;
  std::optional<Epoch> at_least_;  ///< what the file may hold; nothing before `load`
};

}  // namespace keelson::cluster
