// A disk that fails: under SQLite's own writes, and under what the host asks of the file system.
#pragma once

#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/io/posix_file_system.h"

namespace keelson::test {

/// While it lives, SQLite's writes to some files fail as the system's do when the disk is full, in
/// the whole process. One at a time.
class FailingWrites {
 public:
  struct Fault {
    std::string ending;   ///< of the names of the files; empty: all
    int error = ENOSPC;   ///< errno of the write
    int writes_left = 0;  ///< that succeed before
  };

  explicit FailingWrites(Fault fault) {
    static const bool installed = install();  // for good: SQLite may be running in other threads
    KEELSON_ASSERT(installed);
    const std::lock_guard lock(mutex_);
    fault_ = std::move(fault);
    failed_ = 0;
  }
  ~FailingWrites() {
    const std::lock_guard lock(mutex_);
    fault_.reset();
  }
  FailingWrites(const FailingWrites&) = delete;
  FailingWrites& operator=(const FailingWrites&) = delete;

  [[nodiscard]] int failed() const {
    const std::lock_guard lock(mutex_);
    return failed_;
  }

 private:
  /// SQLite reaches the system through a table that its own tests replace calls in. Which of these
  /// it was built to use does not matter.
  static bool install() {
    sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
    const auto set = [vfs](const char* name, auto* call) {
      return vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(call)) ==
             SQLITE_OK;
    };
    return set("write", &write) && set("pwrite", &pwrite) && set("pwrite64", &pwrite);
  }
  static ssize_t write(int file, const void* bytes, std::size_t count) {
    return fails(file) ? -1 : ::write(file, bytes, count);
  }
  static ssize_t pwrite(int file, const void* bytes, std::size_t count, off_t position) {
    return fails(file) ? -1 : ::pwrite(file, bytes, count, position);
  }
  static bool fails(int file) {
    const std::lock_guard lock(mutex_);
    if (!fault_ || !name_of(file).ends_with(fault_->ending)) return false;
    if (fault_->writes_left-- > 0) return false;
    fault_->writes_left = 0;
    ++failed_;
    errno = fault_->error;
    return true;
  }
  static std::string name_of(int file) {
    std::array<char, 4096> name;
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    const ssize_t length = ::readlink(link.c_str(), name.data(), name.size());
    return {name.data(), length < 0 ? 0 : static_cast<std::size_t>(length)};
  }

  static inline std::mutex mutex_;
  static inline std::optional<Fault> fault_;  ///< under mutex_
  static inline int failed_ = 0;              ///< under mutex_
};

/// The file system, of which some calls can be told to fail.
class FailingFiles final : public io::FileSystem {
 public:
  /// Until `mend`, calls for paths that end with `ending` fail with `error`.
  void fail_at(std::string ending, Error error) { fault_.emplace(std::move(ending), error); }
  void mend() { fault_.reset(); }

  Result<bool> exists(const std::string& path) const override {
    KEELSON_TRY(check(path));
    return files_.exists(path);
  }
  Result<void> create_folders(const std::string& folder) override {
    KEELSON_TRY(check(folder));
    return files_.create_folders(folder);
  }
  Result<void> remove(const std::string& path) override {
    KEELSON_TRY(check(path));
    return files_.remove(path);
  }
  Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
    return files_.open(path, mode);
  }
  Result<bool> is_folder(const std::string& path) const override { return files_.is_folder(path); }
  Result<std::vector<std::string>> list(const std::string& folder) const override {
    return files_.list(folder);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return files_.rename(from, to);
  }
  Result<void> remove_all(const std::string& folder) override { return files_.remove_all(folder); }
  Result<void> sync_folder(const std::string& folder) override {
    return files_.sync_folder(folder);
  }
  Result<std::unique_ptr<io::FolderLock>> lock(const std::string& folder,
                                               std::string_view name) override {
    return files_.lock(folder, name);
  }

 private:
  [[nodiscard]] Result<void> check(std::string_view path) const {
    if (!fault_ || !path.ends_with(fault_->first)) return {};
    return std::unexpected(fault_->second);
  }

  io::PosixFileSystem files_;
  std::optional<std::pair<std::string, Error>> fault_;
};

}  // namespace keelson::test
