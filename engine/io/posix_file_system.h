// The operating system's files.
#pragma once

#include "engine/io/file_system.h"

namespace keelson::io {

class PosixFileSystem final : public FileSystem {
 public:
  [[nodiscard]] Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  [[nodiscard]] Result<bool> exists(const std::string& path) const override;
  [[nodiscard]] Result<bool> is_folder(const std::string& path) const override;
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& folder) const override;
  [[nodiscard]] Result<void> create_folders(const std::string& folder) override;
  [[nodiscard]] Result<void> rename(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> remove(const std::string& path) override;
  [[nodiscard]] Result<void> remove_all(const std::string& folder) override;
  [[nodiscard]] Result<void> sync_folder(const std::string& folder) override;
  [[nodiscard]] Result<std::unique_ptr<FolderLock>> lock(const std::string& folder,
                                                         std::string_view name) override;
  [[nodiscard]] std::uint64_t room_at(const std::string& path) const override;
  [[nodiscard]] std::string place_of(const std::string& path) const override;
};

}  // namespace keelson::io
