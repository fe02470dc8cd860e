// That one process at a time is the member which a data folder stands for.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/environment.h"
#include "engine/base/result.h"
#include "engine/cluster/cluster_keys.h"
#include "engine/replication/coordinator.h"
#include "engine/replication/member.h"

namespace keelson::cluster {

/// What a data folder knows of the processes that were started on it: `keelson.starts`, a small
/// text file, replaced at each start.
struct FolderStarts {
  /// Of the running system, and of this folder on it: whoever finds its own here and holds the
  /// folder's lock knows that all who are named below have ended. Empty: not known.
  std::string place;
  /// Those that have, or may have, claimed the folder; the last of them is known to the coordinator
  /// unless the folder has been used elsewhere.
  std::vector<replication::Incarnation> known;

  bool operator==(const FolderStarts&) const = default;
};

/// Lines of `key value`, the last one a checksum; docs/replication.md.
[[nodiscard]] std::string encode_folder_starts(const FolderStarts& starts);
/// Accepts what `encode_folder_starts` writes and nothing else.
/// @error corruption, unsupported_format
[[nodiscard]] Result<FolderStarts> decode_folder_starts(std::string_view text);

struct ClaimOptions {
  std::string folder;  ///< which the caller has locked
  std::string place;   ///< see `FolderStarts`
  replication::Member member;
  /// How long somebody with the number of this node may go on showing signs of life. More than what
  /// is left of a process that has ended.
  std::chrono::nanoseconds patience = std::chrono::seconds(10);
  /// How long a predecessor elsewhere must have shown none: it may only have been cut off from the
  /// coordinator, together with this process, and show one again at once.
  std::chrono::nanoseconds quiet = std::chrono::seconds(2);
  /// Between two looks.
  std::chrono::nanoseconds retry = std::chrono::milliseconds(100);
  /// Waits so long.
  std::function<void(std::chrono::nanoseconds)> pause;
  std::function<bool()> give_up = [] { return false; };
  /// Something that an operator wants to know.
  std::function<void(const std::string& what)> report = [](const std::string&) {};
};

struct FolderClaimed {
  replication::Incarnation incarnation;
  /// The record by which a predecessor, which is known to have ended, still seems to be alive.
  std::optional<replication::Record> replaces;
};

/// Makes this process the one that uses `options.folder`, as the coordinator has it, or says why it
/// must not be. Nothing may be promised or acknowledged in the folder's name before.
///
/// The coordinator has one record for each folder, with the last incarnation that has claimed it.
/// Whoever comes replaces it, by compare-and-set, and only if the folder itself knows that one: a
/// copy of the folder that was used since, or the original of which a copy was, does not. Before
/// the record is changed the new incarnation is made durable in the folder, so that a crash in
/// between leaves one that knows whatever it may have written.
///
/// A predecessor that still shows signs of life, or did so a moment ago, is waited for, unless it
/// ran at this very place: a copy that was made while it ran knows its incarnation as well.
///
/// Blocks, and waits for the coordinator as long as it takes.
/// @error locked      another process is this member, or has been since the folder was as it is.
/// @error closed      it was given up.
/// @error corruption, unsupported_format  of the folder's file or the coordinator's record.
[[nodiscard]] Result<FolderClaimed> claim_folder(Environment environment,
                                                 replication::Coordinator& coordinator,
                                                 const ClusterKeys& keys,
                                                 const ClaimOptions& options);

}  // namespace keelson::cluster
