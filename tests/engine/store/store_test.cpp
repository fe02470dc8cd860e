#include "engine/store/store.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>

#include "tests/support/simulated_file_system.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

TEST_CASE("store: a node that is alone has no replicas") {
  TestStore store;
  TopicOptions options;
  options.replication_factor = 3;
  CHECK(store->create_topic("replicated", options).error().code == Errc::bad_request);
  options.replication_factor = 1;
  CHECK(store->create_topic("replicated", options));
}

TEST_CASE("store: topics are there after a restart, with their options and events") {
  TestStore store;
  Topic& topic = store.topic("bank", 4);
  const Uuid id = topic.id();
  for (int i = 0; i < 100; ++i) {
    const std::string stream = "a-" + std::to_string(i);
    REQUIRE(commit(topic.home_of(stream), write_to(stream, {"1"})));
  }
  store.reopen();
  Topic* found = store->find_topic("bank");
  REQUIRE(found != nullptr);
  CHECK(found->id() == id);
  CHECK(found->options().partitions == 4);
  std::size_t events = 0;
  for (std::uint32_t p = 0; p < 4; ++p) {
    const auto all = read_all(found->partition(PartitionId(p)));
    CHECK(all.size() > 10);  // spread over the partitions
    for (const auto& event : all) CHECK(found->partition_of(event.stream) == PartitionId(p));
    events += all.size();
  }
  CHECK(events == 100);
  CHECK(store->topics().size() == 1);
  CHECK(store->find_topic("other") == nullptr);
}

TEST_CASE("store: making a topic twice gives the same one, unless the options differ") {
  TestStore store;
  TopicOptions options;
  options.segment_bytes = 1u << 20;
  const auto first = store->create_topic("t", options);
  REQUIRE(first);
  CHECK(store->create_topic("t", options) == first);
  options.partitions = 2;
  CHECK(store->create_topic("t", options).error().code == Errc::already_exists);
  options.partitions = 0;
  CHECK(store->create_topic("u", options).error().code == Errc::bad_request);
  CHECK(store->create_topic("../t", {}).error().code == Errc::bad_request);
}

TEST_CASE("store: the folder of a node of a cluster is refused") {
  RealEnvironment environment;
  TemporaryFolder folder;
  StoreOptions options;
  options.folder = folder.path();
  REQUIRE(io::replace_file(environment.get().files, folder.path() + "/keelson.node", "of a node"));
  CHECK(Store::open(environment.get(), options).error().code == Errc::bad_request);
}

TEST_CASE("store: a folder in use is refused") {
  TestStore store;
  StoreOptions options;
  options.folder = store.folder() + "/data";
  const auto second = Store::open(store.environment(), options);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::locked);
}

TEST_CASE("store: a stream is refused in a partition it does not lie in") {
  TestStore store;
  Topic& topic = store.topic("bank", 2);
  const PartitionId other(1 - topic.partition_of("a-1").value);
  CHECK(commit(topic.partition(other), write_to("a-1", {"1"})).error().code == Errc::bad_request);
}

TEST_CASE("store: after close nothing is written, and what was in flight is answered") {
  TestStore store;
  Partition& partition = store.topic().partition(PartitionId(0));
  std::atomic<int> answered{0};
  for (int i = 0; i < 100; ++i) {
    partition.execute(
        std::nullopt, [](const Staging&) { return Result<Commit>(write_to("a-1", {"1"})); },
        [&](Result<CommitOutcome> outcome) {
          if (outcome) ++answered;
        });
  }
  store->close();
  CHECK(answered == 100);
  CHECK(commit(partition, write_to("a-1", {"1"})).error().code == Errc::closed);
}

