#include "engine/log/segment_bytes.h"

#include <cstdint>

namespace keelson::log {

Result<std::string> segment_bytes(io::FileSystem& files, const std::string& path) {
  KEELSON_TRY_ASSIGN(const auto file, files.open(path, io::OpenMode::read));
  KEELSON_TRY_ASSIGN(const std::uint64_t size, file->size());
  auto bytes = file->read_at(0, size);
  if (bytes) return bytes;
  // A segment is cut once. If that is not what happened, the error is the file's.
  KEELSON_TRY_ASSIGN(const std::uint64_t size_now, file->size());
  return size_now < size ? file->read_at(0, size_now) : bytes;
}

}  // namespace keelson::log
