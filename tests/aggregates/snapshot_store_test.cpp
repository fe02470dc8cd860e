#include "aggregates/snapshot_store.h"

#include <doctest/doctest.h>

#include "engine/io/posix_file_system.h"
#include "tests/support/temporary_folder.h"

namespace keelson::test {

using namespace keelson::aggregates;  // NOLINT: a test's vocabulary

namespace {

Snapshot sample() {
  Snapshot snapshot{
      "wallet-a/b \xc3\xa4",         Version(1000), Offset(UINT64_MAX - 1), {}, "1-abc",
      R"({"open":true,"balance":5})"};
  snapshot.event.fill(std::byte{0xa7});
  return snapshot;
}

/// The only file below `folder`.
std::string file_in(io::FileSystem& files, const std::string& folder) {
  const auto buckets = files.list(folder).value();
  REQUIRE(buckets.size() == 1);
  const auto names = files.list(folder + "/" + buckets[0]).value();
  REQUIRE(names.size() == 1);
  return folder + "/" + buckets[0] + "/" + names[0];
}

void overwrite(io::FileSystem& files, const std::string& path, std::string_view bytes) {
  const auto file = files.open(path, io::OpenMode::read_write).value();
  REQUIRE(file->truncate(bytes.size()).has_value());
  REQUIRE(file->write_at(0, bytes).has_value());
}

}  // namespace

TEST_CASE("snapshot store: finds what was saved last, and nothing else") {
  io::PosixFileSystem files;
  const TemporaryFolder folder;
  SnapshotStore store(files, folder.path() + "/s");
  CHECK_FALSE(store.find(sample().stream).has_value());
  REQUIRE(store.save(sample()).has_value());
  Snapshot newer = sample();
  newer.version = Version(2000);
  newer.state = "{}";
  REQUIRE(store.save(newer).has_value());
  const auto found = store.find(sample().stream);
  REQUIRE(found.has_value());
  CHECK(found->stream == newer.stream);
  CHECK(found->version == Version(2000));
  CHECK(found->offset == newer.offset);
  CHECK(found->event == newer.event);
  CHECK(found->code_version == newer.code_version);
  CHECK(found->state == "{}");
  CHECK_FALSE(store.find("wallet-other").has_value());
}

TEST_CASE("snapshot store: a file that is torn or changed anywhere is as good as none") {
  io::PosixFileSystem files;
  const TemporaryFolder folder;
  SnapshotStore store(files, folder.path() + "/s");
  REQUIRE(store.save(sample()).has_value());
  const std::string path = file_in(files, folder.path() + "/s");
  const std::string whole = io::read_file(files, path, 1 << 20).value();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    overwrite(files, path, std::string_view(whole).substr(0, length));
    CHECK_FALSE(store.find(sample().stream).has_value());
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    overwrite(files, path, changed);
    CHECK_FALSE(store.find(sample().stream).has_value());
  }
  overwrite(files, path, whole);
  CHECK(store.find(sample().stream).has_value());
}

TEST_CASE("snapshot store: a file left half-written by a crash does not stand in the way") {
  io::PosixFileSystem files;
  const TemporaryFolder folder;
  SnapshotStore store(files, folder.path() + "/s");
  REQUIRE(store.save(sample()).has_value());
  const std::string path = file_in(files, folder.path() + "/s");
  REQUIRE(files.open(path + ".new", io::OpenMode::create_new).has_value());
  Snapshot newer = sample();
  newer.version = Version(2000);
  REQUIRE(store.save(newer).has_value());
  CHECK(store.find(sample().stream)->version == Version(2000));
}

}  // namespace keelson::test
