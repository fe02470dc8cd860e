// Which segments a folder holds, and as what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"

namespace keelson::log {

/// What there is of a segment.
enum class SegmentForm {
  plain,       ///< its file, as it was written
  compressed,  ///< the same bytes in less room; only once it is sealed
  removed,     ///< retention has removed it: its index is there, its events are not
};

struct SegmentOnDisk {
  std::string name;  ///< of the plain file, in any form
  BatchNo first_batch;
  SegmentForm form = SegmentForm::plain;
};

/// The segments among `names`, the files of a folder, oldest first; removed ones are left out. One
/// that is there in both forms was being compressed when the process ended: it counts as plain.
[[nodiscard]] std::vector<SegmentOnDisk> find_segments(const std::vector<std::string>& names);

/// The file that holds a segment's bytes, from its plain file's path.
[[nodiscard]] std::string segment_file(std::string_view path, SegmentForm form);

}  // namespace keelson::log
