#include "engine/cluster/placement.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "tests/engine/cluster/members.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;
using keelson::replication::Member;
using keelson::replication::MemberList;
using keelson::replication::NodeId;

namespace {

std::vector<NodeLoad> nodes(std::uint32_t count) {
  std::vector<NodeLoad> made;
  for (std::uint32_t node = 1; node <= count; ++node) made.push_back({member(node)});
  return made;
}

MemberList members_of(const std::vector<NodeLoad>& loads) {
  MemberList members;
  for (const NodeLoad& load : loads) members.push_back(load.member);
  return members;
}

/// What `lists` puts on `nodes`.
std::vector<NodeLoad> loads(std::vector<NodeLoad> on, const std::vector<MemberList>& lists) {
  for (const MemberList& list : lists) add_load(on, list);
  return on;
}

std::size_t spread(const std::vector<NodeLoad>& loads, std::size_t NodeLoad::*count) {
  const auto [least, most] = std::ranges::minmax(loads, {}, count);
  return most.*count - least.*count;
}

void check_distinct(const MemberList& list) {
  std::set<NodeId> on;
  for (const Member& each : list) REQUIRE(on.insert(each.node).second);
}

std::vector<PlacedPartition> placed(const std::vector<MemberList>& lists) {
  std::vector<PlacedPartition> made;
  for (std::uint32_t p = 0; p < lists.size(); ++p) {
    made.push_back({Uuid{}, PartitionId(p), {Epoch(1), lists[p].front(), lists[p], {}}});
  }
  return made;
}

}  // namespace

TEST_CASE("placement: in a fresh cluster replicas and leaders differ by one at most") {
  for (std::uint32_t count = 1; count <= 12; ++count) {
    for (const std::size_t factor : {1, 3, 5, 7}) {
      if (factor > count) continue;
      for (const std::size_t partitions : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 32, 61, 100}) {
        INFO(partitions << " partitions of " << factor << " replicas on " << count << " nodes");
        const auto lists = place({partitions, factor}, nodes(count)).value();
        REQUIRE(lists.size() == partitions);
        for (const MemberList& list : lists) {
          REQUIRE(list.size() == factor);
          check_distinct(list);
        }
        const auto after = loads(nodes(count), lists);
        REQUIRE(spread(after, &NodeLoad::replicas) <= 1);
        REQUIRE(spread(after, &NodeLoad::leaders) <= 1);
        REQUIRE(place({partitions, factor}, nodes(count)).value() == lists);
      }
    }
  }
}

TEST_CASE("placement: topic by topic a cluster stays even in whatever order nodes are named") {
  for_each_seed(300, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto count = static_cast<std::uint32_t>(3 + random() % 8);
    std::vector<NodeLoad> carried = nodes(count);
    for (int topic = 0; topic < 20; ++topic) {
      const std::size_t factor = random() % 2 == 0 ? 1 : 3;
      const Wanted wanted{1 + random() % 16, factor};
      const auto lists = place(wanted, carried).value();
      std::vector<NodeLoad> shuffled = carried;
      std::ranges::shuffle(shuffled, random);
      REQUIRE(place(wanted, shuffled).value() == lists);
      for (const MemberList& list : lists) check_distinct(list);
      carried = loads(carried, lists);
      REQUIRE(spread(carried, &NodeLoad::replicas) <= 1);
    }
    REQUIRE(spread(carried, &NodeLoad::leaders) <= 2);
  });
}

TEST_CASE("placement: a node that joins empty gets the new partitions until it carries as much") {
  auto carried = nodes(3);
  carried = loads(carried, place({9, 3}, carried).value());
  carried.push_back({member(4)});
  const auto lists = place({6, 3}, carried).value();
  for (const MemberList& list : lists) CHECK(contains(list, member(4)));
  carried = loads(carried, lists);
  CHECK(carried[3].replicas == 6);
  CHECK(carried[3].leaders >= 3);
}

TEST_CASE("placement: what a node leaves behind is spread over all others") {
  const auto lists = place({60, 3}, nodes(6)).value();
  std::map<Member, std::set<Member>> beside;
  for (const MemberList& list : lists) {
    for (const Member& one : list) {
      for (const Member& other : list) {
        if (one != other) beside[one].insert(other);
      }
    }
  }
  for (const auto& [one, others] : beside) CHECK(others.size() == 5);
}

