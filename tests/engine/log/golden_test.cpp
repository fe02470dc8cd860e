// The bytes of format version 1. They never change: a reader of this version must read them, and a
// writer must write them. A new version adds a case.
#include <doctest/doctest.h>

#include <string>

#include "engine/log/log_format.h"
#include "engine/log/partition_log.h"
#include "tests/support/hex.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::PartitionLog;

namespace {

const Uuid kIdentity{{std::byte{0x10}, std::byte{0x11}, std::byte{0x12}, std::byte{0x13},
                      std::byte{0x14}, std::byte{0x15}, std::byte{0x16}, std::byte{0x17},
                      std::byte{0x18}, std::byte{0x19}, std::byte{0x1a}, std::byte{0x1b},
                      std::byte{0x1c}, std::byte{0x1d}, std::byte{0x1e}, std::byte{0x1f}}};
const log::LogOptions kSmall{.segment_bytes = 64u << 10};

/// Of the second segment: one that has a Merkle frontier. Fixed fields and peaks; the rest is zero.
constexpr const char* kSegmentHeaderV1 = R"(
4b45454c5345470a0100000001000000101112131415161718191a1b1c1d1e1f
020000000000000002000000000000000100000000000000f4411e18240a0600
d8100100000000004b8929b05c5fd7d524d33467c75073fb4aac89cd1e8dcc63
cab1a41a06817fe3
)";
constexpr std::string_view kSegmentHeaderChecksumV1 = "aa222f5254e50658";

/// A control batch that starts epoch 1.
constexpr const char* kControlBatchV1 = R"(
4b4c423101000100800000000000000000000000000000000000000000000000
0100000000000000000000000000000000401e18240a06000000000000000000
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
851273a082bd7d4f0000000000000000000000000000000026f7773bb62a5347
)";

/// One accepted commit with two events and one rejection.
constexpr const char* kEventsBatchV1 = R"(
4b4c4231010000009e0100000200000002000000000000000100000000000000
01000000000000000000000000000000f4411e18240a06000100000000000000
4b8929b05c5fd7d524d33467c75073fb4aac89cd1e8dcc63cab1a41a06817fe3
d39adc71056f2e9b000000000000000000000000000000006ffcde0494e0050e
d400000080000000010005000a000900000000000200000000000000f0f1f2f3
f4f5f6f7f8f9fafbfcfdfeff616c6963656163636f756e742d34326465706f73
69742d313b000000440000000100000000000000f4411e18240a06000f000000
000000000a0006006163636f756e742d34326f70656e65647b226f776e657222
3a22416e6e227d45000000870000000200000000000000f4411e18240a06000e
000000080000000a0009006163636f756e742d34326465706f73697465647b22
616d6f756e74223a3130307d7b226970223a317d4a0000005401000002000000
0900030012000000000000000200000000000000000000000000000000000000
6163636f756e742d37772d32696e73756666696369656e745f66756e64730000
)";

/// Of the segment that holds these two batches. docs/index-format.md.
constexpr const char* kIndexV1 = R"(
4b45454c4944580a01000000020000000200000001000000020000000a000000
101112131415161718191a1b1c1d1e1f00000000000000000000000000000000
2012000000000000000000000000000000000000000000000000000000000000
000000000000000000000000000000002207701ea5b06834e798cf43f77604f2
0000000000000000000000000000000000000000000000000000000000000000
0000000000200000000000040000000000080000000001400000000000400010
0040200010000000001000000000000000802000000800000000000000000080
0000000104000108000000000000000200000000000040000000000000000000
7bf5df97f2b83ea301000000000000000000000002000000000000000a000000
001000000000000000401e18240a06008010000000000000f4411e18240a0600
3f00b08bd8f1423d01000000000000002865f7af6961546e01000000d4000000
0000000001000000440000000100000001000000870000000000000000000000
010000000000000002000000020000006163636f756e742d34327851a55a6ec2
5a6c
)";

