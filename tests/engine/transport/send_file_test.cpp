// Regions of files between nodes.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>

#include "engine/io/posix_file_system.h"
#include "tests/engine/transport/raw_peer.h"
#include "tests/engine/transport/test_node.h"
#include "tests/support/simulated_file_system.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::test;
using namespace std::chrono_literals;

namespace {

const Member kOne = make_member(1);
const Member kTwo = make_member(2);

/// Bytes that tell where they are from.
std::string make_bytes(std::size_t length) {
  std::string bytes;
  for (std::uint64_t i = 0; bytes.size() < length; ++i) bytes += std::to_string(i * 7919) + ",";
  bytes.resize(length);
  return bytes;
}

std::shared_ptr<const io::File> make_file(io::FileSystem& files, const std::string& path,
                                          std::string_view bytes) {
  auto file = files.open(path, io::OpenMode::create_new);
  REQUIRE(file.has_value());
  REQUIRE((*file)->write_zeros(0, bytes.size()).has_value());
  REQUIRE((*file)->write_at(0, bytes).has_value());
  return *std::move(file);
}

/// Has fewer bytes than it says.
class ShortFile final : public io::File {
 public:
  Result<std::uint64_t> size() const override { return 1u << 20; }
  Result<std::string> read_at(std::uint64_t position, std::size_t length) const override {
    if (position + length > 300'000) return fail(Errc::io_error, "the file is short");
    return std::string(length, 's');
  }
  Result<void> write_at(std::uint64_t, std::string_view) override { return {}; }
  Result<void> write_zeros(std::uint64_t, std::uint64_t) override { return {}; }
  Result<void> allocate(std::uint64_t) override { return {}; }
  Result<void> truncate(std::uint64_t) override { return {}; }
  void begin_sync(std::uint64_t, std::uint64_t) override {}
  Result<void> sync() override { return {}; }
  Result<std::string_view> view() override { return std::string_view(); }
};

/// Sends regions of `file`, which holds `bytes`, among messages, and checks what arrives.
void check_regions(const std::shared_ptr<const io::File>& file, const std::string& bytes) {
  TestNode one(kOne);
  TestNode two(kTwo);
  connect(one, two);
  const std::vector<std::pair<std::uint64_t, std::uint32_t>> regions{
      {0, 8u << 20},     {0, 1},          {1'000'001, 2'999'999}, {bytes.size() - 1, 1}, {5, 0},
      {bytes.size(), 0}, {4096, 1u << 20}};
  for (const auto& [position, length] : regions) {
    REQUIRE(one.transport().send(kTwo, "before").has_value());
    REQUIRE(one.transport().send_file(kTwo, "region", {file, position, length}).has_value());
  }
  REQUIRE(one.transport().send(kTwo, "end").has_value());
  REQUIRE(two.heard.wait("1.0: end"));
  const auto heard = two.heard.all();
  REQUIRE(heard.size() == 2 * regions.size() + 2);
  for (std::size_t i = 0; i < regions.size(); ++i) {
    CAPTURE(i);
    CHECK(heard[2 * i + 1] == "1.0: before");
    const auto& [position, length] = regions[i];
    CHECK((heard[2 * i + 2] == "1.0: region + " + bytes.substr(position, length)));
  }
}

}  // namespace

TEST_CASE("transport: regions of a file arrive whole, in order with messages") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const std::string bytes = make_bytes(9u << 20);
  check_regions(make_file(files, folder.path() + "/segment", bytes), bytes);
}

TEST_CASE("transport: so do those of a file that the system cannot send by itself") {
  SimulatedFileSystem files(1);
  REQUIRE(files.create_folders("/data").has_value());
  const std::string bytes = make_bytes(9u << 20);
  check_regions(make_file(files, "/data/segment", bytes), bytes);
}

TEST_CASE("transport: a region goes out while its reader is slow, and holds on to its file") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const std::string bytes = make_bytes(8u << 20);
  TestNode two(kTwo);
  two.start({{NodeId(1), "127.0.0.1:1"}});
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  auto file = make_file(files, folder.path() + "/segment", bytes);
  const std::weak_ptr<const io::File> held = file;
  for (int i = 0; i < 4; ++i) {
    REQUIRE(two.transport().send_file(kOne, std::to_string(i), {file, 0, 8u << 20}).has_value());
  }
  file.reset();
  CHECK(!held.expired());
  for (int i = 0; i < 4; ++i) {
    const auto frame = one.read_frame();
    REQUIRE((frame && *frame));
    CHECK((*frame)->payload == std::to_string(i));
    CHECK(((*frame)->region == bytes));
  }
  while (!held.expired()) std::this_thread::sleep_for(1ms);
}

TEST_CASE("transport: regions count as what waits to be sent") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const auto file = make_file(files, folder.path() + "/segment", make_bytes(8u << 20));
  auto options = make_options(kTwo);
  options.send_buffer_bytes_max = 1 << 20;
  TestNode two(options);
  two.start({{NodeId(1), "127.0.0.1:1"}});
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  Result<void> last;
  for (int i = 0; i < 1000 && last; ++i) {
    last = two.transport().send_file(kOne, "region", {file, 0, 8u << 20});
  }
  REQUIRE(!last.has_value());
  CHECK(last.error().code == Errc::overloaded);
}

TEST_CASE("transport: a region must lie within its file and the limit") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const auto file = make_file(files, folder.path() + "/segment", "0123456789");
  TestNode one(kOne);
  TestNode two(kTwo);
  connect(one, two);
  const auto code_of = [&](std::uint64_t position, std::uint32_t length) {
    const auto sent = one.transport().send_file(kTwo, "m", {file, position, length});
    REQUIRE(!sent.has_value());
    return sent.error().code;
  };
  CHECK(code_of(0, 11) == Errc::bad_request);
  CHECK(code_of(10, 1) == Errc::bad_request);
  CHECK(code_of(11, 0) == Errc::bad_request);
  CHECK(code_of(UINT64_MAX, 2) == Errc::bad_request);
  CHECK(code_of(0, (8u << 20) + 1) == Errc::too_large);
  CHECK(one.transport().send_file(kTwo, "m", {file, 9, 1}).has_value());
  CHECK(two.heard.wait("1.0: m + 9"));
}

TEST_CASE("transport: a file that cannot be read ends the connection, and nothing of it arrives") {
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  std::shared_ptr<const io::File> file = std::make_shared<ShortFile>();
  SUBCASE("read by us") {}
  SUBCASE("read by the system") {
    file = make_file(files, folder.path() + "/segment", make_bytes(1u << 20));
  }
  TestNode two(kTwo);
  two.start({{NodeId(1), "127.0.0.1:1"}});
  RawPeer one(kOne, two.transport().port());
  REQUIRE(one.shake_hands().has_value());
  REQUIRE(two.heard.wait("connected 1.0"));
  // What stands before it keeps the writer from it until the file is cut.
  const std::string filling(32u << 20, 'f');
  REQUIRE(two.transport().send(kOne, filling).has_value());
  REQUIRE(two.transport().send_file(kOne, "region", {file, 0, 1u << 20}).has_value());
  if (const auto cut = files.open(folder.path() + "/segment", io::OpenMode::read_write)) {
    REQUIRE((*cut)->truncate(300'000).has_value());
  }
  auto frame = one.read_frame();
  REQUIRE((frame && *frame));
  CHECK((*frame)->payload.size() == filling.size());
  frame = one.read_frame();
  REQUIRE(frame.has_value());
  CHECK(!*frame);
  CHECK(two.heard.wait("disconnected 1.0"));
  CHECK(two.troubles.wait_part("1 io_error"));
}
