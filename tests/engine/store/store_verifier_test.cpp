// What `verify` says of a store: of topics and their records, of what is no topic.
#include "engine/store/store_verifier.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/cluster/kept_records.h"
#include "engine/cluster/promise_store.h"
#include "engine/io/checked_text.h"
#include "tests/engine/store/simulated_store.h"
#include "tests/engine/store/stored_commits.h"

using namespace keelson;
using namespace keelson::test;
using Kind = log::LogFinding::Kind;
using log::LogVerdict;

namespace {

const std::string kRecord = "data/topics/t/topic.meta";

/// A closed store with some events.
struct VerifiedStore : SimulatedStore {
  VerifiedStore() : SimulatedStore(1) {
    REQUIRE(open());
    for (int i = 0; i < 10; ++i) REQUIRE(commit(partition(), write_to("a-1", {"1"})));
    id = identity();
    close();
  }

  [[nodiscard]] StoreReport verify(VerifyOptions options = {}) {
    options.folder = "data";
    return verify_store(environment.disk, options).value();
  }
  /// The one finding there is, wherever it stands.
  log::LogFinding finding(const VerifyOptions& options = {}) {
    const StoreReport report = verify(options);
    std::vector<log::LogFinding> all = report.findings;
    for (const auto& one : report.partitions) {
      all.insert(all.end(), one.log.findings.begin(), one.log.findings.end());
    }
    REQUIRE(all.size() == 1);
    CHECK(report.verdict() == log::verdict_of(all));
    return all.front();
  }
  void put(const std::string& path, const std::string& bytes) {
    auto image = environment.disk.image();
    image[path] = bytes;
    environment.disk.restore(image);
  }
  /// The record's lines as they are, but for one thing, with their checksum right again.
  void change_record(const std::string& from, const std::string& to) {
    std::string text = environment.disk.image().at(kRecord);
    text.resize(text.rfind("checksum "));
    text.replace(text.find(from), from.size(), to);
    put(kRecord, io::with_checksum(text));
  }

  Uuid id;
};

}  // namespace

TEST_CASE(
    "verify: a topic's record that a newer version wrote is unsupported, a damaged one lost") {
  VerifiedStore store;
  const std::string good = store.environment.disk.image().at(kRecord);
  SUBCASE("another version") {
    store.change_record("keelson topic 1", "keelson topic 2");
    CHECK(store.finding().kind == Kind::unsupported);
  }
  SUBCASE("a line that is not known here") {
    store.change_record("partitions 1\n", "partitions 1\ncompaction on\n");
    CHECK(store.finding().kind == Kind::unsupported);
  }
  SUBCASE("a byte that has rotted, though it reads as another version") {
    std::string text = good;
    text.replace(text.find("topic 1"), 7, "topic 3");
    store.put(kRecord, text);
    CHECK(store.finding().kind == Kind::lost);
  }
  CHECK(store.finding().file == kRecord);
  CHECK(store.verify().verdict() == LogVerdict::damaged);
}

TEST_CASE("verify: a record that cannot be read is a finding, and other topics are verified") {
  VerifiedStore store;
  REQUIRE(store.open());
  REQUIRE(store.store().create_topic("u", {}).has_value());
  store.close();
  store.environment.disk.set_fault([](DiskCall call, const std::string& path) {
    return call == DiskCall::open && path == kRecord ? std::optional(Errc::io_error) : std::nullopt;
  });
  CHECK(store.finding().kind == Kind::unreadable);
  CHECK(store.finding().file == kRecord);
  const StoreReport report = store.verify();
  REQUIRE(report.partitions.size() == 1);
  CHECK(report.partitions.front().topic == "u");
}

TEST_CASE("verify: a partition that is gone is named by its first segment") {
  VerifiedStore store;
  REQUIRE(store.environment.disk.remove_all(SimulatedStore::kPartitionFolder));
  CHECK(store.finding().kind == Kind::lost);
  CHECK(store.finding().file == SimulatedStore::kFirstSegment);
}

TEST_CASE("verify: what is no topic and no partition is named") {
  VerifiedStore store;
  std::string path;
  SUBCASE("a file among topics") { path = "data/topics/Notes"; }
  SUBCASE("one that is called as a topic could be") { path = "data/topics/notes.txt"; }
  SUBCASE("a file in a topic") { path = "data/topics/t/notes"; }
  SUBCASE("a partition that the topic has not") { path = "data/topics/t/7"; }
  store.put(path, "x");
  CHECK(store.finding().kind == Kind::unknown);
  CHECK(store.finding().file == path);
}

TEST_CASE("verify: a promise that is damaged is lost, and of a newer version unsupported") {
  VerifiedStore store;
  const std::string folder = SimulatedStore::kPartitionFolder;
  cluster::PromiseStore promises(store.environment.disk, folder, store.id);
  REQUIRE(promises.load());
  REQUIRE(promises.store(Epoch(3)));
  VerifyOptions options;
  options.check_partition = cluster::check_kept_of_partition;
  options.check_topic = cluster::check_kept_of_topic;
  CHECK(store.verify(options).verdict() == LogVerdict::intact);
  CHECK(store.verify(options).findings.empty());
  std::string text = store.environment.disk.image().at(folder + "/promise");
  SUBCASE("damaged") {
    text[text.find("epoch 3") + 6] = '4';
    store.put(folder + "/promise", text);
    CHECK(store.finding(options).kind == Kind::lost);
  }
  SUBCASE("newer") {
    text.resize(text.rfind("checksum "));
    text.replace(text.find("promise 2"), 9, "promise 3");
    store.put(folder + "/promise", io::with_checksum(text));
    CHECK(store.finding(options).kind == Kind::unsupported);
  }
  CHECK(store.finding(options).file == folder + "/promise");
}
