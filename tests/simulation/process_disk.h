// A node's disk as one of its processes reaches it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/simulated_file_system.h"

namespace keelson::simulation {

/// What a disk says is done and is not: each is what the code would do that left it out. To see
/// that the simulation notices.
struct Lies {
  bool promise_synced = false;  ///< rule 2: a promise is durable before it is told
  bool tail_synced = false;  ///< rule 4: what is read back at the start is synced before it counts
  bool batches_synced = false;  ///< rules 7, 8: only what is durable counts as that
  bool cut_marked = false;      ///< docs/log-format.md, "Mark"
};

/// Passes on what the process asks for, until it is over: then nothing has an effect, and what
/// cleans up behind it is told that it has.
class ProcessDisk final : public io::FileSystem {
 public:
  struct Hooks {
    std::function<void()> rare_call;  ///< before one that changes names or lengths, or makes zeros
    std::function<bool()> full;
  };
  /// @param place  see `FileSystem::place_of`.
  ProcessDisk(test::SimulatedFileSystem& disk, std::string place, const Lies& lies, Hooks hooks)
      : disk_(disk), place_(std::move(place)), lies_(lies), hooks_(std::move(hooks)) {}

  /// What has been read back counts from here on.
  void end_start() { starting_ = false; }
  void end() { *over_ = true; }
  /// Whether a sync of the file is one.
  [[nodiscard]] bool syncs(std::string_view path) const;

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
  [[nodiscard]] std::uint64_t room_at(const std::string&) const override {
    return hooks_.full() ? 0 : UINT64_MAX;
  }
  [[nodiscard]] std::string place_of(const std::string&) const override { return place_; }

 private:
  class OpenFile;

  [[nodiscard]] Result<void> running(const std::string& path) const;

  test::SimulatedFileSystem& disk_;
  const std::string place_;
  const Lies lies_;
  const Hooks hooks_;
  bool starting_ = true;
  const std::shared_ptr<bool> over_ = std::make_shared<bool>(false);  ///< its files know it too
};

}  // namespace keelson::simulation
