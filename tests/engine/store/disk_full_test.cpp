// A store on a disk without room: it says so, keeps what it has, and goes on when there is room.
#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "engine/store/store.h"
#include "tests/support/simulated_file_system.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

constexpr std::uint64_t kMiB = 1u << 20;

}  // namespace

TEST_CASE("disk full: commits are refused, reads go on, and nothing acknowledged is lost") {
  SimulatedFileSystem disk(1);
  TestStore store(&disk);
  Partition* partition = &store.topic().partition(PartitionId(0));
  disk.set_room(3 * kMiB);
  const std::string data(100'000, '7');
  std::vector<Offset> kept;
  Result<CommitOutcome> last;
  const auto fill = [&] {
    while ((last = commit(*partition, write_to("a-1", {data})))) kept.push_back(last->first);
  };
  fill();
  CHECK(last.error().code == Errc::disk_full);
  CHECK(kept.size() > 10);
  CHECK(commit(*partition, write_to("a-1", {data}), stamp("a-1", "refused")).error().code ==
        Errc::disk_full);

  CHECK(partition->end() == Offset(kept.size()));
  CHECK(read_all(*partition).size() == kept.size());
  CHECK(partition->stream_version("a-1") == Version(kept.size()));
  CHECK(partition->health());

  // A restart while it is full: everything is there, and still it is only full.
  store.reopen();
  partition = &store.topic().partition(PartitionId(0));
  CHECK(read_all(*partition).size() == kept.size());
  CHECK(commit(*partition, write_to("a-1", {data})).error().code == Errc::disk_full);
  CHECK(store->damage().empty());

  disk.set_room(8 * kMiB);
  const auto again = commit(*partition, write_to("a-1", {data}), stamp("a-1", "refused"));
  REQUIRE(again);
  CHECK_FALSE(again->replayed);  // what was refused had not happened
  CHECK(again->first == Offset(kept.size()));
  kept.push_back(again->first);
  fill();
  store.reopen();
  const auto events = read_all(store.topic().partition(PartitionId(0)));
  REQUIRE(events.size() == kept.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].offset == kept[i]);
    CHECK(events[i].version == Version(i + 1));
    CHECK(events[i].data == data);
  }
}

TEST_CASE("disk full: a store opens and reads though not even the start of an epoch fits") {
  SimulatedFileSystem disk(1);
  TestStore store(&disk);
  Partition* partition = &store.topic().partition(PartitionId(0));
  disk.set_room(0);
  std::size_t kept = 0;
  const auto fill = [&](const std::string& data) {
    Result<CommitOutcome> last;
    while ((last = commit(*partition, write_to("a-1", {data})))) ++kept;
    CHECK(last.error().code == Errc::disk_full);
  };
  fill(std::string(10'000, '7'));
  fill("1");
  // The rest holds no batch of one event, so a few starts of epochs at most.
  for (int i = 0; i < 8; ++i) {
    store.reopen();
    partition = &store.topic().partition(PartitionId(0));
    CHECK(partition->health());
    CHECK(read_all(*partition).size() == kept);
    CHECK(commit(*partition, write_to("a-1", {"1"})).error().code == Errc::disk_full);
  }
  disk.set_room(8 * kMiB);
  CHECK(commit(*partition, write_to("a-1", {"1"})));
  CHECK(commit(*partition, write_to("a-1", {"1"})));
  store.reopen();
  const auto events = read_all(store.topic().partition(PartitionId(0)));
  REQUIRE(events.size() == kept + 2);
  CHECK(events.back().version == Version(kept + 2));
}

TEST_CASE("disk full: one topic without room does not stop another that has it") {
  SimulatedFileSystem disk(1);
  TestStore store(&disk);
  Partition& full = store.topic("full").partition(PartitionId(0));
  Partition& roomy = store.topic("roomy").partition(PartitionId(0));
  disk.set_room(2 * kMiB);
  const std::string data(100'000, '7');
  while (commit(full, write_to("a-1", {data}))) {
  }
  // Its segment was filled with zeros when it was made: what it takes up it has already.
  CHECK(commit(roomy, write_to("a-1", {"1"})));
}

TEST_CASE("disk full: a topic that does not fit is refused, and made when it does") {
  SimulatedFileSystem disk(1);
  TestStore store(&disk);
  TopicOptions options;
  options.partitions = 4;
  options.segment_bytes = kMiB;
  disk.set_room(2 * kMiB);
  const auto refused = store->create_topic("t", options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::disk_full);
  CHECK(store->find_topic("t") == nullptr);
  store.reopen();
  CHECK(store->damage().empty());
  disk.set_room(16 * kMiB);
  const auto made = store->create_topic("t", options);
  REQUIRE(made);
  CHECK(commit((*made)->home_of("a-1"), write_to("a-1", {"1"})));
}
