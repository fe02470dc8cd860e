// The file that says where the log ends while what is after it is being removed, or may be torn.
// The layout is docs/log-format.md, "Mark".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/io/file_system.h"

namespace keelson::log {

/// Two are alike: what they name is the end of the log, or where it will begin.
enum class Mark {
  cut,      ///< see above
  install,  ///< see log_install.h
};

/// The mark in `folder`, or nothing. All batches below it were durable when it was made; from it on
/// nothing counts, and what is there may be anything.
/// @error corruption          it is damaged, which no crash does: it is put there as a whole.
/// @error unsupported_format  of a later version, or of another partition.
[[nodiscard]] Result<std::optional<BatchNo>> read_mark(io::FileSystem& files,
                                                       const std::string& folder,
                                                       const Uuid& identity,
                                                       Mark which = Mark::cut);

/// Writes the mark beside its place. The caller syncs the file, then calls `place_mark`, then syncs
/// the folder.
[[nodiscard]] Result<std::unique_ptr<io::File>> write_mark(io::FileSystem& files,
                                                           const std::string& folder,
                                                           const Uuid& identity, BatchNo end,
                                                           Mark which = Mark::cut);
[[nodiscard]] Result<void> place_mark(io::FileSystem& files, const std::string& folder,
                                      Mark which = Mark::cut);
/// The caller syncs the folder.
[[nodiscard]] Result<void> lift_mark(io::FileSystem& files, const std::string& folder,
                                     Mark which = Mark::cut);
/// Removes a mark that a crash left beside its place.
[[nodiscard]] Result<void> clean_mark(io::FileSystem& files, const std::string& folder,
                                      Mark which = Mark::cut);

/// Removes the files of all segments after the one that begins with `last`, the newest first, so
/// that a crash leaves no gap. The caller syncs the folder.
[[nodiscard]] Result<void> remove_segments_after(io::FileSystem& files, const std::string& folder,
                                                 BatchNo last);

/// Makes what is not zero in `bytes`, those of the file, from `position` on zero. The caller syncs.
[[nodiscard]] Result<void> zero_rest(io::File& file, std::string_view bytes,
                                     std::uint64_t position);

}  // namespace keelson::log
