#include "tests/support/simulated_file_system.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/base/check.h"

namespace keelson::test {

namespace {

constexpr std::uint64_t kSectorBytes = 512;
/// Address space of a file, so that a view stays where it is while the file grows.
constexpr std::size_t kFileBytesMax = 256u << 20;

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

/// A file's bytes as shown and as on disk, and the sectors in which they may differ.
class SimulatedFileSystem::Inode {
 public:
  Inode() {
    void* memory = ::mmap(nullptr, kFileBytesMax, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    KEELSON_ASSERT(memory != MAP_FAILED);
    shown_ = static_cast<char*>(memory);
  }
  ~Inode() { ::munmap(shown_, kFileBytesMax); }
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::string_view shown() const { return {shown_, size_}; }

  void write(std::uint64_t position, std::string_view bytes) {
    KEELSON_ASSERT(position + bytes.size() <= kFileBytesMax);
    std::memcpy(shown_ + position, bytes.data(), bytes.size());
    size_ = std::max<std::uint64_t>(size_, position + bytes.size());
    mark(position, position + bytes.size());
  }

  void truncate(std::uint64_t length) {
    KEELSON_ASSERT(length <= kFileBytesMax);
    if (length < size_) {
      std::memset(shown_ + length, 0, size_ - length);
      mark(length, size_);
    }
    size_ = length;
  }

  void sync() {
    durable_.resize(size_, '\0');
    for (const std::uint64_t sector : unsynced_) keep(sector, kSectorBytes);
    unsynced_.clear();
  }

  /// A sync that fails: what has not reached the disk is still shown, and no later one writes it.
  void drop_dirty(std::mt19937_64& random) {
    std::erase_if(unsynced_, [&](std::uint64_t sector) {
      const auto dice = random() % 3;
      if (dice == 0) keep(sector, kSectorBytes);
      return dice != 2;
    });
  }

  /// Decides what of the unsynced bytes reached the disk.
  void cut_power(std::mt19937_64& random) {
    // A size is metadata of its own: the old or the new one, and the bytes of lost sectors are
    // those from before, zeros where there were none.
    if (random() % 2 == 0) durable_.resize(size_, '\0');
    const bool keep_most = random() % 2 == 0;
    for (const std::uint64_t sector : unsynced_) {
      const auto dice = random() % 8;
      if (dice == 0) {
        keep(sector, random() % kSectorBytes);  // torn
      } else if (keep_most ? dice != 1 : dice >= 5) {
        keep(sector, kSectorBytes);
      }
    }
    unsynced_.clear();
    std::memset(shown_, 0, size_);
    std::memcpy(shown_, durable_.data(), durable_.size());
    size_ = durable_.size();
  }

  /// Makes `bytes` all there is, shown and durable.
  void assign(std::string_view bytes) {
    mend();
    if (unsynced_.empty() && shown() == bytes) return;
    truncate(bytes.size());
    std::memcpy(shown_, bytes.data(), bytes.size());
    durable_ = bytes;
    unsynced_.clear();
  }

  void make_unreadable(std::uint64_t position, std::uint64_t length) {
    const std::uint64_t end = std::min(position + length, size_);
    KEELSON_ASSERT(position < end);
    unreadable_.emplace_back(position, end);
    for (const auto& viewer : viewers_) {
      if (const auto faults = viewer.lock()) faults->add(position, end);
    }
    std::memset(shown_ + position, 0, end - position);
  }
  [[nodiscard]] bool readable(std::uint64_t position, std::uint64_t length) const {
    return std::ranges::none_of(unreadable_, [&](const auto& range) {
      return range.first < position + length && position < range.second;
    });
  }
  /// Tells `faults` what cannot be read, now and later.
  void add_viewer(const std::shared_ptr<io::ReadFaults>& faults) {
    for (const auto& [first, end] : unreadable_) faults->add(first, end);
    std::erase_if(viewers_, [](const auto& viewer) { return viewer.expired(); });
    viewers_.push_back(faults);
  }
  /// All of it can be read again.
  void mend() { unreadable_.clear(); }

  void flip_bit(std::uint64_t bit) {
    KEELSON_ASSERT(bit / 8 < size_);
    shown_[bit / 8] = static_cast<char>(shown_[bit / 8] ^ (1 << (bit % 8)));
    if (bit / 8 < durable_.size()) durable_[bit / 8] = shown_[bit / 8];
  }

 private:
  void mark(std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t s = first / kSectorBytes; s * kSectorBytes < end; ++s) unsynced_.insert(s);
  }
  void keep(std::uint64_t sector, std::uint64_t bytes) {
    const std::uint64_t first = sector * kSectorBytes;
    const std::uint64_t end = std::min<std::uint64_t>(first + bytes, durable_.size());
    if (first < end) std::memcpy(durable_.data() + first, shown_ + first, end - first);
  }

