#include "engine/io/file_system.h"

namespace keelson::io {

namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

Result<void> replace_file(FileSystem& files, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  KEELSON_TRY_ASSIGN(const bool left_over, files.exists(temporary));
  if (left_over) KEELSON_TRY(files.remove(temporary));
  {
    KEELSON_TRY_ASSIGN(const auto file, files.open(temporary, OpenMode::create_new));
    KEELSON_TRY(file->write_at(0, bytes));
    KEELSON_TRY(file->sync());
  }
  KEELSON_TRY(files.rename(temporary, path));
  return files.sync_folder(folder_of(path));
}

Result<std::string> read_file(FileSystem& files, const std::string& path, std::uint64_t bytes_max) {
  KEELSON_TRY_ASSIGN(const auto file, files.open(path, OpenMode::read));
  KEELSON_TRY_ASSIGN(const std::uint64_t size, file->size());
  if (size > bytes_max) return fail(Errc::too_large, path + ": " + std::to_string(size) + " bytes");
  return file->read_at(0, size);
}

}  // namespace keelson::io
