#include "engine/log/segment_grouping.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

namespace {

/// Of the filter that are made at a time.
constexpr std::uint64_t kBlocksAtOnce = 2048;
constexpr std::string_view kUnfinishedSuffix = ".tmp";

/// A segment's index on its way into a filter.
struct Source {
  std::string path;
  SegmentId id;
  std::size_t column = 0;
  std::uint32_t next_stream = 0;
  std::uint32_t next_commit = 0;
};

/// The segments of `group`, each with its column. Nothing when one is missing.
std::vector<Source> sources_of(const PublishedLog& log, const GroupId& group) {
  std::vector<Source> sources;
  const auto segments = log.segments.all();
  for (const auto& segment : *segments) {
    const BatchNo first = segment->start().next_batch;
    if (first < group.columns.front() || first >= group.end) continue;
    const auto after = std::ranges::upper_bound(group.columns, first);
    const auto column = static_cast<std::size_t>(after - group.columns.begin()) - 1;
    sources.push_back({segment->index_file(), segment->id(), column});
  }
  return sources;
}

/// Makes one file.
class FilterMaker {
 public:
  FilterMaker(const PublishedLog& log, const GroupId& group)
      : log_(log), group_(group), sources_(sources_of(log, group)) {}

  Result<void> write(io::File& file) {
    KEELSON_TRY(count());
    std::string table;
    for (std::uint64_t first = 0; first < blocks_; first += kBlocksAtOnce) {
      KEELSON_TRY_ASSIGN(const std::string part,
                         fill(first, std::min(blocks_, first + kBlocksAtOnce)));
      for (std::size_t at = 0; at < part.size(); at += kGroupBlockBytes) {
        append(table, checksum(std::string_view(part).substr(at, kGroupBlockBytes), log_.seed));
      }
      KEELSON_TRY(file.write_at(group_header::kBytes + first * kGroupBlockBytes, part));
    }
    KEELSON_TRY(file.write_at(group_header::kBytes + blocks_ * kGroupBlockBytes, table));
    return file.write_at(0, header(table));
  }

 private:
  /// Sizes the filter by its fullest column.
  Result<void> count() {
    std::array<std::uint64_t, kGroupColumns> keys{};
    for (const Source& source : sources_) {
      KEELSON_TRY_ASSIGN(const auto index, load_index(log_.context.files, source.path, source.id));
      keys[source.column] += std::uint64_t{index->stream_count()} + index->commit_count();
    }
    blocks_ = group_blocks(*std::ranges::max_element(keys));
    if (blocks_ > UINT32_MAX) return fail(Errc::too_large, "a group filter's size");
    return {};
  }

  /// The blocks [first, end). Each index gives its hashes in order, and so do the blocks.
  Result<std::string> fill(std::uint64_t first, std::uint64_t end) {
    std::string part((end - first) * kGroupBlockBytes, '\0');
    const auto set = [&](std::uint64_t hash, std::size_t column) {
      const std::uint64_t block = group_block(hash, blocks_);
      if (block >= end) return false;
      KEELSON_ASSERT(block >= first);
      char* const rows = part.data() + (block - first) * kGroupBlockBytes;
      for (unsigned i = 0; i < kGroupProbes; ++i) {
        const std::size_t at = group_row(hash, i) * sizeof(GroupRow);
        const auto row = get<GroupRow>({rows, kGroupBlockBytes}, at);
        put(rows + at, static_cast<GroupRow>(row | 1u << column));
      }
      return true;
    };
    for (Source& source : sources_) {
      KEELSON_TRY_ASSIGN(const auto index, load_index(log_.context.files, source.path, source.id));
      for (; source.next_stream < index->stream_count(); ++source.next_stream) {
        KEELSON_TRY_ASSIGN(const auto hash, index->stream_hash(source.next_stream));
        if (!set(hash, source.column)) break;
      }
      for (; source.next_commit < index->commit_count(); ++source.next_commit) {
        KEELSON_TRY_ASSIGN(const auto hash, index->commit_hash(source.next_commit));
        if (!set(hash, source.column)) break;
      }
    }
    return part;
  }

