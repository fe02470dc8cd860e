// Verifies all that is stored of one partition's log, without changing it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"
#include "engine/log/log_finding.h"
#include "engine/log/merkle.h"

namespace keelson::log {

struct LogReport {
  std::uint64_t segments = 0;
  std::uint64_t batches = 0;  ///< verified
  std::uint64_t events = 0;   ///< verified
  std::uint64_t bytes = 0;    ///< of all segments
  Offset start;               ///< what was before has been removed by retention
  /// Over all events that are whole, when nothing is damaged before their end.
  Hash tree_root = empty_tree_hash();
  std::vector<LogFinding> findings;

  [[nodiscard]] LogVerdict verdict() const { return verdict_of(findings); }
};

/// How a log is verified beside others.
struct LogVerifying {
  /// Told after each segment how many bytes it has.
  std::function<void(std::uint64_t)> read_bytes = nullptr;
  /// Whether a server has the folder now; by default none has.
  std::function<bool()> in_use = nullptr;
  /// Waits a moment, before what a server may just be writing is looked at again.
  std::function<void()> pause = nullptr;
};

/// Verifies the log in `folder`: each segment's header against the batches before it, each batch's
/// checksums, numbers, frames and Merkle root, each index against one made anew from its segment,
/// the checksums of group filters, and of what is left of removed segments. What follows a damaged
/// segment is verified on its own; a file that cannot be read is a finding like others.
///
/// A server may be writing meanwhile: the segments that were there at the beginning are verified,
/// as far as they were written when they were read. Memory: one segment and its index.
[[nodiscard]] LogReport verify_log(io::FileSystem& files, const std::string& folder,
                                   const Uuid& identity, const LogVerifying& how = {});

}  // namespace keelson::log