log::BatchDraft control_draft() {
  log::BatchDraft draft;
  draft.kind = log::BatchKind::control;
  draft.epoch = Epoch(1);
  draft.time = TimeUs(1'700'000'000'000'000);
  return draft;
}

log::BatchDraft events_draft() {
  log::BodyWriter writer;
  log::CommitHeader header;
  header.key = {"alice", "account-42", "deposit-1"};
  for (std::size_t i = 0; i < header.fingerprint.size(); ++i) {
    header.fingerprint[i] = static_cast<std::byte>(0xf0 + i);
  }
  header.event_count = 2;
  writer.begin_commit(header);
  const TimeUs time(1'700'000'000'000'500);
  writer.add_event({"account-42", Version(1), "opened", time, R"({"owner":"Ann"})", ""});
  writer.add_event(
      {"account-42", Version(2), "deposited", time, R"({"amount":100})", R"({"ip":1})"});
  writer.end_commit();
  header = {};
  header.kind = log::CommitKind::rejected;
  header.key = {"", "account-7", "w-2"};
  header.detail = "insufficient_funds";
  writer.begin_commit(header);
  writer.end_commit();
  log::BatchDraft draft;
  draft.epoch = Epoch(1);
  draft.time = time;
  draft.body = writer.take();
  return draft;
}

/// A batch that no longer fits moves on to a second segment.
log::BatchDraft large_draft() {
  log::BodyWriter writer;
  log::CommitHeader header;
  header.event_count = 1;
  writer.begin_commit(header);
  const std::string large(kSmall.segment_bytes, 'x');
  writer.add_event({"s", Version(1), "t", TimeUs(1'700'000'000'000'500), large, ""});
  writer.end_commit();
  log::BatchDraft draft;
  draft.epoch = Epoch(1);
  draft.base_offset = Offset(2);
  draft.time = TimeUs(1'700'000'000'000'500);
  draft.body = writer.take();
  return draft;
}

std::string read(SimulatedFileSystem& disk, const std::string& path, std::uint64_t position,
                 std::size_t length) {
  return disk.open(path, io::OpenMode::read).value()->read_at(position, length).value();
}

}  // namespace

TEST_CASE("golden: version 1 is written byte for byte") {
  SimulatedFileSystem disk(1);
  const auto log = PartitionLog::open(disk, "log", kIdentity, kSmall).value();
  REQUIRE(log->append(control_draft()));
  REQUIRE(log->sync());
  REQUIRE(log->append(events_draft()));
  const std::string first = "log/00000000000000000000.seg";
  const std::string control = from_hex(kControlBatchV1);
  const std::string events = from_hex(kEventsBatchV1);
  std::uint64_t at = log::kSegmentHeaderBytes;
  CHECK(to_hex(read(disk, first, at, control.size())) == to_hex(control));
  at += control.size();
  CHECK(to_hex(read(disk, first, at, events.size())) == to_hex(events));

  REQUIRE(log->append(large_draft()));
  const std::string second = "log/00000000000000000002.seg";
  const std::string segment = from_hex(kSegmentHeaderV1);
  CHECK(to_hex(read(disk, second, 0, 104)) == to_hex(segment));
  CHECK(to_hex(read(disk, second, 4088, 8)) == kSegmentHeaderChecksumV1);
}

TEST_CASE("golden: version 1 is read") {
  SimulatedFileSystem disk(1);
  // A segment as made by this version, with the golden batches put in.
  { const auto made = PartitionLog::open(disk, "log", kIdentity, kSmall).value(); }
  const auto file = disk.open("log/00000000000000000000.seg", io::OpenMode::read_write).value();
  REQUIRE(file->write_at(log::kSegmentHeaderBytes,
                         from_hex(kControlBatchV1) + from_hex(kEventsBatchV1)));
  const auto log = PartitionLog::open(disk, "log", kIdentity, kSmall).value();
  CHECK_FALSE(log->torn_tail());
  CHECK(log->end() == Offset(2));
  CHECK(log->last_epoch() == Epoch(1));
  const auto cursor = log->read(Offset(1)).value();
  const auto event = cursor->next().value();
  REQUIRE(event);
  CHECK(event->record.stream == "account-42");
  CHECK(event->record.version == Version(2));
  CHECK(event->record.type == "deposited");
  CHECK(event->record.time == TimeUs(1'700'000'000'000'500));
  CHECK(event->record.data == R"({"amount":100})");
  CHECK(event->record.metadata == R"({"ip":1})");
  CHECK(event->command_id == "deposit-1");
  const auto rejected = log->find_command({"", "account-7", "w-2"}).value();
  REQUIRE(rejected);
  CHECK(rejected->header.kind == log::CommitKind::rejected);
  CHECK(rejected->header.detail == "insufficient_funds");
  CHECK(rejected->first == Offset(2));
}

TEST_CASE("golden: the index of version 1 is written byte for byte, and is read") {
  SimulatedFileSystem disk(1);
  {
    const auto log = PartitionLog::open(disk, "log", kIdentity, kSmall).value();
    REQUIRE(log->append(control_draft()));
    REQUIRE(log->append(events_draft()));
    log::BatchDraft draft = large_draft();
    const BatchNo last = log->append(draft).value();
    REQUIRE(log->sync());
    log->publish(last);
    REQUIRE(log->maintain());
  }
  const std::string path = "log/00000000000000000000.idx";
  CHECK(to_hex(io::read_file(disk, path, 1u << 20).value()) == to_hex(from_hex(kIndexV1)));

  // Names and command ids are found by their hashes in it.
  REQUIRE(io::replace_file(disk, path, from_hex(kIndexV1)));
  const auto log = PartitionLog::open(disk, "log", kIdentity, kSmall).value();
  CHECK(log->rebuilt_indexes() == 0);
  CHECK(log->stream_version("account-42", Offset(2)).value() == Version(2));
  CHECK(log->find_command({"alice", "account-42", "deposit-1"}).value()->events.size() == 2);
  CHECK(log->find_command({"", "account-7", "w-2"}).value()->events.empty());
  CHECK(log->rebuilt_indexes() == 0);
}