TEST_CASE("store: limits that the log's format cannot hold are refused, those it can are kept to") {
  const auto open = [](auto change) {
    SimulatedFileSystem disk(1);
    RealEnvironment environment(&disk);
    StoreOptions options;
    options.folder = "data";
    change(options);
    auto opened = Store::open(environment.get(), options);
    if (!opened) return opened.error();
    // The widest names there can be: no more than an answer comes of them.
    auto topic = (*opened)->create_topic("t", {});
    REQUIRE(topic);
    const std::string stream(options.limits.name_bytes_max, 's');
    CommandStamp named = stamp(stream, std::string(options.limits.name_bytes_max, 'i'));
    named.principal = std::string(options.limits.name_bytes_max, 'p');
    Commit wide = write_to(stream, {"1"});
    wide.writes[0].events[0].type = std::string(options.limits.name_bytes_max, 't');
    const auto outcome = commit((*topic)->partition(PartitionId(0)), wide, named);
    REQUIRE(outcome);
    return Error{};
  };
  CHECK(open([](StoreOptions&) {}) == Error{});
  CHECK(open([](StoreOptions& o) { o.limits.name_bytes_max = 65'535; }) == Error{});
  const auto refused = [&](auto change, const std::string& name) {
    const Error error = open(change);
    CHECK(error.code == Errc::bad_request);
    CHECK(error.context.find(name) == 0);
  };
  refused([](StoreOptions& o) { o.limits.name_bytes_max = 65'536; }, "name_bytes_max");
  refused([](StoreOptions& o) { o.limits.name_bytes_max = 0; }, "name_bytes_max");
  refused([](StoreOptions& o) { o.limits.commit_bytes_max = 1u << 30; }, "commit_bytes_max");
  refused([](StoreOptions& o) { o.limits.event_bytes_max = UINT32_MAX; }, "event_bytes_max");
  refused([](StoreOptions& o) { o.limits.commit_events_max = 0; }, "commit_events_max");
  refused([](StoreOptions& o) { o.batch_bytes_max = UINT32_MAX; }, "batch_bytes_max");
  refused([](StoreOptions& o) { o.pending_bytes_max = 0; }, "pending_bytes_max");
}

TEST_CASE("store: while a topic is made the others are found, and a second maker gets the same") {
  SimulatedFileSystem disk(1);
  TestStore store(&disk);
  Topic* const there = &store.topic("t");
  std::promise<void> making;
  std::promise<void> go_on;
  std::atomic<bool> held{false};
  disk.set_fault([&](DiskCall call, const std::string& path) -> std::optional<Errc> {
    if (call == DiskCall::allocate && path.find("/slow/") != std::string::npos &&
        !held.exchange(true)) {
      making.set_value();
      go_on.get_future().wait();
    }
    return std::nullopt;
  });
  TopicOptions options;
  options.segment_bytes = 1u << 20;
  const auto make = [&] { return store->create_topic("slow", options); };
  auto first = std::async(std::launch::async, make);
  making.get_future().wait();
  auto second = std::async(std::launch::async, make);
  auto found = std::async(std::launch::async, [&] {
    return store->find_topic("t") == there && store->find_topic("slow") == nullptr &&
           store->topics().size() == 1;
  });
  CHECK(found.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  go_on.set_value();
  CHECK(found.get());
  const auto made = first.get();
  REQUIRE(made);
  CHECK(second.get() == made);
  CHECK(store->find_topic("slow") == *made);
}

TEST_CASE("store: closing waits for a topic that is being made") {
  SimulatedFileSystem disk(1);
  TestStore store(&disk);
  std::promise<void> making;
  std::atomic<bool> held{false};
  disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call == DiskCall::allocate && !held.exchange(true)) making.set_value();
    return std::nullopt;
  });
  TopicOptions options;
  options.partitions = 8;
  options.segment_bytes = 1u << 20;
  auto made = std::async(std::launch::async, [&] { return store->create_topic("t", options); });
  making.get_future().wait();
  store->close();
  REQUIRE(made.get());
  CHECK(commit((*store->find_topic("t")).partition(PartitionId(0)), write_to("a-1", {"1"}))
            .error()
            .code == Errc::closed);
  store.reopen();
  CHECK(store->damage().empty());
  CHECK(store->find_topic("t") != nullptr);
}
