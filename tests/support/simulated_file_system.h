// A disk that forgets, tears and fails, from a seed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file_system.h"

namespace keelson::test {

/// What a call to the disk was about to do.
enum class DiskCall { open, write, allocate, truncate, sync, rename, remove, sync_folder };

/// Files in memory, each with what the operating system shows and what the disk holds.
///
/// A write changes what is shown. What the disk holds follows at `sync` (the file's bytes) and
/// `sync_folder` (names); until then it is uncertain. `cut_power` decides the uncertain part from
/// the seed: each unsynced 512-byte sector is kept or lost on its own, one of them may be torn, so
/// that later writes can survive earlier ones; of the changes to names a prefix survives. `kill`
/// ends the process only: all that was shown stays. After either, files opened before answer
/// nothing but errors, as they belong to a process that is gone.
///
/// Faults: `set_fault` sees each call before it happens and may fail it; `set_room` bounds the
/// bytes that can be allocated. A `sync` that fails leaves some of what it should have written
/// unwritten, and no later one writes that, as with Linux. `halt` ends the process in the middle of
/// what it does: nothing has an effect or an answer any more until `kill` or `cut_power` says what
/// came with it.
/// Thread-safe, but one seed means one outcome only with one thread.
class SimulatedFileSystem final : public io::FileSystem {
 public:
  using Fault = std::function<std::optional<Errc>(DiskCall call, const std::string& path)>;
  using Image = std::map<std::string, std::string>;  ///< the bytes of each file, by path

  explicit SimulatedFileSystem(std::uint64_t seed);
  ~SimulatedFileSystem() override;

  void cut_power();
  void kill();
  void halt();
  /// Halts when `calls` more calls have been made: the last of them fails, but for a part of what
  /// it was to write. 0: not any more.
  void halt_after(std::uint64_t calls);
  [[nodiscard]] bool halted() const;
  void set_fault(Fault fault);
  void set_room(std::uint64_t bytes);
  /// Changes one bit of the file, shown and on disk.
  void flip_bit(const std::string& path, std::uint64_t bit);
  /// [position, position + length) of the file cannot be read from now on, until the process ends:
  /// who reads it gets an error, and who has it in memory sees zeros.
  void make_unreadable(const std::string& path, std::uint64_t position, std::uint64_t length);
  /// Calls made so far that `set_fault` could fail.
  [[nodiscard]] std::uint64_t calls() const;
  /// All that is shown.
  [[nodiscard]] Image image() const;
  /// Puts the files of `image`, and no others, on the disk, durably. Ends the process.
  void restore(const Image& image);
  /// Another disk is there, an empty one. Ends the process.
  void replace();

  [[nodiscard]] Result<std::unique_ptr<io::File>> open(const std::string& path,
                                                       io::OpenMode mode) override;
  [[nodiscard]] Result<bool> exists(const std::string& path) const override;
  [[nodiscard]] Result<bool> is_folder(const std::string& path) const override;
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& folder) const override;
  [[nodiscard]] Result<void> create_folders(const std::string& folder) override;
  [[nodiscard]] Result<void> rename(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> remove(const std::string& path) override;
  [[nodiscard]] Result<void> remove_all(const std::string& folder) override;
  [[nodiscard]] Result<void> sync_folder(const std::string& folder) override;
  [[nodiscard]] Result<std::unique_ptr<io::FolderLock>> lock(const std::string& folder,
                                                             std::string_view name) override;
  [[nodiscard]] std::uint64_t room_at(const std::string& path) const override;

 private:
  class Inode;
  class OpenFile;
  class Lock;
  using InodePtr = std::shared_ptr<Inode>;
  using Names = std::map<std::string, InodePtr>;  // by path; folders have no inode

  /// A change of names that is shown but not yet durable.
  struct NameChange {
    std::string folder;
    std::function<void(Names&)> apply;
  };

  // With the mutex held.
  [[nodiscard]] Result<void> running(const std::string& path) const;
  [[nodiscard]] Result<void> check(DiskCall call, const std::string& path) const;
  void add_folders(const std::string& folder);
  void change_names(const std::string& folder, std::function<void(Names&)> apply);
  void end_process();
  void start_anew(Names names);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  Fault fault_;
  mutable std::uint64_t calls_ = 0;
  std::uint64_t halt_at_ = UINT64_MAX;  ///< the call to halt in
  mutable bool halted_ = false;
  std::uint64_t room_ = UINT64_MAX;
  std::uint64_t generation_ = 0;  ///< of the process using the disk
  Names shown_;
  Names durable_;
  std::vector<NameChange> changes_;
  std::map<std::string, bool> folders_;
  std::map<std::string, std::uint64_t> locks_;  ///< path to the generation that holds it
};

}  // namespace keelson::test
