#include "engine/cluster/cluster_view.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/engine/cluster/members.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::replication;
using keelson::test::member;

TEST_CASE("cluster view: what an earlier start of a node says is no news, wherever it stands") {
  const ClusterKeys keys("main");
  const std::string node = keys.of(NodeKey{NodeId(2)});
  const std::string folder = keys.of(FolderKey{member(2).data});
  const auto says = [](const Member& who, std::uint64_t start, const std::string& address) {
    return encode_node_record({who, {start, {}}, address, "node-2:8080", "0.1.0"});
  };
  ClusterView view(keys);
  /// @return how much there is to be told.
  const auto adopt = [&](const std::string& key, const std::string& value, std::uint64_t revision,
                         std::uint64_t life) {
    return view.adopt({key, Record{value, Revision(revision)}, life}).size();
  };
  REQUIRE(adopt(node, says(member(2), 4, "here:1"), 7, 0) == 1);
  SUBCASE("while it is there") {}
  SUBCASE("after it has left") { CHECK(view.adopt({node, std::nullopt, 0}).size() == 1); }
  SUBCASE("when only its folder's record tells of the later start") {
    CHECK(adopt(folder, encode_folder_record({member(2), {5, {}}}), 9, 0) == 1);
  }
  // A backup of before, and then itself again.
  CHECK(adopt(node, says(member(2), 3, "there:1"), 5, 1) == 0);
  CHECK(adopt(node, says(member(2), 5, "here:2"), 6, 1) == 1);
  CHECK(view.nodes().at(NodeId(2)).peer_address == "here:2");
  // Of another folder nothing is known: that the data was replaced, and the node.
  CHECK(adopt(node, says(member(2, 7), 1, "there:2"), 8, 1) == 2);
}