  char* shown_ = nullptr;
  std::uint64_t size_ = 0;
  std::string durable_;
  std::set<std::uint64_t> unsynced_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> unreadable_;  ///< each [first, end)
  std::vector<std::weak_ptr<io::ReadFaults>> viewers_;
};

class SimulatedFileSystem::OpenFile final : public io::File {
 public:
  OpenFile(SimulatedFileSystem& disk, InodePtr inode, std::string path)
      : disk_(disk), inode_(std::move(inode)), path_(std::move(path)), process_(disk.generation_) {}

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    return inode_->size();
  }

  Result<std::string> read_at(std::uint64_t position, std::size_t length) const override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    if (position + length > inode_->size()) return fail(Errc::io_error, path_ + ": past the end");
    if (!inode_->readable(position, length)) {
      return fail(Errc::io_error, path_ + ": cannot be read");
    }
    return std::string(inode_->shown().substr(position, length));
  }

  Result<void> write_at(std::uint64_t position, std::string_view bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    // The rest of a page that is written in part must be read.
    if (!inode_->readable(position, bytes.size())) {
      return fail(Errc::io_error, path_ + ": cannot be read");
    }
    if (auto good = disk_.check(DiskCall::write, path_); !good) {
      // A failed write may have written nothing, a part or all.
      const std::size_t all = bytes.size();
      const std::size_t written[] = {0, disk_.random_() % (all + 1), disk_.random_() % (all + 1),
                                     all};
      inode_->write(position, bytes.substr(0, written[disk_.random_() % 4]));
      return good;
    }
    inode_->write(position, bytes);
    return {};
  }

  Result<void> write_zeros(std::uint64_t position, std::uint64_t length) override {
    return write_at(position, std::string(length, '\0'));
  }

  Result<void> allocate(std::uint64_t length) override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    const std::uint64_t size = inode_->size();
    const std::uint64_t missing = length > size ? length - size : 0;
    if (auto good = disk_.check(DiskCall::allocate, path_); !good) {
      [[maybe_unused]] const auto part = grow(disk_.random_() % (missing + 1));
      return good;
    }
    return grow(missing);
  }

  Result<void> truncate(std::uint64_t length) override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    KEELSON_TRY(disk_.check(DiskCall::truncate, path_));
    inode_->truncate(length);
    return {};
  }

  void begin_sync(std::uint64_t /*position*/, std::uint64_t /*length*/) override {}

  Result<void> sync() override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    if (auto good = disk_.check(DiskCall::sync, path_); !good) {
      if (!disk_.halted_) inode_->drop_dirty(disk_.random_);
      return good;
    }
    inode_->sync();
    return {};
  }

  Result<std::string_view> view() override {
    const std::lock_guard lock(disk_.mutex_);
    KEELSON_TRY(alive());
    if (!view_) {
      inode_->add_viewer(faults_);
      view_ = inode_->shown();
    }
    return *view_;
  }

  const io::ReadFaults& faults() const override { return *faults_; }

 private:
  Result<void> alive() const {
    if (process_ != disk_.generation_) {
      return fail(Errc::io_error, path_ + ": opened by a process that is gone");
    }
    return disk_.running(path_);
  }

  Result<void> grow(std::uint64_t bytes) {
    if (bytes > disk_.room_) return fail(Errc::disk_full, "allocate " + path_);
    disk_.room_ -= bytes;
    inode_->truncate(inode_->size() + bytes);
    return {};
  }

  SimulatedFileSystem& disk_;
  InodePtr inode_;
  std::string path_;
  std::uint64_t process_;
  std::optional<std::string_view> view_;
  const std::shared_ptr<io::ReadFaults> faults_ = std::make_shared<io::ReadFaults>();
};

