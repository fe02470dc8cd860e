#include "engine/io/unmapped_files.h"

#include <mutex>
#include <optional>
#include <utility>

namespace keelson::io {

namespace {

class UnmappedFile final : public File {
 public:
  explicit UnmappedFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  Result<std::uint64_t> size() const override { return file_->size(); }
  Result<std::string> read_at(std::uint64_t position, std::size_t length) const override {
    return file_->read_at(position, length);
  }
  Result<void> write_at(std::uint64_t position, std::string_view bytes) override {
    return file_->write_at(position, bytes);
  }
  Result<void> write_zeros(std::uint64_t position, std::uint64_t length) override {
    return file_->write_zeros(position, length);
  }
  Result<void> allocate(std::uint64_t length) override { return file_->allocate(length); }
  Result<void> truncate(std::uint64_t length) override { return file_->truncate(length); }
  void begin_sync(std::uint64_t position, std::uint64_t length) override {
    file_->begin_sync(position, length);
  }
  Result<void> sync() override { return file_->sync(); }

  Result<std::string_view> view() override {
    const std::lock_guard lock(mutex_);
    if (!bytes_) {
      KEELSON_TRY_ASSIGN(const std::uint64_t bytes, file_->size());
      KEELSON_TRY_ASSIGN(bytes_, file_->read_at(0, bytes));
    }
    return std::string_view(*bytes_);
  }

 private:
  const std::unique_ptr<File> file_;
  std::mutex mutex_;
  std::optional<std::string> bytes_;
};

}  // namespace

Result<std::unique_ptr<File>> UnmappedFiles::open(const std::string& path, OpenMode mode) {
  KEELSON_TRY_ASSIGN(auto file, files_.open(path, mode));
  return std::make_unique<UnmappedFile>(std::move(file));
}

Result<bool> UnmappedFiles::exists(const std::string& path) const { return files_.exists(path); }

Result<bool> UnmappedFiles::is_folder(const std::string& path) const {
  return files_.is_folder(path);
}

Result<std::vector<std::string>> UnmappedFiles::list(const std::string& folder) const {
  return files_.list(folder);
}

Result<void> UnmappedFiles::create_folders(const std::string& folder) {
  return files_.create_folders(folder);
}

Result<void> UnmappedFiles::rename(const std::string& from, const std::string& to) {
  return files_.rename(from, to);
}

Result<void> UnmappedFiles::remove(const std::string& path) { return files_.remove(path); }

Result<void> UnmappedFiles::remove_all(const std::string& folder) {
  return files_.remove_all(folder);
}

Result<void> UnmappedFiles::sync_folder(const std::string& folder) {
  return files_.sync_folder(folder);
}

Result<std::unique_ptr<FolderLock>> UnmappedFiles::lock(const std::string& folder,
                                                        std::string_view name) {
  return files_.lock(folder, name);
}

}  // namespace keelson::io
