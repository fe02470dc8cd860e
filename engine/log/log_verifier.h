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
#include "engine/log/merkle.h"

namespace keelson::log {

/// What is wrong with a file, and what it means.
struct LogFinding {
  enum class Kind {
    lost,     ///< bytes of the log are damaged or missing: a restore, or another replica, is needed
    torn,     ///< the last write, or a cut, did not come to its end; the next start cuts it
    derived,  ///< an index or a filter: it is made again, at the next start or when it is needed
  };
  Kind kind = Kind::lost;
  std::string file;
  std::string what;  ///< with the byte, where there is one
  bool operator==(const LogFinding&) const = default;
};

struct LogReport {
  std::uint64_t segments = 0;
  std::uint64_t batches = 0;  ///< verified
  std::uint64_t events = 0;   ///< verified
  std::uint64_t bytes = 0;    ///< of all segments
  Offset start;               ///< what was before has been removed by retention
  /// Over all events, when all of them are good.
  Hash tree_root = empty_tree_hash();
  std::vector<LogFinding> findings;
};

/// Verifies the log in `folder`: each segment's header against the batches before it, each batch's
/// checksums, numbers, frames and Merkle root, each index against one made anew from its segment,
/// the checksums of group filters, and of what is left of removed segments. What follows a damaged
/// segment is verified on its own.
///
/// A server may be writing meanwhile: the segments that were there at the beginning are verified,
/// as far as they were written when they were read. Memory: one segment and its index.
/// @param read_bytes  told after each segment how many bytes it has.
/// @error io_error  a file cannot be read; context has the call.
[[nodiscard]] Result<LogReport> verify_log(
    io::FileSystem& files, const std::string& folder, const Uuid& identity,
    const std::function<void(std::uint64_t)>& read_bytes = nullptr);

}  // namespace keelson::log
