// The operating system's files, as far as the simulated ones cannot show it.
#include "engine/io/posix_file_system.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::test;

TEST_CASE("posix file: what is allocated has its room, reads as zeros and leaves what was there") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const std::string path = folder.path() + "/file";
  const auto file = files.open(path, io::OpenMode::create_new).value();
  REQUIRE(file->write_at(0, "there before"));
  constexpr std::uint64_t kBytes = 1u << 20;
  for (const std::uint64_t length : {kBytes, kBytes / 2}) {  // it never shrinks
    REQUIRE(file->allocate(length));
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_size == kBytes);
    CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 >= kBytes);
  }
  const std::string bytes = file->read_at(0, kBytes).value();
  CHECK(bytes.starts_with("there before"));
  CHECK(bytes.find_first_not_of('\0', 12) == std::string::npos);
}

TEST_CASE("posix file: a mapping made before shows what is written to allocated room") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const auto file = files.open(folder.path() + "/file", io::OpenMode::create_new).value();
  REQUIRE(file->allocate(3u << 20));
  const std::string_view view = file->view().value();
  REQUIRE(view.size() == 3u << 20);
  CHECK(view.find_first_not_of('\0') == std::string_view::npos);
  REQUIRE(file->write_at(1u << 20, "bytes"));
  REQUIRE(file->write_zeros((1u << 20) + 5, 1u << 20));
  CHECK(view.substr(1u << 20, 5) == "bytes");
  REQUIRE(file->write_zeros(1u << 20, 5));
  REQUIRE(file->sync());
  CHECK(view.find_first_not_of('\0') == std::string_view::npos);
}

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPages = 64;

/// A file of some pages of one letter, mapped.
struct MappedFile {
  explicit MappedFile(const std::string& path) {
    io::PosixFileSystem files;
    file = files.open(path, io::OpenMode::create_new).value();
    REQUIRE(file->write_at(0, std::string(kPages * kPage, 'k')));
    view = file->view().value();
  }
  std::unique_ptr<io::File> file;
  std::string_view view;
};

/// How a process ends that does `what` after a mapping of ours has been made.
int status_of(const std::function<void()>& what) {
  const pid_t child = ::fork();
  if (child == 0) {
    what();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

/// Touches a page that is cut off of a mapping that is not ours.
void touch_foreign(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR);
  void* const at = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd, 0);
  [[maybe_unused]] const int cut = ::ftruncate(fd, 0);
  [[maybe_unused]] volatile char byte = *static_cast<const volatile char*>(at);
}

}  // namespace

TEST_CASE("posix file: a page that cannot be read shows zeros, and is known; others do not mind") {
  const TemporaryFolder folder;
  const MappedFile broken(folder.path() + "/broken");
  const MappedFile whole(folder.path() + "/whole");
  CHECK_FALSE(broken.file->faults().any());
  REQUIRE(broken.file->truncate(10 * kPage));
  CHECK(broken.view[10 * kPage - 1] == 'k');
  CHECK_FALSE(broken.file->faults().any());  // nobody has touched it
  CHECK(broken.view[12 * kPage + 5] == 0);
  const io::ReadFaults& faults = broken.file->faults();
  CHECK(faults.any());
  CHECK(faults.first_in(0, kPages * kPage) == 12 * kPage);
  CHECK(faults.first_in(12 * kPage + 7, 1) == 12 * kPage + 7);
  CHECK_FALSE(faults.first_in(0, 12 * kPage));
  CHECK_FALSE(faults.first_in(13 * kPage, kPage));
  // It stays so though the page is there again: what was read may have been anything.
  REQUIRE(broken.file->allocate(kPages * kPage));
  CHECK(faults.first_in(12 * kPage, 1) == 12 * kPage);
  CHECK(broken.view[0] == 'k');
  CHECK_FALSE(whole.file->faults().any());
  CHECK(whole.view.find_first_not_of('k') == std::string_view::npos);
}

TEST_CASE("posix file: where many pages cannot be read, none of the file is believed") {
  const TemporaryFolder folder;
  const MappedFile broken(folder.path() + "/broken");
  REQUIRE(broken.file->truncate(kPage));
  CHECK(broken.view.find_first_not_of('k') == kPage);
  CHECK(broken.view.substr(kPage).find_first_not_of('\0') == std::string_view::npos);
  CHECK(broken.file->faults().first_in(0, 1) == 0);
}

TEST_CASE("posix file: threads that touch what cannot be read all know of it") {
  const TemporaryFolder folder;
  for (int round = 0; round < 20; ++round) {
    const MappedFile broken(folder.path() + "/broken-" + std::to_string(round));
    REQUIRE(broken.file->truncate(kPage));
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t page = 1 + t % 2; page < 8; ++page) {
          const bool zero = broken.view[page * kPage + t] == 0;
          if (!zero || !broken.file->faults().first_in(page * kPage, kPage)) ++wrong;
          const MappedFile other(folder.path() + "/" + std::to_string(round) + "-" +
                                 std::to_string(t) + "-" + std::to_string(page));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
}

TEST_CASE("posix file: a SIGBUS that is not about our mappings ends the process as ever") {
  const TemporaryFolder folder;
  const MappedFile ours(folder.path() + "/ours");
  const std::string path = folder.path() + "/foreign";
  const MappedFile foreign(path);
  const int ended = status_of([&] { touch_foreign(path); });
  CHECK_FALSE((WIFEXITED(ended) && WEXITSTATUS(ended) == 0));
  const int sent = status_of([] { ::raise(SIGBUS); });
  CHECK_FALSE((WIFEXITED(sent) && WEXITSTATUS(sent) == 0));
}
