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
  /// Its header cannot be read: of `start` there is the number in its name alone.
  std::optional<Error> damage{};
};

/// Something that should be there and cannot be shown.
struct LogGap {
  Error error;  ///< context names the file, and the byte where there is one
  std::string file;
  std::optional<std::uint64_t> position{};
  /// The first batch after it, in the same file, of which the header is whole.
  std::optional<std::uint64_t> resumes{};
};

struct BatchInfo {
  BatchHeader header;
  std::string file;
  std::uint64_t position = 0;  ///< byte of the file
};

/// What can be shown, and what cannot.
struct SegmentList {
  std::vector<SegmentInfo> segments;
  std::vector<LogGap> gaps;
};
struct BatchList {
  LogPoint start;  ///< of the log: what was before has been removed, or never was
  std::vector<BatchInfo> batches;
  std::vector<LogGap> gaps;
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

  /// Oldest first. What is damaged is left out, or shown with its damage.
  /// @error io_error, not_found  the folder cannot be listed.
  [[nodiscard]] Result<SegmentList> list_segments() const;
  /// Up to `limit` batches from number `from` on. After what is damaged it goes on where the next
  /// header in that file is whole, else with the next file. Errors as above.
  [[nodiscard]] Result<BatchList> list_batches(BatchNo from, std::size_t limit) const;

  /// Oldest first, all of them.
  /// @error corruption, unsupported_format  of a segment's header; context has the file.
  [[nodiscard]] Result<std::vector<SegmentInfo>> segments() const;

  /// Up to `limit` batches from number `from` on, with nothing left out.
  /// @error corruption  the batch that comes next is damaged; context has file and byte.
  [[nodiscard]] Result<std::vector<BatchInfo>> batches(BatchNo from, std::size_t limit) const;

  /// The event at `offset`, or nothing past the end.
  /// @error corruption   what it lies in is damaged. @error below_start  it is not in the log any
  /// more.
  [[nodiscard]] Result<std::optional<EventInfo>> event(Offset offset) const;

 private:
  [[nodiscard]] Result<SegmentList> look_at_segments() const;
  [[nodiscard]] SegmentInfo look_at_segment(const SegmentOnDisk& segment) const;
  [[nodiscard]] Result<BatchList> look_at_batches(BatchNo from, std::size_t limit) const;
  [[nodiscard]] Result<std::optional<EventInfo>> find_event(Offset offset) const;
  /// Where what counts ends, by a mark.
  [[nodiscard]] BatchNo marked_end(std::vector<LogGap>& gaps) const;

  io::FileSystem& files_;
  std::string folder_;
  Uuid identity_;
};

}  // namespace keelson::log