TEST_CASE("placement: needs as many nodes as replicas and an odd number of those") {
  const auto few = place({1, 3}, nodes(2));
  REQUIRE_FALSE(few);
  CHECK(few.error().code == Errc::not_enough_replicas);
  CHECK(few.error().context == "replication_factor 3 needs as many nodes, and 2 are alive");
  for (const std::size_t factor : {0, 2, 4, 6, 8, 9}) {
    const auto refused = place({1, factor}, nodes(12));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_request);
  }
}

TEST_CASE("placement: draining a node removes all that it has and touches nothing else") {
  for_each_seed(300, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const std::size_t factor = random() % 2 == 0 ? 3 : 5;
    const auto count = static_cast<std::uint32_t>(factor + 1 + random() % 5);
    auto lists = place({1 + random() % 64, factor}, nodes(count)).value();
    const NodeId drained(static_cast<std::uint32_t>(1 + random() % count));
    // Some of its replicas are of a disk that was wiped since.
    for (MemberList& list : lists) {
      for (Member& each : list) {
        if (each.node == drained && random() % 3 == 0) each = member(drained.value, 7);
      }
    }
    const auto before = placed(lists);
    const auto moves = moves_to_drain(drained, before, members_of(nodes(count))).value();
    std::vector<NodeLoad> others = nodes(count);
    std::erase_if(others, [&](const NodeLoad& node) { return node.member.node == drained; });
    std::map<PartitionId, MemberList> moved;
    for (const Move& move : moves) moved[move.partition] = move.replicas;
    REQUIRE(moved.size() == moves.size());
    for (std::uint32_t p = 0; p < lists.size(); ++p) {
      const bool had = std::ranges::find(lists[p], drained, &Member::node) != lists[p].end();
      REQUIRE(moved.contains(PartitionId(p)) == had);
      if (!had) continue;
      const MemberList& now = moved[PartitionId(p)];
      REQUIRE(now.size() == lists[p].size());
      check_distinct(now);
      const auto carried = loads(others, lists);
      const auto load_of = [&](const Member& who) {
        return std::ranges::find(carried, who, &NodeLoad::member)->replicas;
      };
      for (std::size_t seat = 0; seat < now.size(); ++seat) {
        if (lists[p][seat].node != drained) {
          REQUIRE(now[seat] == lists[p][seat]);
          continue;
        }
        REQUIRE(now[seat].node != drained);
        for (const NodeLoad& node : carried) {
          if (!contains(lists[p], node.member)) REQUIRE(load_of(now[seat]) <= node.replicas);
        }
      }
      lists[p] = now;
    }
  });
}

TEST_CASE("placement: a node that no other can replace is not drained at all") {
  const auto lists = place({4, 3}, nodes(3)).value();
  const auto refused = moves_to_drain(NodeId(1), placed(lists), members_of(nodes(3)));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::not_enough_replicas);
  CHECK(refused.error().context ==
        "no live node could take the place of node 1 in partition 0 of topic "
        "00000000000000000000000000000000");
  CHECK(moves_to_drain(NodeId(4), placed(lists), members_of(nodes(3))).value().empty());
}

TEST_CASE("placement: a node whose disk was wiped does not take a second place in a list") {
  const auto partitions = placed({{member(1), member(2, 7), member(3)}});
  const auto moves = moves_to_drain(NodeId(1), partitions, members_of(nodes(4))).value();
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].replicas == MemberList{member(4), member(2, 7), member(3)});
}

TEST_CASE("placement: while members change the new list counts") {
  std::vector<PlacedPartition> partitions = placed({{member(1), member(2), member(3)}});
  partitions[0].record.old_replicas = {member(4), member(2), member(3)};
  const MemberList live = members_of(nodes(5));
  CHECK(moves_to_drain(NodeId(4), partitions, live).value().empty());
  const auto moves = moves_to_drain(NodeId(2), partitions, live).value();
  REQUIRE(moves.size() == 1);
  CHECK(moves[0].replicas == MemberList{member(1), member(4), member(3)});
  CHECK(preferred_leader(moves[0].replicas) == member(1));
}
