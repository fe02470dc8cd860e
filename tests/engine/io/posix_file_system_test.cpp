// The operating system's files, as far as the simulated ones cannot show it.
#include "engine/io/posix_file_system.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

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
