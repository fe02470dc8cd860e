#include "engine/log/segment_group.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/log_format.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

namespace {

constexpr std::string_view kGroupSuffixes[kGroupLevels] = {".g1", ".g2"};
constexpr std::size_t kBlocksPerWord = 64;

std::unexpected<Error> unusable(const std::string& path, std::string_view why,
                                Errc code = Errc::corruption) {
  return fail(code, path + ": " + std::string(why));
}

/// Only the bits that no field uses may differ in a later version.
bool reserved_are_zero(std::string_view header) {
  const auto rest = header.substr(group_header::kReserved,
                                  group_header::kTableChecksum - group_header::kReserved);
  return get<std::uint32_t>(header, group_header::kBlockCount + 4) == 0 &&
         rest.find_first_not_of('\0') == rest.npos;
}

}  // namespace

/// The file, mapped, its table of checksums verified, its blocks at their first use.
class SegmentGroup::Mapped final : public Opened {
 public:
  [[nodiscard]] static Result<std::shared_ptr<const Mapped>> open(const SegmentContext& context,
                                                                  const std::string& path,
                                                                  std::uint32_t blocks) {
    auto mapped = std::make_shared<Mapped>();
    KEELSON_TRY_ASSIGN(mapped->file_, context.files.open(path, io::OpenMode::read));
    KEELSON_TRY_ASSIGN(mapped->bytes_, mapped->file_->view());
    mapped->faults_ = &mapped->file_->faults();
    mapped->seed_ = checksum_seed(context.identity);
    mapped->blocks_ = blocks;
    if (mapped->bytes_.size() != group_file_bytes(blocks)) {
      return unusable(path, "its length is not what its header gives");
    }
    const auto table = mapped->bytes_.substr(mapped->table());
    if (checksum(table, mapped->seed_) !=
        get<std::uint64_t>(mapped->bytes_, group_header::kTableChecksum)) {
      return unusable(path, "the checksum of the block checksums is wrong");
    }
    if (mapped->faults_->any()) return unusable(path, "a part of it cannot be read");
    mapped->checked_ = std::make_unique<std::atomic<std::uint64_t>[]>(blocks / kBlocksPerWord + 1);
    return mapped;
  }

  /// @error corruption  its checksum is wrong.
  [[nodiscard]] Result<void> check_block(std::uint64_t block) const {
    const std::uint64_t first = group_header::kBytes + block * kGroupBlockBytes;
    if (checksum(bytes_.substr(first, kGroupBlockBytes), seed_) !=
        get<std::uint64_t>(bytes_, table() + block * 8)) {
      return fail(Errc::corruption,
                  "a block of a group filter fails its checksum, at byte " + std::to_string(first));
    }
    return check_read();
  }

  /// @error corruption  of the block the hash lies in.
  [[nodiscard]] Result<Columns> may_contain(std::uint64_t hash) const {
    const std::uint64_t block = group_block(hash, blocks_);
    const std::uint64_t first = group_header::kBytes + block * kGroupBlockBytes;
    std::atomic<std::uint64_t>& word = checked_[block / kBlocksPerWord];
    const std::uint64_t bit = std::uint64_t{1} << block % kBlocksPerWord;
    if ((word.load(std::memory_order_relaxed) & bit) == 0) {
      KEELSON_TRY(check_block(block));
      word.fetch_or(bit, std::memory_order_relaxed);
    }
    Columns columns = kAll;
    for (unsigned i = 0; i < kGroupProbes; ++i) {
      columns &= get<GroupRow>(bytes_, first + group_row(hash, i) * sizeof(GroupRow));
    }
    KEELSON_TRY(check_read());  // zeros would hide what is there
    return columns;
  }

 private:
  [[nodiscard]] Result<void> check_read() const {
    if (!faults_->any()) return {};
    return fail(Errc::corruption, "a part of a group filter cannot be read");
  }
  [[nodiscard]] std::uint64_t table() const {
    return group_header::kBytes + std::uint64_t{blocks_} * kGroupBlockBytes;
  }

  std::unique_ptr<io::File> file_;
  std::string_view bytes_;
  const io::ReadFaults* faults_ = nullptr;  ///< of `file_`
  ChecksumSeed seed_ = 0;
  std::uint32_t blocks_ = 0;
  /// A bit per block that has been checked. Relaxed, as in `SealedIndex`.
  std::unique_ptr<std::atomic<std::uint64_t>[]> checked_;
};

