// What a partition should hold, and whether it answers so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/store/event.h"
#include "engine/store/partition.h"

namespace keelson::test {

/// A commit, and what its caller was told.
struct StoredCommit {
  std::optional<CommandStamp> stamp;
  Commit commit;
  CommitOutcome outcome;
};

/// The commits of a partition, in the order of its log, with what follows from them.
struct StoredCommits {
  std::vector<StoredCommit> commits;
  std::map<std::string, Offset> groups;  ///< offsets of consumer groups

  [[nodiscard]] std::vector<Event> events() const;
};

/// What `check_answers` makes of an error.
struct Tolerance {
  /// The file that is damaged: an answer may be an error that names it. Empty: none may.
  std::string damaged_file;
  std::string place;  ///< an error of reading in order names this too, as ` at byte 4096`
};

/// Asks `partition` for everything in every way there is: in order, from each commit, by stream
/// forward and backward, by version, by time, by command id and by group, and for what is not
/// there. FAILs on an answer that differs from `expected`, and on an error not tolerated.
/// @return how many errors there were.
std::size_t check_answers(Partition& partition, const StoredCommits& expected,
                          const Tolerance& tolerance = {});

/// What two outcomes tell their callers differently; empty when nothing. Of a refusal where it lies
/// is not compared: it has no place of its own.
[[nodiscard]] std::string difference(const CommitOutcome& found, const CommitOutcome& expected);

}  // namespace keelson::test
