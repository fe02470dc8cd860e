#include "engine/cluster/node_identity.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/simulated_environment.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;
using keelson::replication::Member;
using keelson::replication::NodeId;

namespace {

const NodeName kName{NodeId(3), "main"};
constexpr const char* kFile = "data/keelson.node";

void write(SimulatedFileSystem& disk, const std::string& text) {
  REQUIRE(io::replace_file(disk, kFile, text));
}

}  // namespace

TEST_CASE("node identity: is made once, and is the same at each start") {
  SimulatedFileSystem disk(1);
  SeededRandom random(2);
  REQUIRE(disk.create_folders("data"));
  const auto made = open_node_identity(disk, random, "data", kName);
  REQUIRE(made);
  CHECK(made->member() == Member{NodeId(3), made->data});
  CHECK(made->cluster == "main");
  CHECK(open_node_identity(disk, random, "data", kName) == made);
  disk.cut_power();
  CHECK(open_node_identity(disk, random, "data", kName) == made);
  REQUIRE(disk.create_folders("wiped"));
  CHECK(open_node_identity(disk, random, "wiped", kName)->data != made->data);
}

TEST_CASE("node identity: a folder is not opened as another node or cluster") {
  SimulatedFileSystem disk(1);
  SeededRandom random(2);
  REQUIRE(disk.create_folders("data"));
  REQUIRE(open_node_identity(disk, random, "data", kName));
  const auto other_node = open_node_identity(disk, random, "data", {NodeId(4), "main"});
  REQUIRE_FALSE(other_node);
  CHECK(other_node.error().code == Errc::bad_request);
  CHECK(other_node.error().context ==
        "data belongs to node 3 of cluster main, and is opened as node 4 of cluster main");
  CHECK_FALSE(open_node_identity(disk, random, "data", {NodeId(3), "other"}));
  CHECK_FALSE(open_node_identity(disk, random, "data", {NodeId(0), "main"}));
  CHECK_FALSE(open_node_identity(disk, random, "data", {NodeId(3), "a/b"}));
  CHECK(open_node_identity(disk, random, "data", kName));
}

TEST_CASE("node identity: is written as documented") {
  CHECK(encode_node_identity(
            {*uuid_from_hex("000102030405060708090a0b0c0d0e0f"), NodeId(3), "main"}) ==
        "keelson node 1\n"
        "data 000102030405060708090a0b0c0d0e0f\n"
        "node 3\n"
        "cluster main\n"
        "checksum 98c1ebbf05ec5dfa\n");
}

TEST_CASE("node identity: a changed bit or a part is damage and is left alone") {
  SimulatedFileSystem disk(1);
  SeededRandom random(2);
  REQUIRE(disk.create_folders("data"));
  REQUIRE(open_node_identity(disk, random, "data", kName));
  const std::string text = io::read_file(disk, kFile, 4096).value();
  const auto is_refused = [&] {
    const auto opened = open_node_identity(disk, random, "data", kName);
    REQUIRE_FALSE(opened);
    CHECK((opened.error().code == Errc::corruption ||
           opened.error().code == Errc::unsupported_format));
    CHECK(opened.error().context.find(kFile) != std::string::npos);
  };
  for (std::uint64_t bit = 0; bit < 8 * text.size(); ++bit) {
    disk.flip_bit(kFile, bit);
    is_refused();
    disk.flip_bit(kFile, bit);
  }
  for (std::size_t length = 0; length < text.size(); ++length) {
    write(disk, text.substr(0, length));
    is_refused();
  }
  write(disk, text + std::string(5000, 'x'));
  is_refused();
  write(disk, text);
  CHECK(open_node_identity(disk, random, "data", kName));
}

TEST_CASE("node identity: a crash at any call leaves the one that was used or none") {
  for (const bool power : {true, false}) {
    bool made_whole = false;
    for (std::uint64_t at = 1; !made_whole; ++at) {
      INFO("crash in call " << at);
      SimulatedFileSystem disk(at);
      SeededRandom random(2);
      REQUIRE(disk.create_folders("data"));
      disk.halt_after(at);
      const auto first = open_node_identity(disk, random, "data", kName);
      made_whole = first.has_value();
      power ? disk.cut_power() : disk.kill();
      const auto second = open_node_identity(disk, random, "data", kName);
      REQUIRE(second);
      if (first) CHECK(second->data == first->data);
      disk.cut_power();
      CHECK(open_node_identity(disk, random, "data", kName) == second);
    }
  }
}
