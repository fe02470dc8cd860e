// Files, injected: POSIX in a server, a simulated disk that tears and loses writes in tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/io/read_faults.h"

namespace keelson::io {

/// An open file. `read_at` and `view` are thread-safe beside one writer.
class File {
 public:
  virtual ~File() = default;

  [[nodiscard]] virtual Result<std::uint64_t> size() const = 0;

  /// Reads exactly `length` bytes at `position`; `io_error` when the file is shorter.
  [[nodiscard]] virtual Result<std::string> read_at(std::uint64_t position,
                                                    std::size_t length) const = 0;

  /// Hands bytes from `position` on to a socket that does not block, `length` at most, without a
  /// copy where the system can.
  /// @return how many the socket has taken; 0: none now, it must become writable first.
  /// @error io_error  the file is shorter, or the connection has ended; of that the system may
  ///                  also tell by SIGPIPE, which the caller's thread must block.
  [[nodiscard]] virtual Result<std::size_t> send_to(int socket, std::uint64_t position,
                                                    std::size_t length) const;

  /// Writes all of `bytes` at `position`. On an error (`disk_full`, `io_error`) any part of the
  /// range may have been written. Not durable before `sync`.
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t position, std::string_view bytes) = 0;

  /// Writes zeros to [position, position + length). As `write_at`.
  [[nodiscard]] virtual Result<void> write_zeros(std::uint64_t position, std::uint64_t length) = 0;

  /// Makes the file at least `length` bytes long, all of them with room on disk. What is added
  /// reads as zeros, and where the file system can it is not written. `disk_full` when there is no
  /// room; the file may have grown by a part of it.
  [[nodiscard]] virtual Result<void> allocate(std::uint64_t length) = 0;

  /// Cuts or extends the file to `length`.
  [[nodiscard]] virtual Result<void> truncate(std::uint64_t length) = 0;

  /// Has the disk begin with what was written to [position, position + length), and does not wait:
  /// the `sync` that must follow has less left to do. A hint; nothing is durable by it.
  virtual void begin_sync(std::uint64_t position, std::uint64_t length) = 0;

  /// fdatasync: on return everything written before is durable. A failure is never retried, as the
  /// kernel may have dropped the dirty pages: the file is thrown away, or the process must end.
  [[nodiscard]] virtual Result<void> sync() = 0;

  /// The whole file as memory, for reading; stays valid as long as this object, and shows later
  /// `write_at`s below the size the file had at the first call. What cannot be read shows as zeros,
  /// and is in `faults` before it does.
  [[nodiscard]] virtual Result<std::string_view> view() = 0;

  /// What of the memory that `view` has given could not be read. Stays valid as `view` does.
  [[nodiscard]] virtual const ReadFaults& faults() const;
};

enum class OpenMode {
  read,        ///< must exist
  read_write,  ///< must exist
  create_new,  ///< must not exist; `already_exists` otherwise
};

/// A held advisory lock; released on destruction (and by the kernel at process exit).
class FolderLock {
 public:
  virtual ~FolderLock() = default;
};

/// Thread-safe. Paths are plain strings with `/`; names in `list` are without their folder.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// @error not_found  there is no such file.
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(const std::string& path,
                                                           OpenMode mode) = 0;
  [[nodiscard]] virtual Result<bool> exists(const std::string& path) const = 0;
  /// Whether there is a folder at `path`, and not a file or nothing.
  [[nodiscard]] virtual Result<bool> is_folder(const std::string& path) const = 0;
  /// Names in `folder`, sorted.
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& folder) const = 0;
  /// Makes `folder` and its parents; durable on return.
  [[nodiscard]] virtual Result<void> create_folders(const std::string& folder) = 0;
  /// Atomically replaces `to`. Durable only after `sync_folder`.
  [[nodiscard]] virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual Result<void> remove(const std::string& path) = 0;
  /// Removes `folder` and all below it.
  [[nodiscard]] virtual Result<void> remove_all(const std::string& folder) = 0;
  /// Makes creations, renames and removals in `folder` durable.
  [[nodiscard]] virtual Result<void> sync_folder(const std::string& folder) = 0;
  /// Takes the exclusive lock `folder`/`name`. @error locked  another process has it.
  [[nodiscard]] virtual Result<std::unique_ptr<FolderLock>> lock(const std::string& folder,
                                                                 std::string_view name) = 0;

  /// How many bytes files on the disk of the folder `path` may still take; as many as there are
  /// where that cannot be told.
  [[nodiscard]] virtual std::uint64_t room_at(const std::string& path) const;

  /// What tells the file `path` on the system as it runs from every other file, copies of it and
  /// the same file after a restart of the system included: printable, without spaces. Empty where
  /// that cannot be told.
  [[nodiscard]] virtual std::string place_of(const std::string& path) const;
};

/// Writes `bytes` to `path` so that a crash leaves the old file or the new one, never a mixture:
/// temporary file, sync, rename, folder sync. Durable on return.
[[nodiscard]] Result<void> replace_file(FileSystem& files, const std::string& path,
                                        std::string_view bytes);

/// The whole of a small file. @error too_large  over `bytes_max`.
[[nodiscard]] Result<std::string> read_file(FileSystem& files, const std::string& path,
                                            std::uint64_t bytes_max);

}  // namespace keelson::io
