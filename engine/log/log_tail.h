// What one replica of a log tells another of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/types.h"
#include "engine/io/file_region.h"

namespace keelson::log {

/// Whole batches as they lie in the log.
struct EncodedBatches {
  BatchNo first;
  BatchNo end;
  std::string bytes;
};

/// The same where they are in one file that does not change any more.
struct BatchRegion {
  BatchNo first;
  BatchNo end;
  io::FileRegion file;
};

/// What is left of a removed segment, which is its index file; or a piece of that.
struct RemovedPiece {
  BatchNo segment;               ///< its first batch
  std::uint64_t position = 0;    ///< of the piece
  std::uint64_t file_bytes = 0;  ///< of the whole file
  std::string bytes;
  /// Where the piece lies, instead, for who has the file.
  std::optional<io::FileRegion> region{};
};

/// How a log begins: piece by piece what is left of the segments that have been removed, then the
/// header of the segment with which it goes on.
struct Beginning {
  std::optional<RemovedPiece> removed;
  std::string header;  ///< unless there is such a piece; empty: no segment begins there
};

/// What a log that is given another beginning has to get next.
struct InstallPlace {
  BatchNo segment;
  std::uint64_t position = 0;
  bool operator==(const InstallPlace&) const = default;
};

/// The first batch of an epoch.
struct EpochStart {
  Epoch epoch;
  BatchNo first;
  bool operator==(const EpochStart&) const = default;
};

/// The end of a log: the epochs of the batches [from, end).
struct LogTail {
  BatchNo from;
  Epoch epoch_before;  ///< of batch `from` - 1; 0 when `from` is 0
  std::vector<EpochStart> epochs;
  BatchNo end;
  bool operator==(const LogTail&) const = default;
};

}  // namespace keelson::log
