#include "engine/log/partition_names.h"

#include <algorithm>
#include <array>

#include "engine/log/log_format.h"
#include "engine/log/segment_group.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

namespace {

constexpr std::string_view kUnfinishedSuffix = ".tmp";
/// Files that there is one of. The last two are those of a replica: engine/cluster/promise_store.h,
/// engine/cluster/last_records.h.
constexpr std::array<std::string_view, 4> kSingle = {kMarkName, kInstallMarkName, "promise",
                                                     "last-record"};
constexpr std::array<std::string_view, 5> kOfSegment = {kSegmentSuffix, kCompressedSuffix,
                                                        kIndexSuffix, kPastSuffix, kFetchedSuffix};

std::string number_of(std::string_view name) {
  return std::string(name.substr(0, std::min(name.size(), kSegmentNameDigits)));
}

bool is_whole_name(std::string_view name) {
  if (std::ranges::find(kSingle, name) != kSingle.end() || is_group_name(name)) return true;
  const std::string number = number_of(name);
  const bool numbered = parse_segment_name(number + std::string(kSegmentSuffix)).has_value();
  return numbered && std::ranges::find(kOfSegment, name.substr(number.size())) != kOfSegment.end();
}

}  // namespace

bool is_partition_name(std::string_view name) {
  if (name == kNextSegmentName || name == kFetchName || name == kStartName || name == "cut") {
    return true;
  }
  if (name.ends_with(kUnfinishedSuffix)) name.remove_suffix(kUnfinishedSuffix.size());
  return is_whole_name(name);
}

std::vector<std::string> indexes_without_segment(const std::vector<std::string>& names) {
  std::vector<std::string> without;
  for (const std::string& name : names) {
    if (!name.ends_with(kIndexSuffix) || !is_whole_name(name)) continue;
    const auto has = [&](std::string_view suffix) {
      return std::ranges::find(names, number_of(name) + std::string(suffix)) != names.end();
    };
    if (!has(kSegmentSuffix) && !has(kCompressedSuffix)) without.push_back(name);
  }
  return without;
}

}  // namespace keelson::log