  [[nodiscard]] std::string header(std::string_view table) const {
    std::string bytes(group_header::kBytes, '\0');
    kGroupMagic.copy(bytes.data(), kGroupMagic.size());
    put(bytes.data() + group_header::kVersion, kGroupVersion);
    put(bytes.data() + group_header::kLevel, group_.level);
    put(bytes.data() + group_header::kBlockCount, static_cast<std::uint32_t>(blocks_));
    bytes_of(log_.context.identity.bytes).copy(bytes.data() + group_header::kPartition, 16);
    put(bytes.data() + group_header::kEndBatch, group_.end.value);
    for (std::size_t i = 0; i < kGroupColumns; ++i) {
      put(bytes.data() + group_header::kColumns + 8 * i, group_.columns[i].value);
    }
    put(bytes.data() + group_header::kTableChecksum, checksum(table, log_.seed));
    put(bytes.data() + group_header::kHeaderChecksum,
        checksum(std::string_view(bytes).substr(0, group_header::kHeaderChecksum), log_.seed));
    return bytes;
  }

  const PublishedLog& log_;
  const GroupId& group_;
  std::vector<Source> sources_;
  std::uint64_t blocks_ = 0;
};

/// Sixteen columns that follow each other from `first[i]` on, where `first` has one more entry.
GroupId group_from(std::uint32_t level, const std::vector<BatchNo>& firsts) {
  KEELSON_ASSERT(firsts.size() == kGroupColumns + 1);
  GroupId group;
  group.level = level;
  std::copy_n(firsts.begin(), kGroupColumns, group.columns.begin());
  group.end = firsts.back();
  return group;
}

/// Whether the columns of `group` are what the log has.
bool fits(const PublishedLog& log, const GroupId& group) {
  const auto segments = log.segments.all();
  const auto exists = [&](BatchNo batch) {
    return segment_starting_at(*segments, batch) != nullptr;
  };
  return exists(group.end) && std::ranges::all_of(group.columns, exists);
}

}  // namespace

std::optional<GroupId> next_group(const PublishedLog& log) {
  const auto segments = log.segments.all();
  const auto groups = log.groups.all();
  for (const auto& level : *groups) {
    const auto damaged =
        std::ranges::find_if(level, &SegmentGroup::damaged,
                             [](const auto& group) -> const SegmentGroup& { return *group; });
    if (damaged != level.end() && fits(log, (*damaged)->id())) return (*damaged)->id();
  }
  const auto& [small, large] = *groups;
  std::vector<BatchNo> firsts;
  for (const auto& segment : *segments) {
    const BatchNo first = segment->start().next_batch;
    firsts.push_back(first);
    if (firsts.size() == kGroupColumns + 1) return group_from(1, firsts);
    if (!segment->sealed()) break;
    if (group_of(small, first) != nullptr) firsts.clear();
  }
  firsts.clear();
  for (const auto& group : small) {
    if (group_of(large, group->first()) != nullptr) continue;
    // What is between two groups, missing for now, must not be passed over.
    if (!firsts.empty() && firsts.back() != group->first()) firsts.clear();
    if (firsts.empty()) firsts.push_back(group->first());
    firsts.push_back(group->end());
    if (firsts.size() == kGroupColumns + 1) return group_from(2, firsts);
  }
  return std::nullopt;
}

Result<std::shared_ptr<const SegmentGroup>> make_group(const PublishedLog& log,
                                                       const std::string& folder,
                                                       const GroupId& group) {
  io::FileSystem& files = log.context.files;
  const std::string path = folder + "/" + group_name(group.level, group.columns.front());
  const std::string unfinished = path + std::string(kUnfinishedSuffix);
  KEELSON_TRY_ASSIGN(const bool left_over, files.exists(unfinished));
  if (left_over) KEELSON_TRY(files.remove(unfinished));
  const auto write = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto file, files.open(unfinished, io::OpenMode::create_new));
    KEELSON_TRY(FilterMaker(log, group).write(*file));
    return file->sync();
  };
  if (auto written = write(); !written) {
    // Best effort: what stays is removed by the next try or the next start.
    [[maybe_unused]] const auto removed = files.remove(unfinished);
    return std::unexpected(written.error());
  }
  KEELSON_TRY(files.rename(unfinished, path));
  KEELSON_TRY(files.sync_folder(folder));
  return SegmentGroup::open(log.context, path);
}

Result<void> open_groups(PublishedLog& log, const std::string& folder,
                         const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool unfinished =
        name.ends_with(kUnfinishedSuffix) &&
        is_group_name(std::string_view(name).substr(0, name.size() - kUnfinishedSuffix.size()));
    if (!unfinished && !is_group_name(name)) continue;
    if (!unfinished) {
      auto group = SegmentGroup::open(log.context, folder + "/" + name);
      if (!group && group.error().code == Errc::io_error) return std::unexpected(group.error());
      if (group && fits(log, (*group)->id())) {
        log.groups.add(*std::move(group));
        continue;
      }
    }
    KEELSON_TRY(log.context.files.remove(folder + "/" + name));
  }
  return {};
}

}  // namespace keelson::log