class SimulatedFileSystem::Lock final : public io::FolderLock {
 public:
  Lock(SimulatedFileSystem& disk, std::string path)
      : disk_(disk), path_(std::move(path)), process_(disk.generation_) {}
  ~Lock() override {
    const std::lock_guard lock(disk_.mutex_);
    const auto found = disk_.locks_.find(path_);
    if (found != disk_.locks_.end() && found->second == process_) disk_.locks_.erase(found);
  }

 private:
  SimulatedFileSystem& disk_;
  std::string path_;
  std::uint64_t process_;
};

SimulatedFileSystem::SimulatedFileSystem(std::uint64_t seed) : random_(seed) {}
SimulatedFileSystem::~SimulatedFileSystem() = default;

void SimulatedFileSystem::cut_power() {
  const std::lock_guard lock(mutex_);
  const std::size_t kept = changes_.empty() ? 0 : random_() % (changes_.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) changes_[i].apply(durable_);
  std::set<InodePtr> inodes;
  for (const auto& [path, inode] : durable_) inodes.insert(inode);
  for (const auto& [path, inode] : durable_) {
    if (inodes.erase(inode) == 1) inode->cut_power(random_);
  }
  start_anew(durable_);
}

void SimulatedFileSystem::kill() {
  const std::lock_guard lock(mutex_);
  end_process();
}

void SimulatedFileSystem::halt() {
  const std::lock_guard lock(mutex_);
  halted_ = true;
}

void SimulatedFileSystem::halt_after(std::uint64_t calls) {
  const std::lock_guard lock(mutex_);
  halt_at_ = calls_ + calls;
}

bool SimulatedFileSystem::halted() const {
  const std::lock_guard lock(mutex_);
  return halted_;
}

void SimulatedFileSystem::end_process() {
  ++generation_;
  locks_.clear();
  halted_ = false;
  halt_at_ = UINT64_MAX;
}

void SimulatedFileSystem::start_anew(Names names) {
  end_process();
  changes_.clear();
  shown_ = names;
  durable_ = std::move(names);
  // A file that is there again has a folder that is.
  for (const auto& [path, inode] : durable_) add_folders(folder_of(path));
}

void SimulatedFileSystem::set_fault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

void SimulatedFileSystem::set_room(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  room_ = bytes;
}

std::uint64_t SimulatedFileSystem::room_at(const std::string&) const {
  const std::lock_guard lock(mutex_);
  return room_;
}

void SimulatedFileSystem::flip_bit(const std::string& path, std::uint64_t bit) {
  const std::lock_guard lock(mutex_);
  shown_.at(path)->flip_bit(bit);
}

void SimulatedFileSystem::make_unreadable(const std::string& path, std::uint64_t position,
                                          std::uint64_t length) {
  const std::lock_guard lock(mutex_);
  shown_.at(path)->make_unreadable(position, length);
}

std::uint64_t SimulatedFileSystem::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

SimulatedFileSystem::Image SimulatedFileSystem::image() const {
  const std::lock_guard lock(mutex_);
  Image image;
  for (const auto& [path, inode] : shown_) image.emplace(path, inode->shown());
  return image;
}

void SimulatedFileSystem::restore(const Image& image) {
  const std::lock_guard lock(mutex_);
  Names names;
  for (const auto& [path, bytes] : image) {
    const auto known = shown_.find(path);
    const InodePtr inode = known != shown_.end() ? known->second : std::make_shared<Inode>();
    inode->assign(bytes);
    names[path] = inode;
  }
  start_anew(std::move(names));
}

void SimulatedFileSystem::replace() {
  const std::lock_guard lock(mutex_);
  folders_.clear();
  start_anew({});
}

Result<void> SimulatedFileSystem::running(const std::string& path) const {
  if (halted_) return fail(Errc::io_error, path + ": the process is gone");
  return {};
}

