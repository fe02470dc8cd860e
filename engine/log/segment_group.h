// A filter over sixteen sealed segments, or over sixteen groups of them, and the list of those.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "engine/log/group_filter_format.h"
#include "engine/log/open_segment.h"

namespace keelson::log {

/// What a group covers.
struct GroupId {
  std::uint32_t level = 1;  ///< 1: its columns are segments; 2: they are groups of level 1
  std::array<BatchNo, kGroupColumns> columns;  ///< the first batch of each, ascending
  BatchNo end;                                 ///< where the segment after the last column begins
  bool operator==(const GroupId&) const = default;
};

/// Says of a key's hash, with one page read, which columns of the group may hold the key. Never
/// wrong about one that does; about one in 200 that does not is named as well.
///
/// Its file is derived from the segments' indexes and made once. Whatever is wrong with it, a
/// look-up does not fail but searches all columns: it is then made again by `DiskLog::maintain`.
/// Memory: about 250 bytes, and what `OpenSegments` holds. Thread-safe.
class SegmentGroup {
 public:
  using Columns = GroupRow;  ///< bit i: column i
  static constexpr Columns kAll = UINT16_MAX;

  /// Reads the header of the group's file at `path`.
  /// @error corruption, unsupported_format  it is to be made again.
  [[nodiscard]] static Result<std::shared_ptr<const SegmentGroup>> open(
      const SegmentContext& context, std::string path);

  [[nodiscard]] const GroupId& id() const { return id_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] BatchNo first() const { return id_.columns.front(); }
  [[nodiscard]] BatchNo end() const { return id_.end; }
  /// The column that holds `batch`, which must be within the group.
  [[nodiscard]] std::size_t column_of(BatchNo batch) const;

  [[nodiscard]] Columns may_contain(std::uint64_t hash) const;
  /// Verifies all of it. @error corruption  context has the file.
  [[nodiscard]] Result<void> check() const;
  /// A look-up has found damage.
  [[nodiscard]] bool damaged() const { return damaged_.load(std::memory_order_relaxed); }

  SegmentGroup(const SegmentContext& context, std::string path, const GroupId& id,
               std::uint32_t blocks)
      : context_(context), path_(std::move(path)), id_(id), blocks_(blocks) {}

 private:
  class Mapped;
  [[nodiscard]] Result<std::shared_ptr<const Mapped>> map() const;

  const SegmentContext& context_;
  const std::string path_;
  const GroupId id_;
  const std::uint32_t blocks_;
  mutable std::atomic<bool> damaged_ = false;
  mutable std::mutex mutex_;
  mutable std::weak_ptr<const Mapped> mapped_;
};

/// The groups of one level, by first batch, without overlap.
using GroupsOfLevel = std::vector<std::shared_ptr<const SegmentGroup>>;
using Groups = std::array<GroupsOfLevel, kGroupLevels>;

/// The group of `level` in which `batch` lies, or nullptr.
[[nodiscard]] const SegmentGroup* group_of(const GroupsOfLevel& groups, BatchNo batch);

/// The groups of a log as readers see them. Thread-safe.
class GroupList {
 public:
  [[nodiscard]] std::shared_ptr<const Groups> all() const;
  /// Adds `group`, in place of one that begins at the same batch.
  void add(std::shared_ptr<const SegmentGroup> group);
  void clear();

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Groups> groups_ = std::make_shared<Groups>();
};

/// `00000000000000000042.g1`: level 1, from batch 42.
[[nodiscard]] std::string group_name(std::uint32_t level, BatchNo first);
[[nodiscard]] bool is_group_name(std::string_view name);

}  // namespace keelson::log
