#include "engine/log/segment_bytes.h"

#include <algorithm>
#include <cstdint>

#include "engine/log/log_format.h"
#include "engine/log/open_segment.h"

namespace keelson::log {

Result<std::string> file_bytes(io::FileSystem& files, const std::string& path) {
  KEELSON_TRY_ASSIGN(const auto file, files.open(path, io::OpenMode::read));
  KEELSON_TRY_ASSIGN(const std::uint64_t size, file->size());
  auto bytes = file->read_at(0, size);
  if (bytes) return bytes;
  // A segment is cut once. If that is not what happened, the error is the file's.
  KEELSON_TRY_ASSIGN(const std::uint64_t size_now, file->size());
  return size_now < size ? file->read_at(0, size_now) : bytes;
}

Result<std::string> segment_bytes(io::FileSystem& files, const std::string& path,
                                  SegmentForm form) {
  if (form == SegmentForm::plain) return file_bytes(files, path);
  KEELSON_TRY_ASSIGN(const auto file, SegmentFile::open_form(files, path, form, {}));
  KEELSON_TRY(file->need(0, file->bytes.size()));
  return std::string(file->bytes);
}

Result<std::string> segment_head(io::FileSystem& files, const std::string& path, SegmentForm form) {
  if (form == SegmentForm::plain) {
    KEELSON_TRY_ASSIGN(const auto file, files.open(path, io::OpenMode::read));
    KEELSON_TRY_ASSIGN(const std::uint64_t size, file->size());
    return file->read_at(0, std::min<std::uint64_t>(size, kSegmentHeaderBytes));
  }
  KEELSON_TRY_ASSIGN(const auto file, SegmentFile::open_form(files, path, form, {}));
  KEELSON_TRY(file->need(0, kSegmentHeaderBytes));
  return std::string(file->bytes.substr(0, kSegmentHeaderBytes));
}

}  // namespace keelson::log
