// Untrusted bytes as a filter over segments, with the checksums that its bytes would have: what is
// opened answers by its rows and reads nothing else, and with a wrong checksum it answers that
// anything may be anywhere. The first byte says as what the rest is read.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/io/file_system.h"
#include "engine/log/batch.h"
#include "engine/log/segment_group.h"
#include "tests/fuzz/input.h"
#include "tests/support/simulated_file_system.h"

namespace {

using namespace keelson;
using namespace keelson::log;
using keelson::fuzz::Input;

constexpr Uuid kIdentity{{std::byte{7}}};
constexpr std::uint64_t kHashesAsked = 64;

/// A new disk with `bytes` in the file that the header in them names.
class Disk {
 public:
  explicit Disk(std::string_view bytes) {
    BatchNo first;
    std::uint32_t level = 1;
    if (bytes.size() >= group_header::kBytes) {
      first = BatchNo(get<std::uint64_t>(bytes, group_header::kColumns));
      level = std::clamp(get<std::uint32_t>(bytes, group_header::kLevel), 1u, kGroupLevels);
    }
    path_ = "log/" + group_name(level, first);
    KEELSON_ASSERT(files_.create_folders("log").has_value());
    KEELSON_ASSERT(io::replace_file(files_, path_, bytes).has_value());
  }

  [[nodiscard]] Result<std::shared_ptr<const SegmentGroup>> open() const {
    return SegmentGroup::open(context_, path_);
  }
  void flip(std::uint64_t bit) { files_.flip_bit(path_, bit); }

 private:
  mutable test::SimulatedFileSystem files_{1};
  std::string path_;
  const SegmentContext context_{files_, kIdentity, std::make_shared<OpenSegments>()};
};

/// Sets the checksums of the header, of the blocks there are and of their table.
void set_checksums(std::string& bytes) {
  if (bytes.size() < group_header::kBytes) return;
  const auto seed = checksum_seed(kIdentity);
  const std::uint64_t blocks = get<std::uint32_t>(bytes, group_header::kBlockCount);
  if (bytes.size() == group_file_bytes(blocks)) {
    const std::uint64_t table = group_header::kBytes + blocks * kGroupBlockBytes;
    for (std::uint64_t i = 0; i < blocks; ++i) {
      const auto block = std::string_view(bytes).substr(group_header::kBytes + i * kGroupBlockBytes,
                                                        kGroupBlockBytes);
      put(bytes.data() + table + i * 8, checksum(block, seed));
    }
    put(bytes.data() + group_header::kTableChecksum,
        checksum(std::string_view(bytes).substr(table), seed));
  }
  put(bytes.data() + group_header::kHeaderChecksum,
      checksum(std::string_view(bytes).substr(0, group_header::kHeaderChecksum), seed));
}

/// What docs/index-format.md, "Group filters", says of `hash`.
GroupRow columns_of(std::string_view bytes, std::uint64_t hash) {
  const std::uint64_t blocks = get<std::uint32_t>(bytes, group_header::kBlockCount);
  const std::uint64_t block = group_header::kBytes + group_block(hash, blocks) * kGroupBlockBytes;
  GroupRow columns = SegmentGroup::kAll;
  for (unsigned i = 0; i < kGroupProbes; ++i) {
    columns &= get<GroupRow>(bytes, block + group_row(hash, i) * sizeof(GroupRow));
  }
  return columns;
}

std::uint64_t nth_hash(std::uint64_t i) { return (i + 1) * kGroupMultiplier; }

/// `bytes` with right checksums.
/// @return whether they are a group's filter.
bool read(const std::string& bytes) {
  const Disk disk(bytes);
  const auto opened = disk.open();
  if (!opened) {
    KEELSON_ASSERT(opened.error().code == Errc::corruption ||
                   opened.error().code == Errc::unsupported_format);
    return false;
  }
  const SegmentGroup& group = **opened;
  KEELSON_ASSERT(group.check().has_value());
  for (std::uint64_t i = 0; i < kHashesAsked; ++i) {
    const std::uint64_t hash = nth_hash(i);
    KEELSON_ASSERT(group.may_contain(hash) == columns_of(bytes, hash));
  }
  KEELSON_ASSERT(!group.damaged());
  for (std::size_t i = 0; i < kGroupColumns; ++i) {
    KEELSON_ASSERT(group.column_of(group.id().columns[i]) == i);
    const BatchNo next = i + 1 < kGroupColumns ? group.id().columns[i + 1] : group.end();
    KEELSON_ASSERT(next > group.id().columns[i]);
    KEELSON_ASSERT(group.column_of(BatchNo(next.value - 1)) == i);
  }
  return true;
}

/// The filter `bytes` with one bit changed hides nothing.
void read_damaged(const std::string& bytes, std::uint64_t bit) {
  Disk disk(bytes);
  disk.flip(bit % (bytes.size() * 8));
  const auto opened = disk.open();
  if (!opened) return;
  const SegmentGroup& group = **opened;
  KEELSON_ASSERT(!group.check());
  for (std::uint64_t i = 0; i < kHashesAsked; ++i) {
    const GroupRow good = columns_of(bytes, nth_hash(i));
    KEELSON_ASSERT((group.may_contain(nth_hash(i)) & good) == good);
  }
}

/// A header whose fields are right but for what `input` says, and rows as it has them.
std::string made(Input& input) {
  const std::uint64_t blocks = input.byte() % 4;
  std::string bytes(group_file_bytes(blocks), '\0');
  kGroupMagic.copy(bytes.data(), kGroupMagic.size());
  put(bytes.data() + group_header::kVersion, kGroupVersion);
  put(bytes.data() + group_header::kLevel, std::uint32_t{input.byte()});
  put(bytes.data() + group_header::kBlockCount, static_cast<std::uint32_t>(blocks));
  std::uint64_t batch = 0;
  const unsigned shift = input.byte() % 64;
  for (std::size_t i = 0; i < kGroupColumns; ++i) {
    batch += std::uint64_t{input.byte()} << shift;
    put(bytes.data() + group_header::kColumns + 8 * i, batch);
  }
  batch += input.byte();
  put(bytes.data() + group_header::kEndBatch, batch);
  // Rows of keys, then bytes anywhere.
  const std::uint8_t keys = input.byte();
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(keys, kHashesAsked) && blocks > 0; ++i) {
    char* const block =
        bytes.data() + group_header::kBytes + group_block(nth_hash(i), blocks) * kGroupBlockBytes;
    const GroupRow row = static_cast<GroupRow>(1u << input.byte() % kGroupColumns);
    for (unsigned p = 0; p < kGroupProbes; ++p) {
      char* const at = block + group_row(nth_hash(i), p) * sizeof(GroupRow);
      put(at, static_cast<GroupRow>(get<GroupRow>({at, sizeof(GroupRow)}, 0) | row));
    }
  }
  while (!input.empty()) {
    const std::size_t at = std::size_t{input.byte()} << 8 | input.byte();
    if (at < bytes.size()) bytes[at] = static_cast<char>(input.byte());
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t mode = input.byte();
  const std::uint64_t bit = std::uint64_t{input.byte()} << 16 | std::uint64_t{input.byte()} << 8 |
                            std::uint64_t{input.byte()};
  if (mode % 2 == 0) {
    const Disk as_it_is(input.rest());
    static_cast<void>(as_it_is.open());
  }
  std::string bytes = mode % 2 == 0 ? std::string(input.rest()) : made(input);
  set_checksums(bytes);
  if (read(bytes)) read_damaged(bytes, bit);
  return 0;
}
