#include "tests/simulation/process_disk.h"

#include <utility>

#include "engine/log/log_format.h"

namespace keelson::simulation {

class ProcessDisk::OpenFile final : public io::File {
 public:
  OpenFile(const std::shared_ptr<const bool>& over, ProcessDisk& disk,
           std::unique_ptr<io::File> file, std::string path)
      : over_(over), disk_(disk), file_(std::move(file)), path_(std::move(path)) {}

  Result<std::uint64_t> size() const override { return file_->size(); }
  Result<std::string> read_at(std::uint64_t position, std::size_t length) const override {
    return file_->read_at(position, length);
  }
  Result<void> write_at(std::uint64_t position, std::string_view bytes) override {
    return *over_ ? Result<void>() : file_->write_at(position, bytes);
  }
  Result<void> write_zeros(std::uint64_t position, std::uint64_t length) override {
    if (*over_) return {};
    disk_.hooks_.rare_call();
    return file_->write_zeros(position, length);
  }
  Result<void> allocate(std::uint64_t length) override {
    return *over_ ? Result<void>() : file_->allocate(length);
  }
  void begin_sync(std::uint64_t position, std::uint64_t length) override {
    if (!*over_) file_->begin_sync(position, length);
  }
  Result<void> truncate(std::uint64_t length) override {
    if (*over_) return {};
    disk_.hooks_.rare_call();
    return file_->truncate(length);
  }
  Result<void> sync() override {
    return *over_ || !disk_.syncs(path_) ? Result<void>() : file_->sync();
  }
  Result<std::string_view> view() override { return file_->view(); }
  const io::ReadFaults& faults() const override { return file_->faults(); }

 private:
  const std::shared_ptr<const bool> over_;  ///< it may outlive the disk
  ProcessDisk& disk_;
  const std::unique_ptr<io::File> file_;
  const std::string path_;
};

Result<void> ProcessDisk::running(const std::string& path) const {
  return *over_ ? fail(Errc::io_error, path + ": the process is over") : Result<void>();
}

bool ProcessDisk::syncs(std::string_view path) const {
  if (lies_.promise_synced && path.ends_with("/promise.tmp")) return false;
  const bool batches = path.ends_with(".seg");
  if (lies_.tail_synced && starting_ && batches) return false;
  return !(lies_.batches_synced && !starting_ && batches);
}

Result<std::unique_ptr<io::File>> ProcessDisk::open(const std::string& path, io::OpenMode mode) {
  KEELSON_TRY(running(path));
  KEELSON_TRY_ASSIGN(auto file, disk_.open(path, mode));
  return std::make_unique<OpenFile>(over_, *this, std::move(file), path);
}

Result<bool> ProcessDisk::exists(const std::string& path) const {
  KEELSON_TRY(running(path));
  return disk_.exists(path);
}

Result<bool> ProcessDisk::is_folder(const std::string& path) const {
  KEELSON_TRY(running(path));
  return disk_.is_folder(path);
}

Result<std::vector<std::string>> ProcessDisk::list(const std::string& folder) const {
  KEELSON_TRY(running(folder));
  return disk_.list(folder);
}

Result<void> ProcessDisk::create_folders(const std::string& folder) {
  return *over_ ? Result<void>() : disk_.create_folders(folder);
}

Result<void> ProcessDisk::rename(const std::string& from, const std::string& to) {
  if (*over_) return {};
  hooks_.rare_call();
  if (lies_.cut_marked && to.ends_with("/" + std::string(log::kMarkName))) {
    return disk_.remove(from);
  }
  return disk_.rename(from, to);
}

Result<void> ProcessDisk::remove(const std::string& path) {
  if (*over_) return {};
  hooks_.rare_call();
  return disk_.remove(path);
}

Result<void> ProcessDisk::remove_all(const std::string& folder) {
  if (*over_) return {};
  hooks_.rare_call();
  return disk_.remove_all(folder);
}

Result<void> ProcessDisk::sync_folder(const std::string& folder) {
  return *over_ ? Result<void>() : disk_.sync_folder(folder);
}

Result<std::unique_ptr<io::FolderLock>> ProcessDisk::lock(const std::string& folder,
                                                          std::string_view name) {
  KEELSON_TRY(running(folder));
  return disk_.lock(folder, name);
}

}  // namespace keelson::simulation
