#include "engine/io/file_system.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace keelson::io {

namespace {

/// Read from a file at a time, to be sent.
constexpr std::size_t kSendBytes = 256u << 10;

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

std::uint64_t FileSystem::room_at(const std::string&) const { return UINT64_MAX; }

std::string FileSystem::place_of(const std::string&) const { return {}; }

const ReadFaults& File::faults() const {
  static const ReadFaults none;
  return none;
}

Result<std::size_t> File::send_to(int socket, std::uint64_t position, std::size_t length) const {
  KEELSON_TRY_ASSIGN(const std::string bytes, read_at(position, std::min(length, kSendBytes)));
  while (true) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0u;
    if (errno != EINTR) {
      return fail(Errc::io_error, "send: " + std::generic_category().message(errno));
    }
  }
}

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
