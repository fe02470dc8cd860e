// Making a topic: whatever a crash leaves is made anew, and nothing else is.
#include "engine/store/topic_folder.h"

#include <doctest/doctest.h>

#include <atomic>

#include "tests/support/simulated_file_system.h"
#include "tests/support/test_store.h"

using namespace keelson;
using namespace keelson::test;

TEST_CASE("topic folder: a power failure at any call while a topic is made leaves no damage") {
  bool made_whole = false;
  for (std::uint64_t at = 0; !made_whole; ++at) {
    INFO("failing from call " << at);
    SimulatedFileSystem disk(at);
    TestStore store(&disk);
    std::atomic<std::uint64_t> calls{0};
    disk.set_fault([&](DiskCall, const std::string&) -> std::optional<Errc> {
      return calls++ < at ? std::nullopt : std::optional(Errc::io_error);
    });
    TopicOptions options;
    options.partitions = 2;
    options.segment_bytes = 1u << 20;
    made_whole = store->create_topic("t", options).has_value();
    disk.cut_power();
    disk.set_fault(nullptr);
    store.reopen();
    CHECK(store->damage().empty());
    Topic& topic = store.topic("t", 2);
    CHECK_FALSE(disk.exists(store.folder() + "/data/topics/t/topic.making").value());
    REQUIRE(commit(topic.home_of("a-1"), write_to("a-1", {"1"})));
    store.reopen();
    CHECK(store->damage().empty());
    CHECK(read_all(store.topic("t", 2).home_of("a-1")).size() == 1);
  }
}

TEST_CASE("topic folder: making a topic again after any call has failed succeeds") {
  bool made_whole = false;
  for (std::uint64_t at = 0; !made_whole; ++at) {
    INFO("failing call " << at);
    SimulatedFileSystem disk(at);
    TestStore store(&disk);
    std::atomic<std::uint64_t> calls{0};
    disk.set_fault([&](DiskCall, const std::string&) -> std::optional<Errc> {
      return calls++ == at ? std::optional(Errc::disk_full) : std::nullopt;
    });
    TopicOptions options;
    options.segment_bytes = 1u << 20;
    made_whole = store->create_topic("t", options).has_value();
    disk.set_fault(nullptr);
    const auto topic = store->create_topic("t", options);
    REQUIRE(topic);
    REQUIRE(commit((*topic)->partition(PartitionId(0)), write_to("a-1", {"1"})));
    store.reopen();
    CHECK(store->damage().empty());
    CHECK(read_all(store.topic("t").partition(PartitionId(0))).size() == 1);
  }
}
