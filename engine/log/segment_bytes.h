// Reading a segment file beside the server that may be writing it.
#pragma once

#include <string>

#include "engine/base/result.h"
#include "engine/io/file_system.h"
#include "engine/log/segment_files.h"

namespace keelson::log {

/// All bytes of the file at `path`, by reading: what is mapped must not be cut, and a server cuts a
/// segment to what it uses when it seals it.
/// @error io_error, not_found  context has the call.
[[nodiscard]] Result<std::string> file_bytes(io::FileSystem& files, const std::string& path);

/// All bytes of a segment in whatever form; `path` is that of its plain file.
/// @error corruption  it is compressed, and damaged; context has file and byte.
[[nodiscard]] Result<std::string> segment_bytes(io::FileSystem& files, const std::string& path,
                                                SegmentForm form);
/// Its first `kSegmentHeaderBytes`, or all if it has less.
[[nodiscard]] Result<std::string> segment_head(io::FileSystem& files, const std::string& path,
                                               SegmentForm form);

}  // namespace keelson::log
