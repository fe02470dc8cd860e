#include "engine/log/cut_copies.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/coding.h"
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

/// Puts a segment that begins at `at` into a folder of its own. Durable on return.
/// @param fill  writes what is after its header, and returns where that ends.
Result<std::string> put_copy(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                             const LogState& at,
                             const std::function<Result<std::uint64_t>(io::File&)>& fill) {
  KEELSON_TRY_ASSIGN(const auto names, list_cuts(files, folder));
  const std::string place = cut_folder(folder) + "/" + next_name(names);
  KEELSON_TRY(files.create_folders(place));
  const std::string path = place + "/" + segment_name(at.point.next_batch);
  const std::string unfinished = path + std::string(kUnfinishedSuffix);
  const auto write = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto file, files.open(unfinished, io::OpenMode::create_new));
    SegmentHeader header;
    header.identity = identity;
    header.start = at;
    KEELSON_TRY_ASSIGN(header.capacity, fill(*file));
    KEELSON_TRY(file->write_at(0, encode_segment_header(header)));
    KEELSON_TRY(file->sync());
    KEELSON_TRY(make_room(files, cut_folder(folder), names, header.capacity));
    KEELSON_TRY(files.rename(unfinished, path));
    return files.sync_folder(place);
  };
  if (auto written = write(); !written) {
    [[maybe_unused]] const auto removed = files.remove_all(place);
    return std::unexpected(written.error());
  }
  return path;
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
  const auto fill = [&](io::File& file) -> Result<std::uint64_t> {
    std::uint64_t position = kSegmentHeaderBytes;
    while (copy.end < end) {
      KEELSON_TRY_ASSIGN(const EncodedBatches next, batches(copy.end));
      const bool some = copy.end > copy.first;
      if (some && position + next.bytes.size() > kCutBytesMax) break;
      KEELSON_TRY(file.write_at(position, next.bytes));
      position += next.bytes.size();
      copy.end = next.end;
    }
    return position;
  };
  KEELSON_TRY_ASSIGN(copy.file, put_copy(files, folder, identity, at, fill));
  return copy;
}

bool may_be_batch(std::string_view bytes) {
  if (bytes.substr(0, kBatchHeaderBytes).find_first_not_of('\0') != bytes.npos) return true;
  for (std::size_t at = 0; at + sizeof(kBatchMagic) <= bytes.size(); at += kBatchAlignment) {
    if (get<std::uint32_t>(bytes, at) == kBatchMagic) return true;
  }
  return false;
}

Result<std::string> copy_torn(io::FileSystem& files, const std::string& folder,
                              const Uuid& identity, const LogState& at, std::string_view bytes) {
  return put_copy(files, folder, identity, at, [&](io::File& file) -> Result<std::uint64_t> {
    const auto kept = bytes.substr(0, kCutBytesMax);
    KEELSON_TRY(file.write_at(kSegmentHeaderBytes, kept));
    return kSegmentHeaderBytes + kept.size();
  });
}

}  // namespace keelson::log
