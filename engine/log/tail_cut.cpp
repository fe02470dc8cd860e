#include "engine/log/tail_cut.h"

#include <cstring>
#include <utility>

#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/log_format.h"
#include "engine/log/segment_files.h"

namespace keelson::log {

namespace {

// Where each field lies. docs/log-format.md, "Mark". Magic, version and checksum stay where they
// are in every later version.
constexpr std::size_t kVersion = 8;
constexpr std::size_t kReserved = 10;
constexpr std::size_t kReservedBytes = 6;
constexpr std::size_t kIdentity = 16;
constexpr std::size_t kEnd = 32;
constexpr std::size_t kChecksum = 40;
static_assert(kChecksum + sizeof(std::uint64_t) == kMarkBytes);

/// It is checked before its identity is: its checksum cannot depend on it.
constexpr ChecksumSeed kNoSeed = 0;

std::string_view magic_of(Mark which) {
  return which == Mark::cut ? kMarkMagic : kInstallMarkMagic;
}

std::string mark_path(const std::string& folder, Mark which) {
  return folder + "/" + std::string(which == Mark::cut ? kMarkName : kInstallMarkName);
}
std::string unplaced_path(const std::string& folder, Mark which) {
  return mark_path(folder, which) + ".tmp";
}

std::string encode(const Uuid& identity, BatchNo end, Mark which) {
  std::string bytes(kMarkBytes, '\0');
  char* const at = bytes.data();
  std::memcpy(at, magic_of(which).data(), magic_of(which).size());
  put(at + kVersion, kFormatVersion);
  std::memcpy(at + kIdentity, identity.bytes.data(), identity.bytes.size());
  put(at + kEnd, end.value);
  put(at + kChecksum, checksum({at, kChecksum}, kNoSeed));
  return bytes;
}

Result<BatchNo> decode(std::string_view bytes, const Uuid& identity, Mark which) {
  if (bytes.size() != kMarkBytes || !bytes.starts_with(magic_of(which)) ||
      get<std::uint64_t>(bytes, kChecksum) != checksum(bytes.substr(0, kChecksum), kNoSeed)) {
    return fail(Errc::corruption, "the mark is damaged");
  }
  if (const auto version = get<std::uint16_t>(bytes, kVersion); version != kFormatVersion) {
    return fail(Errc::unsupported_format, "a mark of format version " + std::to_string(version));
  }
  if (bytes.substr(kReserved, kReservedBytes).find_first_not_of('\0') != bytes.npos) {
    return fail(Errc::unsupported_format, "the mark's reserved bytes are set");
  }
  if (bytes.substr(kIdentity, identity.bytes.size()) != bytes_of(identity.bytes)) {
    return fail(Errc::unsupported_format, "the mark belongs to another partition");
  }
  return BatchNo(get<std::uint64_t>(bytes, kEnd));
}

}  // namespace

Result<std::optional<BatchNo>> read_mark(io::FileSystem& files, const std::string& folder,
                                         const Uuid& identity, Mark which) {
  const std::string path = mark_path(folder, which);
  KEELSON_TRY_ASSIGN(const bool there, files.exists(path));
  if (!there) return std::nullopt;
  auto bytes = io::read_file(files, path, kMarkBytes);
  if (!bytes && bytes.error().code == Errc::not_found) return std::nullopt;  // lifted meanwhile
  if (!bytes && bytes.error().code == Errc::too_large) {
    return fail(Errc::corruption, bytes.error().context);
  }
  if (!bytes) return std::unexpected(std::move(bytes).error());
  auto end = decode(*bytes, identity, which);
  if (!end) return fail(end.error().code, path + ": " + end.error().context);
  return *end;
}

Result<std::unique_ptr<io::File>> write_mark(io::FileSystem& files, const std::string& folder,
                                             const Uuid& identity, BatchNo end, Mark which) {
  KEELSON_TRY(clean_mark(files, folder, which));
  KEELSON_TRY_ASSIGN(auto file, files.open(unplaced_path(folder, which), io::OpenMode::create_new));
  KEELSON_TRY(file->write_at(0, encode(identity, end, which)));
  return file;
}

Result<void> place_mark(io::FileSystem& files, const std::string& folder, Mark which) {
  return files.rename(unplaced_path(folder, which), mark_path(folder, which));
}

Result<void> lift_mark(io::FileSystem& files, const std::string& folder, Mark which) {
  const std::string path = mark_path(folder, which);
  KEELSON_TRY_ASSIGN(const bool there, files.exists(path));
  return there ? files.remove(path) : Result<void>();
}

Result<void> clean_mark(io::FileSystem& files, const std::string& folder, Mark which) {
  const std::string path = unplaced_path(folder, which);
  KEELSON_TRY_ASSIGN(const bool there, files.exists(path));
  return there ? files.remove(path) : Result<void>();
}

Result<void> remove_segments_after(io::FileSystem& files, const std::string& folder, BatchNo last) {
  KEELSON_TRY_ASSIGN(const auto names, files.list(folder));
  const auto segments = find_segments(names);
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->first_batch <= last) break;
    KEELSON_TRY(files.remove(folder + "/" + segment->name));
  }
  return {};
}

Result<void> zero_rest(io::File& file, std::string_view bytes, std::uint64_t position) {
  const auto last = bytes.find_last_not_of('\0');
  if (last == bytes.npos || last < position) return {};
  return file.write_zeros(position, last + 1 - position);
}

}  // namespace keelson::log
