#include "engine/log/merkle.h"

#include <doctest/doctest.h>

#include <bit>
#include <span>
#include <string>
#include <vector>

#include "tests/support/hex.h"

using namespace keelson;
using namespace keelson::log;
using keelson::test::from_hex;
using keelson::test::to_hex;

namespace {

/// MTH of RFC 9162, section 2.1.1, as it is written there.
Hash naive_root(std::span<const std::string> leaves) {
  if (leaves.empty()) return empty_tree_hash();
  if (leaves.size() == 1) return leaf_hash(leaves[0]);
  const std::size_t k = std::bit_ceil(leaves.size()) / 2;
  return node_hash(naive_root(leaves.first(k)), naive_root(leaves.subspan(k)));
}

}  // namespace

TEST_CASE("merkle: hashes and roots are those of RFC 9162's known trees") {
  CHECK(to_hex(empty_tree_hash()) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(leaf_hash("")) ==
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  MerkleFrontier tree;
  for (const auto* leaf : {"", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                           "606162636465666768696a6b6c6d6e6f"}) {
    tree.add(from_hex(leaf));
  }
  CHECK(to_hex(tree.root()) == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

TEST_CASE("merkle: the growing tree has the root of the recursive definition at every size") {
  MerkleFrontier tree;
  std::vector<std::string> leaves;
  for (int i = 0; i < 260; ++i) {
    CAPTURE(i);
    CHECK(tree.root() == naive_root(leaves));
    leaves.push_back("leaf " + std::to_string(i * i));
    tree.add(leaves.back());
  }
}

TEST_CASE("merkle: a tree continued from its peaks is the same tree") {
  MerkleFrontier whole;
  for (int i = 0; i < 100; ++i) {
    const MerkleFrontier resumed(whole.leaves(), whole.peaks());
    CHECK(resumed.root() == whole.root());
    whole.add(std::to_string(i));
    MerkleFrontier next = resumed;
    next.add(std::to_string(i));
    CHECK(next.root() == whole.root());
  }
}
