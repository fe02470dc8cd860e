#include "engine/io/posix_file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/io/mapping.h"

namespace keelson::io {

namespace {

/// One write of zeros at a time: large enough to be quick, small enough to stay in cache.
constexpr std::size_t kZeroBytes = 256u << 10;

Errc code_of(int error) {
  switch (error) {
    case ENOENT: return Errc::not_found;
    case EEXIST: return Errc::already_exists;
    case ENOSPC:
    case EDQUOT: return Errc::disk_full;
    default: return Errc::io_error;
  }
}

std::unexpected<Error> failed(const char* call, const std::string& path, int error = errno) {
  return fail(code_of(error),
              std::string(call) + " " + path + ": " + std::generic_category().message(error));
}

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class PosixFile final : public File {
 public:
  PosixFile(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<std::uint64_t> size() const override {
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0) return failed("fstat", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Result<std::string> read_at(std::uint64_t position, std::size_t length) const override {
    std::string bytes(length, '\0');
    std::size_t done = 0;
    while (done < length) {
      const ssize_t got = ::pread(descriptor_.get(), bytes.data() + done, length - done,
                                  static_cast<off_t>(position + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed("pread", path_);
      if (got == 0) {
        return fail(Errc::io_error, "pread " + path_ + ": the file ends at " +
                                        std::to_string(position + done) + ", wanted " +
                                        std::to_string(position + length));
      }
      done += static_cast<std::size_t>(got);
    }
    return bytes;
  }

  Result<std::size_t> send_to(int socket, std::uint64_t position,
                              std::size_t length) const override {
    while (true) {
      auto from = static_cast<off_t>(position);
      const ssize_t sent = ::sendfile(socket, descriptor_.get(), &from, length);
      if (sent > 0 || length == 0) return static_cast<std::size_t>(sent);
      if (sent == 0) {
        return fail(Errc::io_error,
                    "sendfile " + path_ + ": the file ends before " + std::to_string(position));
      }
      if (errno == EAGAIN) return 0u;
      if (errno != EINTR) return failed("sendfile", path_);
    }
  }

  Result<void> write_at(std::uint64_t position, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t put =
          ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(position));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failed("pwrite", path_);
      position += static_cast<std::uint64_t>(put);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
  }

  Result<void> write_zeros(std::uint64_t position, std::uint64_t length) override {
    static const std::string zeros(kZeroBytes, '\0');
    while (length > 0) {
      const auto part = std::min<std::uint64_t>(length, zeros.size());
      KEELSON_TRY(write_at(position, std::string_view(zeros).substr(0, part)));
      position += part;
      length -= part;
    }
    return {};
  }

  Result<void> allocate(std::uint64_t length) override {
    int error = 0;
    do {
      error = ::posix_fallocate(descriptor_.get(), 0, static_cast<off_t>(length));
    } while (error == EINTR);
    if (error != 0) return failed("posix_fallocate", path_, error);
    return {};
  }

  Result<void> truncate(std::uint64_t length) override {
    if (::ftruncate(descriptor_.get(), static_cast<off_t>(length)) != 0) {
      return failed("ftruncate", path_);
    }
    return {};
  }

  void begin_sync(std::uint64_t position, std::uint64_t length) override {
    // Whatever goes wrong with the bytes themselves, `sync` says.
    ::sync_file_range(descriptor_.get(), static_cast<off_t>(position), static_cast<off_t>(length),
                      SYNC_FILE_RANGE_WRITE);
  }

  Result<void> sync() override {
    if (::fdatasync(descriptor_.get()) != 0) return failed("fdatasync", path_);
    return {};
  }

  Result<std::string_view> view() override {
    const std::lock_guard lock(mapping_mutex_);
    if (mapping_ == nullptr) {
      KEELSON_TRY_ASSIGN(const std::uint64_t bytes, size());
      if (bytes == 0) return std::string_view();
      auto mapping = Mapping::open(descriptor_.get(), bytes);
      if (!mapping) return fail(mapping.error().code, path_ + ": " + mapping.error().context);
      mapping_ = *std::move(mapping);
    }
    return mapping_->bytes();
  }

  const ReadFaults& faults() const override {
    const std::lock_guard lock(mapping_mutex_);
    return mapping_ == nullptr ? File::faults() : mapping_->faults();
  }

 private:
  Descriptor descriptor_;
  std::string path_;
  mutable std::mutex mapping_mutex_;
  std::unique_ptr<Mapping> mapping_;
};

class PosixFolderLock final : public FolderLock {
 public:
  explicit PosixFolderLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;
};

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC;
  switch (mode) {
    case OpenMode::read: flags |= O_RDONLY; break;
    case OpenMode::read_write: flags |= O_RDWR; break;
    case OpenMode::create_new: flags |= O_RDWR | O_CREAT | O_EXCL; break;
  }
  const int fd = ::open(path.c_str(), flags, 0640);
  if (fd < 0) return failed("open", path);
  return std::make_unique<PosixFile>(Descriptor(fd), path);
}

Result<bool> PosixFileSystem::exists(const std::string& path) const {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return failed("stat", path);
}

Result<bool> PosixFileSystem::is_folder(const std::string& path) const {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode);
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return failed("stat", path);
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& folder) const {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return failed("list", folder, error.value());
  std::vector<std::string> names;
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    if (error) return failed("list", folder, error.value());
    names.push_back(entries->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> PosixFileSystem::create_folders(const std::string& folder) {
  KEELSON_TRY_ASSIGN(const bool there, exists(folder));
  if (there) return {};
  const auto slash = folder.find_last_of('/');
  const std::string parent =
      slash == std::string::npos ? "." : (slash == 0 ? "/" : folder.substr(0, slash));
  KEELSON_TRY(create_folders(parent));
  if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST) return failed("mkdir", folder);
  return sync_folder(parent);
}

Result<void> PosixFileSystem::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failed("rename", from + " to " + to);
  return {};
}

Result<void> PosixFileSystem::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return failed("unlink", path);
  return {};
}

Result<void> PosixFileSystem::remove_all(const std::string& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) return failed("remove_all", folder, error.value());
  return {};
}

Result<void> PosixFileSystem::sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed("open", folder);
  const Descriptor descriptor(fd);
  if (::fsync(fd) != 0) return failed("fsync", folder);
  return {};
}

/// The kernel's random name for its run, then the file's device and number.
std::uint64_t PosixFileSystem::room_at(const std::string& path) const {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) return UINT64_MAX;
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

std::string PosixFileSystem::place_of(const std::string& path) const {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  struct stat status {};
  if (!std::getline(file, boot) || ::stat(path.c_str(), &status) != 0) return {};
  return boot + ":" + std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

Result<std::unique_ptr<FolderLock>> PosixFileSystem::lock(const std::string& folder,
                                                          std::string_view name) {
  const std::string path = folder + "/" + std::string(name);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return failed("open", path);
  Descriptor descriptor(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return fail(Errc::locked, folder + " is in use by another process (lock " + path + ")");
    }
    return failed("flock", path);
  }
  return std::make_unique<PosixFolderLock>(std::move(descriptor));
}

}  // namespace keelson::io