Result<void> SimulatedFileSystem::check(DiskCall call, const std::string& path) const {
  KEELSON_TRY(running(path));
  if (++calls_ == halt_at_) {
    halted_ = true;
    return running(path);
  }
  if (!fault_) return {};
  if (const auto error = fault_(call, path)) return fail(*error, "injected fault: " + path);
  return {};
}

void SimulatedFileSystem::change_names(const std::string& folder,
                                       std::function<void(Names&)> apply) {
  apply(shown_);
  changes_.push_back({folder, std::move(apply)});
}

Result<std::unique_ptr<io::File>> SimulatedFileSystem::open(const std::string& path,
                                                            io::OpenMode mode) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(check(DiskCall::open, path));
  const auto found = shown_.find(path);
  if (mode == io::OpenMode::create_new) {
    if (found != shown_.end()) return fail(Errc::already_exists, "open " + path);
    if (!folders_.contains(folder_of(path))) return fail(Errc::not_found, "no folder: " + path);
    auto inode = std::make_shared<Inode>();
    change_names(folder_of(path), [path, inode](Names& names) { names[path] = inode; });
    return std::make_unique<OpenFile>(*this, inode, path);
  }
  if (found == shown_.end()) return fail(Errc::not_found, "open " + path);
  return std::make_unique<OpenFile>(*this, found->second, path);
}

Result<bool> SimulatedFileSystem::exists(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(running(path));
  return shown_.contains(path) || folders_.contains(path);
}

Result<bool> SimulatedFileSystem::is_folder(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(running(path));
  return folders_.contains(path);
}

Result<std::vector<std::string>> SimulatedFileSystem::list(const std::string& folder) const {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(running(folder));
  if (!folders_.contains(folder)) return fail(Errc::not_found, "list " + folder);
  std::vector<std::string> names;
  const auto add = [&](const std::string& path) {
    if (folder_of(path) == folder) names.push_back(path.substr(folder.size() + 1));
  };
  for (const auto& [path, inode] : shown_) add(path);
  for (const auto& [path, there] : folders_) add(path);
  std::ranges::sort(names);
  return names;
}

Result<void> SimulatedFileSystem::create_folders(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(running(folder));
  add_folders(folder);  // durable at once, as the interface promises
  return {};
}

void SimulatedFileSystem::add_folders(const std::string& folder) {
  for (std::string path = folder; path != "." && !path.empty(); path = folder_of(path)) {
    folders_[path] = true;
  }
}

Result<void> SimulatedFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(check(DiskCall::rename, from));
  const auto found = shown_.find(from);
  if (found == shown_.end()) return fail(Errc::not_found, "rename " + from);
  change_names(folder_of(to), [from, to, inode = found->second](Names& names) {
    names.erase(from);
    names[to] = inode;
  });
  return {};
}

Result<void> SimulatedFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(check(DiskCall::remove, path));
  if (!shown_.contains(path)) return fail(Errc::not_found, "remove " + path);
  change_names(folder_of(path), [path](Names& names) { names.erase(path); });
  return {};
}

Result<void> SimulatedFileSystem::remove_all(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(check(DiskCall::remove, folder));
  change_names(folder, [prefix = folder + "/"](Names& names) {
    std::erase_if(names, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  });
  std::erase_if(folders_, [&](const auto& entry) {
    return entry.first == folder || entry.first.starts_with(folder + "/");
  });
  return {};
}

Result<void> SimulatedFileSystem::sync_folder(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(check(DiskCall::sync_folder, folder));
  // The journal is in order: what came before a durable change is durable as well.
  const auto last = std::find_if(changes_.rbegin(), changes_.rend(),
                                 [&](const auto& change) { return change.folder == folder; });
  const auto end = last.base();
  for (auto it = changes_.begin(); it != end; ++it) it->apply(durable_);
  changes_.erase(changes_.begin(), end);
  return {};
}

Result<std::unique_ptr<io::FolderLock>> SimulatedFileSystem::lock(const std::string& folder,
                                                                  std::string_view name) {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY(running(folder));
  const std::string path = folder + "/" + std::string(name);
  if (locks_.contains(path)) return fail(Errc::locked, path);
  locks_[path] = generation_;
  return std::make_unique<Lock>(*this, path);
}

}  // namespace keelson::test
