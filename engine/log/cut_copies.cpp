#include "engine/log/cut_copies.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/log/log_format.h"
#include "engine/log/segment_header.h"

namespace keelson::log {

namespace {

constexpr std::size_t kNumberDigits = 8;
constexpr std::string_view kUnfinishedSuffix = ".tmp";

bool is_number(const std::string& name) {
  return name.size() == kNumberDigits && name.find_first_not_of("0123456789") == name.npos;
}

std::string next_name(const std::vector<std::string>& names) {
  const std::string number = std::to_string(names.empty() ? 1 : std::stoull(names.back()) + 1);
  return std::string(kNumberDigits - std::min(kNumberDigits, number.size()), '0') + number;
}

/// Of the files in `folder`.
Result<std::uint64_t> bytes_in(io::FileSystem& files, const std::string& folder) {
  KEELSON_TRY_ASSIGN(const auto names, files.list(folder));
  std::uint64_t bytes = 0;
  for (const std::string& name : names) {
    KEELSON_TRY_ASSIGN(const auto file, files.open(folder + "/" + name, io::OpenMode::read));
    KEELSON_TRY_ASSIGN(const std::uint64_t size, file->size());
    bytes += size;
  }
  return bytes;
}

/// Removes the oldest copies until there is room for one of `bytes`.
Result<void> make_room(io::FileSystem& files, const std::string& folder,
                       std::vector<std::string> names, std::uint64_t bytes) {
  std::vector<std::uint64_t> sizes;
  for (const std::string& name : names) {
    KEELSON_TRY_ASSIGN(const std::uint64_t size, bytes_in(files, folder + "/" + name));
    sizes.push_back(size);
    bytes += size;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names.size() - i < kCutsKeptMax && bytes <= kCutBytesMax) break;
    KEELSON_TRY(files.remove_all(folder + "/" + names[i]));
    bytes -= sizes[i];
  }
  return {};
}

}  // namespace

std::string cut_folder(const std::string& folder) { return folder + "/cut"; }

Result<std::vector<std::string>> list_cuts(const io::FileSystem& files, const std::string& folder) {
  KEELSON_TRY_ASSIGN(const bool there, files.exists(cut_folder(folder)));
  if (!there) return std::vector<std::string>();
  KEELSON_TRY_ASSIGN(auto names, files.list(cut_folder(folder)));
  std::erase_if(names, [](const std::string& name) { return !is_number(name); });
  return names;
}

Result<CutCopy> copy_cut(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                         const LogState& at, BatchNo end, const BatchSource& batches) {
  CutCopy copy{{}, at.point.next_batch, at.point.next_batch, end};
  KEELSON_TRY_ASSIGN(const auto names, list_cuts(files, folder));
  const std::string place = cut_folder(folder) + "/" + next_name(names);
  KEELSON_TRY(files.create_folders(place));
  copy.file = place + "/" + segment_name(copy.first);
  const std::string unfinished = copy.file + std::string(kUnfinishedSuffix);
  const auto write = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto file, files.open(unfinished, io::OpenMode::create_new));
    SegmentHeader header;
    header.identity = identity;
    header.capacity = kSegmentHeaderBytes;
    header.start = at;
    while (copy.end < end) {
      KEELSON_TRY_ASSIGN(const EncodedBatches next, batches(copy.end));
      const bool some = copy.end > copy.first;
      if (some && header.capacity + next.bytes.size() > kCutBytesMax) break;
      KEELSON_TRY(file->write_at(header.capacity, next.bytes));
      header.capacity += next.bytes.size();
      copy.end = next.end;
    }
    KEELSON_TRY(file->write_at(0, encode_segment_header(header)));
    KEELSON_TRY(file->sync());
    KEELSON_TRY(make_room(files, cut_folder(folder), names, header.capacity));
    KEELSON_TRY(files.rename(unfinished, copy.file));
    return files.sync_folder(place);
  };
  if (auto written = write(); !written) {
    [[maybe_unused]] const auto removed = files.remove_all(place);
    return std::unexpected(written.error());
  }
  return copy;
}

}  // namespace keelson::log
