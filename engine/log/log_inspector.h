// Looks into one partition's log as it lies on disk, without opening it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/batch.h"
#include "engine/log/log_state.h"
#include "engine/log/segment_files.h"

namespace keelson::log {

struct SegmentInfo {
  std::string file;
  std::string plain_file;  ///< the same unless it is compressed
  SegmentForm form = SegmentForm::plain;
  LogPoint start;
  std::uint64_t bytes = 0;  ///< of the file
  bool indexed = false;     ///< there is an index file beside it: it is sealed
};

struct BatchInfo {
  BatchHeader header;
  std::string file;
  std::uint64_t position = 0;  ///< byte of the file
};

struct EventInfo {
  BatchInfo batch;
  Offset offset;
  std::string stream;
  Version version;
  std::string type;
  TimeUs time;
  std::string data;
  std::string metadata;
  std::string principal;   ///< of the command behind it
  std::string command_id;  ///< empty: it has none
  Hash leaf_hash{};        ///< its leaf of the Merkle tree
};

/// Reads what is there at each call; a server may be writing. Batches are verified as they are
/// shown, each on its own. Memory: one segment. Not thread-safe.
class LogInspector {
 public:
  /// @param identity  of the partition.
  LogInspector(io::FileSystem& files, std::string folder, const Uuid& identity)
      : files_(files), folder_(std::move(folder)), identity_(identity) {}

  /// Oldest first.
  /// @error corruption, unsupported_format  of a segment's header; context has the file.
  [[nodiscard]] Result<std::vector<SegmentInfo>> segments() const;

  /// Up to `limit` batches from number `from` on.
  /// @error corruption  the batch that comes next is damaged; context has file and byte.
  [[nodiscard]] Result<std::vector<BatchInfo>> batches(BatchNo from, std::size_t limit) const;

  /// The event at `offset`, or nothing past the end.
  /// @error corruption   as above. @error below_start  it is not in the log any more.
  [[nodiscard]] Result<std::optional<EventInfo>> event(Offset offset) const;

 private:
  [[nodiscard]] Result<std::vector<SegmentInfo>> list_segments() const;
  [[nodiscard]] Result<std::vector<BatchInfo>> list_batches(BatchNo from, std::size_t limit) const;
  [[nodiscard]] Result<std::optional<EventInfo>> find_event(Offset offset) const;

  io::FileSystem& files_;
  std::string folder_;
  Uuid identity_;
};

}  // namespace keelson::log
