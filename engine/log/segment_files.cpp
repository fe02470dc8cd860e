#include "engine/log/segment_files.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/log/log_format.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

std::vector<SegmentOnDisk> find_segments(const std::vector<std::string>& names) {
  std::vector<SegmentOnDisk> segments;
  for (const std::string& name : names) {
    const bool compressed = name.ends_with(kCompressedSuffix);
    std::string plain = name;
    if (compressed) {
      plain.resize(name.size() - kCompressedSuffix.size());
      plain += kSegmentSuffix;
    }
    const auto first = parse_segment_name(plain);
    if (!first) continue;
    segments.push_back(
        {std::move(plain), *first, compressed ? SegmentForm::compressed : SegmentForm::plain});
  }
  std::ranges::sort(segments, {}, [](const SegmentOnDisk& segment) {
    return std::pair(segment.first_batch, segment.form);
  });
  const auto both = std::ranges::unique(segments, {}, &SegmentOnDisk::first_batch);
  segments.erase(both.begin(), both.end());
  return segments;
}

std::string segment_file(std::string_view path, SegmentForm form) {
  KEELSON_ASSERT(form != SegmentForm::removed);
  if (form == SegmentForm::plain) return std::string(path);
  path.remove_suffix(kSegmentSuffix.size());
  return std::string(path) + std::string(kCompressedSuffix);
}

}  // namespace keelson::log
