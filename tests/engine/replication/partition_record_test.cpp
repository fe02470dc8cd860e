#include "engine/replication/partition_record.h"

#include <doctest/doctest.h>

#include <string>

using namespace keelson;
using namespace keelson::replication;

namespace {

Member member(std::uint32_t node, int data = 0) {
  Member made{NodeId(node), {}};
  made.data.bytes[15] = std::byte(data);
  return made;
}

const PartitionRecord kChanging{Epoch(17),
                                member(1),
                                {member(1), member(2), member(4, 255)},
                                {member(1), member(2), member(3)}};

}  // namespace

TEST_CASE("partition record: is read back as it was written") {
  const std::string text = encode_partition_record(kChanging);
  CHECK(text ==
        "keelson partition 1\n"
        "epoch 17\n"
        "leader 1:00000000000000000000000000000000\n"
        "replicas 1:00000000000000000000000000000000 2:00000000000000000000000000000000 "
        "4:000000000000000000000000000000ff\n"
        "old_replicas 1:00000000000000000000000000000000 2:00000000000000000000000000000000 "
        "3:00000000000000000000000000000000\n");
  CHECK(decode_partition_record(text) == kChanging);
  const PartitionRecord fresh{Epoch(0), std::nullopt, {member(1)}, {}};
  CHECK(decode_partition_record(encode_partition_record(fresh)) == fresh);
  PartitionRecord anew = fresh;
  anew.generation = 2;
  CHECK(encode_partition_record(anew) == encode_partition_record(fresh) + "generation 2\n");
  CHECK(decode_partition_record(encode_partition_record(anew)) == anew);
  CHECK_FALSE(decode_partition_record(encode_partition_record(fresh) + "generation 0\n"));
}

TEST_CASE("partition record: what is not written like this is refused") {
  const std::string text = encode_partition_record(kChanging);
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK_FALSE(decode_partition_record(text.substr(0, length)));
  }
  const auto with = [&](const std::string& what, const std::string& instead) {
    std::string other = text;
    return decode_partition_record(other.replace(other.find(what), what.size(), instead));
  };
  CHECK_FALSE(with("partition 1", "partition 2"));
  CHECK_FALSE(with("epoch 17", "epoch 017"));
  CHECK_FALSE(with("epoch 17", "epoch -1"));
  CHECK_FALSE(with("epoch 17", "epoch 18446744073709551616"));
  CHECK_FALSE(with(" 2:", " 1:"));  // twice the same
  CHECK_FALSE(with("000ff", "000fF"));
  CHECK_FALSE(with("old_replicas", "more"));
  CHECK_FALSE(decode_partition_record(text + "\n"));
}

TEST_CASE("partition record: while members change, a majority of each list is needed") {
  const auto agreed = [](std::initializer_list<Member> who) {
    return kChanging.agreed([&](const Member& m) { return contains(MemberList(who), m); });
  };
  CHECK(agreed({member(1), member(2)}));
  CHECK_FALSE(agreed({member(1), member(3)}));
  CHECK_FALSE(agreed({member(2), member(4, 255)}));
  CHECK(agreed({member(1), member(3), member(4, 255)}));
  CHECK(kChanging.members() == MemberList{member(1), member(2), member(4, 255), member(3)});
}

TEST_CASE("partition record: a wiped disk is another member") {
  CHECK(kChanging.has(member(4, 255)));
  CHECK_FALSE(kChanging.has(member(4, 254)));
}

TEST_CASE("partition record: a list of members is neither empty nor too long nor has one twice") {
  MemberList list;
  CHECK_FALSE(check_members(list));
  for (std::uint32_t node = 1; node <= kMembersMax; ++node) {
    list.push_back(member(node));
    CHECK(check_members(list));
    const PartitionRecord record{Epoch(1), member(1), list, list};
    CHECK(decode_partition_record(encode_partition_record(record)) == record);
  }
  list.push_back(member(17));
  CHECK_FALSE(check_members(list));
  CHECK_FALSE(decode_partition_record(encode_partition_record({Epoch(1), member(1), list, {}})));
  list = {member(1), member(2), member(1)};
  CHECK(check_members(list).error().code == Errc::bad_request);
  list.back() = member(1, 2);  // the same node with another disk
  CHECK(check_members(list));
}
