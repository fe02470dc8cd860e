// A topic that does not keep everything: what its users are told of what is gone.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>

#include "engine/store/store.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

namespace {

constexpr std::uint64_t kMiB = 1u << 20;

/// The topic `test`, with segments of a MiB.
Topic& topic_with(TestStore& store, log::Retention retention) {
  TopicOptions options;
  options.segment_bytes = kMiB;
  options.retention = retention;
  auto made = store->create_topic("test", options);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message()));
  return **made;
}

/// Some MiB of events to streams that come once.
void fill(Partition& partition, int megabytes, const std::string& prefix) {
  for (int i = 0; i < megabytes * 10; ++i) {
    REQUIRE(
        commit(partition, write_to(prefix + "-" + std::to_string(i), {std::string(100'000, '7')})));
  }
}

/// Waits until retention has removed something: it works beside the callers.
bool starts_later(const Partition& partition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (partition.start() == Offset(0) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return partition.start() > Offset(0);
}

}  // namespace

TEST_CASE("retention: a command from before the start is refused, not decided a second time") {
  TestStore store;
  Partition* partition = &topic_with(store, {.bytes = kMiB}).partition(PartitionId(0));
  const auto first = stamp("account-1", "open");
  REQUIRE(commit(*partition, write_to("account-1", {"{}"}), first));
  fill(*partition, 5, "filler");
  REQUIRE(starts_later(*partition));
  for (int round = 0; round < 2; ++round) {
    const auto again = commit(*partition, write_to("account-1", {"{}"}), first);
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == Errc::below_start);
    CHECK(partition->find_outcome(first).error().code == Errc::below_start);
    // The stream goes on where it was, and its beginning is not taken for a new one.
    CHECK(partition->stream_version("account-1") == Version(1 + round));
    CHECK(commit(*partition, write_to("account-1", {"{}"}, ExpectedVersion::none())).error().code ==
          Errc::version_conflict);
    const auto next = commit(*partition, write_to("account-1", {"{}"}), stamp("account-1", "next"));
    if (round == 0) {
      REQUIRE(next.has_value());
      CHECK(next->written.front().first == Version(2));
    } else {
      CHECK(next->replayed);
    }
    store.reopen();
    partition = &(*store).find_topic("test")->partition(PartitionId(0));
  }
}

namespace {

void remember(Partition& partition, const std::string& group, Offset next) {
  std::promise<Result<CommitOutcome>> promise;
  partition.commit_group_offset(
      group, next, [&](Result<CommitOutcome> outcome) { promise.set_value(std::move(outcome)); });
  REQUIRE(promise.get_future().get());
}

}  // namespace

TEST_CASE("retention: a consumer group's offset from before the start is not made up") {
  TestStore store;
  Partition& partition = topic_with(store, {.bytes = kMiB}).partition(PartitionId(0));
  REQUIRE(commit(partition, write_to("a-1", {"{}"})));
  remember(partition, "mails", Offset(1));
  fill(partition, 5, "filler");
  REQUIRE(starts_later(partition));
  CHECK(partition.group_offset("mails").error().code == Errc::below_start);
  CHECK_FALSE(partition.group_offset("other").value().has_value());
}

TEST_CASE("retention: waits for every reader, and keeps what it has remembered of itself") {
  TestStore store;
  Partition& partition = topic_with(store, {.bytes = kMiB}).partition(PartitionId(0));
  partition.keep_for("slow", Offset(0));
  partition.keep_for("quick", Offset(UINT64_MAX));
  fill(partition, 6, "filler");
  const auto retained = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return partition.start();
  };
  CHECK(retained() == Offset(0));
  // All is read that there is. Where that is remembered has no events after it in its segment.
  const Offset end = partition.end();
  remember(partition, "slow", end);
  partition.keep_for("slow", end);
  REQUIRE(starts_later(partition));
  fill(partition, 3, "more");
  CHECK(retained() <= end);
  CHECK(partition.group_offset("slow").value() == end);
}

TEST_CASE("retention: removes nothing before it is started, if it is to wait") {
  TestStore store;
  Partition& filled = topic_with(store, {}).partition(PartitionId(0));
  fill(filled, 5, "filler");
  filled.keep_for("reader", Offset(0));
  topic_with(store, {.bytes = kMiB});
  store.retention_waits = true;
  store.reopen();
  Partition& partition = store->find_topic("test")->partition(PartitionId(0));
  fill(partition, 1, "more");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(partition.start() == Offset(0));
  store->start_retention();
  CHECK(starts_later(partition));
}

TEST_CASE("retention: by age, also when nothing more is written") {
  TestStore store;
  Partition& partition =
      topic_with(store, {.age = std::chrono::seconds(1)}).partition(PartitionId(0));
  fill(partition, 3, "filler");
  CHECK(starts_later(partition));
}

TEST_CASE("retention: can be changed, and is remembered") {
  TestStore store;
  Partition* partition = &topic_with(store, {}).partition(PartitionId(0));
  fill(*partition, 4, "filler");
  CHECK(partition->start() == Offset(0));
  topic_with(store, {.bytes = kMiB});
  CHECK(starts_later(*partition));
  const Offset start = partition->start();
  store.reopen();
  Topic& topic = *store->find_topic("test");
  CHECK(topic.options().retention.bytes == kMiB);
  CHECK(topic.partition(PartitionId(0)).start() >= start);
  // Nothing else can.
  TopicOptions other = topic.options();
  other.durability = Durability::os;
  CHECK(store->create_topic("test", other).error().code == Errc::already_exists);
  other = topic.options();
  other.retention.age = std::chrono::seconds(-1);
  CHECK(store->create_topic("test", other).error().code == Errc::bad_request);
}

/// ThreadSanitizer sees what this cannot.
TEST_CASE("retention: a topic can be asked what it is while that changes") {
  TestStore store;
  Topic& topic = topic_with(store, {});
  const Uuid id = topic.id();
  bool as_made = true;
  std::jthread reader([&](const std::stop_token& enough) {
    while (!enough.stop_requested()) {
      as_made = as_made && topic.id() == id && topic.options().retention.bytes % kMiB == 0;
    }
  });
  for (std::uint64_t megabytes = 1; megabytes <= 20; ++megabytes) {
    topic_with(store, {.bytes = megabytes * kMiB});
  }
  reader.request_stop();
  reader.join();
  CHECK(as_made);
  CHECK(topic.options().retention.bytes == 20 * kMiB);
}