Result<std::shared_ptr<const SegmentGroup>> SegmentGroup::open(const SegmentContext& context,
                                                               std::string path) {
  KEELSON_TRY_ASSIGN(const auto file, context.files.open(path, io::OpenMode::read));
  KEELSON_TRY_ASSIGN(const std::uint64_t size, file->size());
  if (size < group_header::kBytes) return unusable(path, "shorter than its header");
  KEELSON_TRY_ASSIGN(const std::string header, file->read_at(0, group_header::kBytes));
  if (!header.starts_with(kGroupMagic)) return unusable(path, "not a group filter");
  if (get<std::uint32_t>(header, group_header::kVersion) != kGroupVersion) {
    return unusable(path, "of another version", Errc::unsupported_format);
  }
  if (checksum(std::string_view(header).substr(0, group_header::kHeaderChecksum),
               checksum_seed(context.identity)) !=
      get<std::uint64_t>(header, group_header::kHeaderChecksum)) {
    return unusable(path, "the header's checksum is wrong, or it is another partition's");
  }
  if (!reserved_are_zero(header)) return unusable(path, "a reserved field is not zero");
  GroupId id;
  id.level = get<std::uint32_t>(header, group_header::kLevel);
  id.end = BatchNo(get<std::uint64_t>(header, group_header::kEndBatch));
  for (std::size_t i = 0; i < kGroupColumns; ++i) {
    id.columns[i] = BatchNo(get<std::uint64_t>(header, group_header::kColumns + 8 * i));
  }
  const auto blocks = get<std::uint32_t>(header, group_header::kBlockCount);
  if (id.level < 1 || id.level > kGroupLevels || blocks == 0 || size != group_file_bytes(blocks) ||
      !std::ranges::is_sorted(id.columns, std::ranges::less_equal{}) ||
      id.end <= id.columns.back() || !path.ends_with(group_name(id.level, id.columns.front()))) {
    return unusable(path, "its header does not describe a group");
  }
  return std::make_shared<const SegmentGroup>(context, std::move(path), id, blocks);
}

std::size_t SegmentGroup::column_of(BatchNo batch) const {
  KEELSON_ASSERT(batch >= first() && batch < end());
  const auto after = std::ranges::upper_bound(id_.columns, batch);
  return static_cast<std::size_t>(after - id_.columns.begin()) - 1;
}

Result<std::shared_ptr<const SegmentGroup::Mapped>> SegmentGroup::map() const {
  const std::lock_guard lock(mutex_);
  if (auto mapped = mapped_.lock()) {
    context_.open->touch(*mapped);
    return mapped;
  }
  KEELSON_TRY_ASSIGN(auto mapped, Mapped::open(context_, path_, blocks_));
  mapped_ = mapped;
  context_.open->keep(mapped);
  return mapped;
}

SegmentGroup::Columns SegmentGroup::may_contain(std::uint64_t hash) const {
  if (damaged()) return kAll;
  const auto mapped = map();
  if (mapped) {
    if (const auto columns = (*mapped)->may_contain(hash)) return *columns;
  }
  damaged_.store(true, std::memory_order_relaxed);
  return kAll;
}

Result<void> SegmentGroup::check() const {
  KEELSON_TRY_ASSIGN(const auto mapped, map());
  for (std::uint64_t block = 0; block < blocks_; ++block) {
    if (auto good = mapped->check_block(block); !good) {
      return unusable(path_, good.error().context);
    }
  }
  return {};
}

const SegmentGroup* group_of(const GroupsOfLevel& groups, BatchNo batch) {
  const auto after =
      std::ranges::upper_bound(groups, batch, {}, [](const auto& group) { return group->first(); });
  if (after == groups.begin()) return nullptr;
  const SegmentGroup& group = **std::prev(after);
  return batch < group.end() ? &group : nullptr;
}

std::shared_ptr<const Groups> GroupList::all() const {
  const std::lock_guard lock(mutex_);
  return groups_;
}

void GroupList::add(std::shared_ptr<const SegmentGroup> group) {
  const std::lock_guard lock(mutex_);
  auto changed = std::make_shared<Groups>(*groups_);
  GroupsOfLevel& level = (*changed)[group->id().level - 1];
  const auto at = std::ranges::lower_bound(level, group->first(), {},
                                           [](const auto& other) { return other->first(); });
  if (at != level.end() && (*at)->first() == group->first()) {
    *at = std::move(group);
  } else {
    level.insert(at, std::move(group));
  }
  groups_ = std::move(changed);
}

void GroupList::clear() {
  const std::lock_guard lock(mutex_);
  groups_ = std::make_shared<Groups>();
}

std::string group_name(std::uint32_t level, BatchNo first) {
  std::string name = segment_name(first);
  name.resize(kSegmentNameDigits);
  return name += kGroupSuffixes[level - 1];
}

bool is_group_name(std::string_view name) {
  if (name.size() <= kSegmentNameDigits) return false;
  const auto suffix = name.substr(kSegmentNameDigits);
  return std::ranges::find(kGroupSuffixes, suffix) != std::end(kGroupSuffixes) &&
         parse_segment_name(std::string(name.substr(0, kSegmentNameDigits)) +
                            std::string(kSegmentSuffix))
             .has_value();
}

}  // namespace keelson::log
