// What one replica of a log tells another of it.
#pragma once

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
