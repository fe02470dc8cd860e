// Files that are read where others are mapped.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/io/file_system.h"

namespace keelson::io {

/// The files of another file system, for reading: a `view` is read into memory, so that a disk that
/// fails is an error (`io_error`), where what is mapped would show zeros (see `ReadFaults`). It
/// shows the file as it was at the first call, and takes as much memory as the file is long.
class UnmappedFiles final : public FileSystem {
 public:
  /// @param files  must outlive this.
  explicit UnmappedFiles(FileSystem& files) : files_(files) {}

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

 private:
  FileSystem& files_;
};

}  // namespace keelson::io
