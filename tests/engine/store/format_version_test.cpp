// Files that a later version of Keelson has written: what holds events is refused by name and left
// as it is, what is derived is made again.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "engine/base/coding.h"
#include "engine/log/group_filter_format.h"
#include "engine/log/sealed_index_format.h"
#include "tests/engine/store/simulated_store.h"
#include "tests/engine/store/stored_commits.h"
#include "tests/support/hex.h"

using namespace keelson;
using namespace keelson::test;

namespace {

const std::string kFolder = std::string(SimulatedStore::kPartitionFolder) + "/";
const std::string kSegment = SimulatedStore::kFirstSegment;
const std::string kIndex = kFolder + "00000000000000000000.idx";
const std::string kFilter = kFolder + "00000000000000000000.g1";
const std::string kRecord = "data/topics/t/topic.meta";

/// A closed store with files of each kind, of which one is changed as a later version might.
struct Versioned : SimulatedStore {
  Versioned() : SimulatedStore(1) {
    REQUIRE(open());
    while (!environment.disk.exists(kFilter).value()) {
      StoredCommit one;
      one.stamp = stamp("a-1", "c-" + std::to_string(expected.commits.size()));
      one.commit = write_to("a-1", {std::string(60'000, 'x')});
      one.outcome = commit(partition(), one.commit, one.stamp).value();
      expected.commits.push_back(std::move(one));
    }
    key = log::checksum_seed(identity());
    batches = batches_in(environment.disk.image().at(last()), identity());
    environment.clock.time += 1'000'000;
    close();
    image = environment.disk.image();
    image.erase(kFolder + "next.tmp");  // removed by any start
  }

  /// The segment that is written.
  [[nodiscard]] std::string last() const {
    std::string path;
    for (const auto& [name, bytes] : environment.disk.image()) {
      if (name.ends_with(".seg")) path = name;
    }
    return path;
  }

  void change(const std::string& path, const std::function<void(std::string&)>& to_later) {
    changed = image;
    to_later(changed.at(path));
    REQUIRE(changed != image);
    environment.disk.restore(changed);
  }

  /// The partition is stopped, by an error that names file and version; the file stays.
  void check_refused(const std::string& path, const std::string& what) {
    for (int time = 0; time < 2; ++time) {
      REQUIRE(open());
      REQUIRE(store().damage().size() == 1);
      check_error(store().damage().front().error, path, what);
      CHECK(commit(partition(), write_to("a-1", {"1"})).error() == store().damage().front().error);
      close();
      CHECK(environment.disk.image() == changed);
    }
  }
  static void check_error(const Error& error, const std::string& path, const std::string& what) {
    INFO(error.context);
    CHECK(error.code == Errc::unsupported_format);
    CHECK(error.context.find(path) != std::string::npos);
    CHECK(error.context.find(what) != std::string::npos);
  }

  /// Everything is answered, and the file is what it was.
  void check_made_again(const std::string& path) {
    REQUIRE(open());
    CHECK(store().damage().empty());
    check_answers(partition(), expected);
    close();
    CHECK((environment.disk.image().at(path) == image.at(path)));
  }

  StoredCommits expected;
  log::ChecksumSeed key{};
  std::vector<PlacedBatch> batches;  ///< of the last segment
  SimulatedFileSystem::Image image;
  SimulatedFileSystem::Image changed;
};

/// As a writer of version 2 would, with its checksum right.
void set_batch_version(std::string& segment, std::uint64_t at, log::ChecksumSeed key) {
  put<std::uint16_t>(segment.data() + at + 4, 2);
  put(segment.data() + at + 120,
           log::checksum(std::string_view(segment).substr(at, 120), key));
}

}  // namespace

TEST_CASE("format versions: a segment of a later one stops its partition and is left alone") {
  Versioned store;
  for (const std::string& path : {kSegment, store.last()}) {
    store.change(path, [](std::string& bytes) {
      put<std::uint16_t>(bytes.data() + 8, 2);
      const std::size_t at = log::kSegmentHeaderBytes - 8;
      put(bytes.data() + at, log::checksum(std::string_view(bytes).substr(0, at), 0));
    });
    store.check_refused(path, "version 2");
  }
}

TEST_CASE("format versions: a batch of a later one in the last segment stops the partition") {
  Versioned store;
  const std::uint64_t at = store.batches.back().position;
  store.change(store.last(), [&](std::string& bytes) { set_batch_version(bytes, at, store.key); });
  store.check_refused(store.last(), "version 2, in the batch at byte " + std::to_string(at));
}

TEST_CASE("format versions: a batch of a later one in a sealed segment is refused to its readers") {
  Versioned store;
  // The first batch starts an epoch.
  const std::uint64_t at = log::kSegmentHeaderBytes + log::kBatchHeaderBytes;
  store.change(kSegment, [&](std::string& bytes) { set_batch_version(bytes, at, store.key); });
  REQUIRE(store.open());
  auto cursor = store.partition().read(Offset(0));
  const Error error = cursor ? (*cursor)->next().error() : cursor.error();
  Versioned::check_error(error, kSegment, "version 2");
  CHECK(error.context.find(std::to_string(at)) != std::string::npos);
  CHECK(store.store().damage().size() == 1);
  CHECK((store.environment.disk.image().at(kSegment) == store.changed.at(kSegment)));
}

TEST_CASE("format versions: an index of a later one is made again") {
  Versioned store;
  store.change(kIndex, [&](std::string& bytes) {
    put<std::uint32_t>(bytes.data() + log::index_header::kVersion, 2);
    const std::size_t at = log::index_header::kHeaderChecksum;
    put(bytes.data() + at, log::checksum(std::string_view(bytes).substr(0, at), store.key));
  });
  store.check_made_again(kIndex);
}

TEST_CASE("format versions: a group filter of a later one is made again") {
  Versioned store;
  store.change(kFilter, [&](std::string& bytes) {
    put<std::uint32_t>(bytes.data() + log::group_header::kVersion, 2);
    const std::size_t at = log::group_header::kHeaderChecksum;
    put(bytes.data() + at, log::checksum(std::string_view(bytes).substr(0, at), store.key));
  });
  store.check_made_again(kFilter);
}

TEST_CASE("format versions: a topic record of a later one stops its topic and is left alone") {
  Versioned store;
  store.change(kRecord,
               [](std::string& text) { text.replace(text.find("topic 1"), 7, "topic 2"); });
  for (int time = 0; time < 2; ++time) {
    const auto opened = store.open();
    REQUIRE_FALSE(opened);
    Versioned::check_error(opened.error(), kRecord, "keelson topic 2");
    CHECK(store.store().find_topic("t") == nullptr);
    store.close();
    CHECK(store.environment.disk.image() == store.changed);
  }
}

TEST_CASE("format versions: a group's offset in version 1 is this commit") {
  SimulatedStore store(1);
  REQUIRE(store.open());
  REQUIRE(commit(store.partition(), write_to("a-1", {"1"})));
  store.partition().commit_group_offset("readers", Offset(1),
                                        [](const auto& outcome) { REQUIRE(outcome); });
  const std::string bytes = store.environment.disk.image().at(SimulatedStore::kFirstSegment);
  const PlacedBatch batch = batches_in(bytes, store.identity()).back();
  const auto body = std::string_view(bytes).substr(batch.position + log::kBatchHeaderBytes,
                                                   batch.header.length - log::kBatchHeaderBytes);
  CHECK(to_hex(body) ==
        "47000000"  // length of the commit
        "80000000"  // distance to the batch's header
        "03"        // a group's offset
        "00"        // zero
        "0600"
        "0700"
        "0600"                              // lengths of principal, target, id
        "08000000"                          // and detail
        "00000000"                          // events
        "00000000"                          // first event
        "00000000000000000000000000000000"  // fingerprint
        "2467726f7570"                      // $group
        "72656164657273"                    // readers
        "6f6666736574"                      // offset
        "0100000000000000");                // all below 1 is done
}
