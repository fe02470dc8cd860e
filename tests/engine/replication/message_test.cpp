#include "engine/replication/message.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/hex.h"

using namespace keelson;
using namespace keelson::replication;

namespace {

const LogTail kTail{BatchNo(7),
                    Epoch(2),
                    {{Epoch(2), BatchNo(7)}, {Epoch(3), BatchNo(9)}, {Epoch(5), BatchNo(12)}},
                    BatchNo(20)};

const std::vector<Message> kAll{
    Probe{3},
    ProbeAnswer{3, {Epoch(2), BatchNo(9)}, true},
    Fence{Epoch(4)},
    Promised{Epoch(4), {Epoch(3), BatchNo(17)}},
    Refused{Epoch(9)},
    Pull{Epoch(4), 11, kTail},
    Pulled{Epoch(4), 11, BatchNo(8), BatchNo(10), {Epoch(3), BatchNo(17)}, "two batches"},
    Follow{Epoch(4), 12, kTail},
    Follow{Epoch(4), 13, {BatchNo(0), Epoch(0), {}, BatchNo(0)}},
    Matched{Epoch(4), 12, BatchNo(8)},
    Append{Epoch(4), 21, BatchNo(8), true, BatchNo(8), BatchNo(10), std::string("\0batch", 6)},
    Ack{Epoch(4), 21, BatchNo(10)},
    Succeed{Epoch(4)},
    Behind{Epoch(4), 14, BatchNo(300)},
    Fetch{Epoch(4), 15, BatchNo(96), 4096},
    Fetched{Epoch(4), 15, BatchNo(96), 4096, 70'000, "a piece of an index"},
    Begin{Epoch(4), 16, BatchNo(300), "a header"},
    Begin{Epoch(4), 17, BatchNo(300), ""},
};

}  // namespace

TEST_CASE("replication messages: each is read back as it was sent") {
  for (const Message& message : kAll) {
    const auto read = decode_message(encode_message(message));
    REQUIRE(read);
    CHECK(*read == message);
  }
}

TEST_CASE("replication messages: cut short or followed by more they are refused") {
  for (const Message& message : kAll) {
    const std::string whole = encode_message(message);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      CHECK_FALSE(decode_message(std::string_view(whole).substr(0, length)));
    }
    CHECK_FALSE(decode_message(whole + '\0'));
  }
}

TEST_CASE("replication messages: a tail whose epochs are not in order is refused") {
  const auto refused = [](LogTail tail) {
    return !decode_message(encode_message(Follow{Epoch(9), 1, std::move(tail)}));
  };
  CHECK_FALSE(refused(kTail));
  LogTail tail = kTail;
  tail.epochs[1].epoch = Epoch(2);
  CHECK(refused(tail));
  tail = kTail;
  tail.epochs[0].first = BatchNo(8);  // not from the beginning
  CHECK(refused(tail));
  tail = kTail;
  tail.epochs[2].first = tail.end;  // empty
  CHECK(refused(tail));
  tail = kTail;
  tail.epochs[0].epoch = Epoch(1);  // before the one before
  CHECK(refused(tail));
  tail = kTail;
  tail.epochs.clear();
  CHECK(refused(tail));
}

TEST_CASE("replication messages: the bytes of version 1") {
  CHECK(encode_message(kAll[7]) ==
        test::from_hex(
            "0704000000000000000c00000000000000070000000000000002000000000000001400000000"
            "000000030000000200000000000000070000000000000003000000000000000900000000000000"
            "05000000000000000c00000000000000"));
  CHECK(encode_message(kAll[10]) ==
        test::from_hex("09040000000000000015000000000000000800000000000000010800000000000000"
                       "0a0000000000000006000000006261746368"));
  CHECK(encode_message(kAll[13]) ==
        test::from_hex("0c04000000000000000e000000000000002c01000000000000"));
  CHECK(encode_message(kAll[14]) ==
        test::from_hex("0d04000000000000000f0000000000000060000000000000000010000000000000"));
  CHECK(encode_message(kAll[15]) ==
        test::from_hex("0e04000000000000000f0000000000000060000000000000000010000000000000"
                       "70110100000000001300000061207069656365206f6620616e20696e646578"));
  CHECK(encode_message(kAll[16]) ==
        test::from_hex("0f040000000000000010000000000000002c0100000000000008000000"
                       "6120686561646572"));
}
