// What was here and is removed, kept aside: batches in whose place the leader's log has others, as
// no other node may have them; and what a start takes for a torn tail, as it may have been whole.
//
//   cut/00000017/00000000000000004711.seg   what the 17th cut of this log has removed: a segment
//                                           that begins where the log was cut
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/log_state.h"
#include "engine/log/log_tail.h"

namespace keelson::log {

/// How much of them stays: the newest, and of one that is larger its beginning.
inline constexpr std::size_t kCutsKeptMax = 64;
inline constexpr std::uint64_t kCutBytesMax = std::uint64_t{256} << 20;

/// Where what a cut has removed is kept.
struct CutCopy {
  std::string file;
  BatchNo first;
  BatchNo end;      ///< of what is kept
  BatchNo cut_end;  ///< of what was removed
};

/// Whole batches from some batch on, some at a time.
using BatchSource = std::function<Result<EncodedBatches>(BatchNo from)>;

/// Copies batches [at, end) of the log in `folder` aside, and removes the oldest copies if there
/// are too many. Durable on return. Crash: the copy is there as a whole, or not.
/// @param at  where the log is to be cut.
/// @error disk_full, io_error  there is no copy; copies of before may be gone.
[[nodiscard]] Result<CutCopy> copy_cut(io::FileSystem& files, const std::string& folder,
                                       const Uuid& identity, const LogState& at, BatchNo end,
                                       const BatchSource& batches);

/// Whether bytes that are no whole batch may ever have been one. Not when there are zeros in the
/// place of its header, and no other header begins among them: then it never got that far.
[[nodiscard]] bool may_be_batch(std::string_view bytes);

/// Copies bytes that are no whole batch aside, as they lie where the log is at `at`; of more than
/// `kCutBytesMax` the beginning. Otherwise as `copy_cut`.
/// @return the file, in which they begin after the header of a segment.
[[nodiscard]] Result<std::string> copy_torn(io::FileSystem& files, const std::string& folder,
                                            const Uuid& identity, const LogState& at,
                                            std::string_view bytes);

/// The numbers of the copies that there are, as names of folders in `cut_folder`, oldest first.
[[nodiscard]] Result<std::vector<std::string>> list_cuts(const io::FileSystem& files,
                                                         const std::string& folder);
[[nodiscard]] std::string cut_folder(const std::string& folder);

}  // namespace keelson::log
