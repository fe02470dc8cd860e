// Giving a log another beginning: for a replica that needs what the others have removed.
//
//   00000000000000000000.fetched  the index of a removed segment, from another replica: whole,
//                                 verified and durable
//   fetch.tmp                     one that is on its way
//   start.tmp                     the segment with which the log will begin, still empty
//   install.mark                  the mark: what is here takes the place of the log beside it
//
// Before the mark is there nothing of it counts, and the log beside it is as it was; what has come
// is gone on with. From the mark on the old log counts no more, and a start finishes what is left.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/log_state.h"
#include "engine/log/log_tail.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

/// Receives what is left of removed segments, in pieces and in order, into the folder of a log.
/// Belongs to the writer of that log.
///
/// Crash: a file has its name when all of it is durable. What is on its way is begun anew.
class LogInstall {
 public:
  LogInstall(io::FileSystem& files, std::string folder, const Uuid& identity);

  /// Goes on from what is left of an earlier life, and removes what does not follow on `start`,
  /// which is where the log beside it begins.
  [[nodiscard]] Result<void> resume(const LogPoint& start);
  /// What comes will follow on `start`, where the log begins now. While nothing has come.
  void begin_after(const LogPoint& start) { from_ = next_ = start; }
  /// What is to come next.
  [[nodiscard]] InstallPlace place() const { return {next_.next_batch, position_}; }
  /// Whether anything has come.
  [[nodiscard]] bool begun() const { return position_ > 0 || next_.next_batch != from_.next_batch; }

  /// @error corruption           it is not what belongs there; that file is begun anew.
  /// @error disk_full, io_error  the same, or what was there before it stays.
  [[nodiscard]] Result<void> take(const RemovedPiece& piece);
  /// Makes the segment with which the log is to begin, beside its place, durably.
  /// @param header  of another replica's segment, as it lies there.
  /// @error corruption  it does not follow on what has come.
  [[nodiscard]] Result<SegmentHeader> make_start(std::string_view header);
  /// Removes all that has come: it is not needed.
  [[nodiscard]] Result<void> discard();
  /// What a sync gave, should one have failed: then the process must end.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

 private:
  [[nodiscard]] Result<void> sync(io::File& file);
  [[nodiscard]] Result<void> begin_file();
  [[nodiscard]] Result<void> end_file();
  [[nodiscard]] Result<void> write_start(std::string_view header, std::uint64_t capacity);

  io::FileSystem& files_;
  const std::string folder_;
  const Uuid identity_;
  LogPoint from_;                   ///< where the log beside it begins
  LogPoint next_;                   ///< after what has come; without the epoch
  std::uint64_t position_ = 0;      ///< in the file that is on its way
  std::unique_ptr<io::File> file_;  ///< that one
  std::optional<Error> failure_;
};

/// Puts the mark in its place: from here on the log is what has come. The caller goes on with
/// `finish_install`.
[[nodiscard]] Result<void> mark_install(io::FileSystem& files, const std::string& folder,
                                        const Uuid& identity, BatchNo start);
[[nodiscard]] Result<bool> has_install_mark(const io::FileSystem& files, const std::string& folder);
/// Does what a mark in `folder` says, if there is one: removes the old log, and gives what has come
/// its names. Durable on return. May be done again.
/// @error corruption, unsupported_format  the mark is damaged. Nothing is changed.
[[nodiscard]] Result<void> finish_install(io::FileSystem& files, const std::string& folder,
                                          const Uuid& identity);

}  // namespace keelson::log
