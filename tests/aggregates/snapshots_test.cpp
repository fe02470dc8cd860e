// Snapshots as the host uses them: they may save work, and may never change an answer.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "aggregates/snapshot_store.h"
#include "tests/aggregates/test_host.h"
#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

std::shared_ptr<const AggregateRegistry> wallets(std::string code_version = "1") {
  auto registry = std::make_shared<AggregateRegistry>();
  registry->add<Wallet>({.code_version = std::move(code_version)});
  return registry;
}

/// A host that takes a snapshot every 10 events, and a second look at its snapshots.
class SnapshottingHost {
 public:
  SnapshottingHost()
      : host(wallets(), nullptr,
             {.host = {.snapshot_every = 10, .snapshot_folder = folder_.path()}}),
        snapshots(files_, folder_.path() + "/test/0") {}

  /// Brings wallet 1 to `version`, with a balance of one less.
  void grow_to(std::uint64_t version) {
    if (version_ == 0) run("open", "{}");
    while (version_ < version) run("put", R"({"amount":1})");
  }

  /// Waits for the snapshot at `version`: it is taken behind the commands.
  Snapshot wait_for(std::uint64_t version) {
    for (int i = 0; i < 5000; ++i) {
      const auto found = snapshots.find("wallet-1");
      if (found && found->version == Version(version)) return *found;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    FAIL("no snapshot at version " << version);
    return {};
  }

  /// Puts a wrong state where a snapshot is, with nothing else changed: who uses it, shows it.
  void plant(Snapshot snapshot) {
    snapshot.state = R"({"open":true,"balance":1000000})";
    REQUIRE(snapshots.save(snapshot).has_value());
  }

 private:
  TemporaryFolder folder_;
  io::PosixFileSystem files_;
  std::uint64_t version_ = 0;

  void run(std::string command, std::string body) {
    const auto reply = host.execute(wallet("1", std::move(command), std::move(body)));
    if (!reply) FAIL(reply.error().message());
    REQUIRE_FALSE(reply->outcome.rejected);
    version_ = reply->version.value;
  }

 public:
  TestHost host;
  SnapshotStore snapshots;
};

constexpr auto kWrong = R"({"open":true,"balance":1000000})";

}  // namespace

TEST_CASE("snapshots: one is taken as a stream passes a multiple, of its committed state") {
  SnapshottingHost world;
  world.grow_to(9);
  CHECK_FALSE(world.snapshots.find("wallet-1").has_value());
  world.grow_to(10);
  const Snapshot snapshot = world.wait_for(10);
  CHECK(snapshot.state == R"({"open":true,"balance":9})");
  const auto events = read_stream(world.host.topic().partition(PartitionId(0)), "wallet-1");
  const Event& last = events.at(9);
  CHECK(snapshot.offset == last.offset);
  CHECK(snapshot.event == identity_of(last.view()));
}

TEST_CASE("snapshots: loading and deciding start from one that fits") {
  SnapshottingHost world;
  world.grow_to(10);
  world.plant(world.wait_for(10));
  CHECK(world.host.state("wallet", "1") == kWrong);
  CHECK(world.host.state("wallet", "1", {.version = Version(10)}) == kWrong);
  CHECK(world.host.state("wallet", "1", {.offset = Offset(9)}) == kWrong);
  world.host.reopen();  // empties the cache
  const auto taken = world.host.execute(wallet("1", "take", R"({"amount":999999})"));
  CHECK_FALSE(taken.value().outcome.rejected);
}

TEST_CASE("snapshots: a state from before the snapshot is folded without it") {
  SnapshottingHost world;
  world.grow_to(10);
  world.plant(world.wait_for(10));
  CHECK(world.host.state("wallet", "1", {.version = Version(9)}) == R"({"open":true,"balance":8})");
  CHECK(world.host.state("wallet", "1", {.offset = Offset(8)}) == R"({"open":true,"balance":8})");
}

TEST_CASE("snapshots: one of other code, of another history or unreadable is ignored") {
  SnapshottingHost world;
  world.grow_to(10);
  const Snapshot good = world.wait_for(10);
  constexpr auto kRight = R"({"open":true,"balance":9})";

  Snapshot other_history = good;
  other_history.event.fill(std::byte{1});
  world.plant(other_history);
  CHECK(world.host.state("wallet", "1") == kRight);

  Snapshot beyond = good;
  beyond.version = Version(11);
  beyond.offset = Offset(10);
  world.plant(beyond);
  CHECK(world.host.state("wallet", "1") == kRight);

  Snapshot unreadable = good;
  unreadable.state = R"({"balance":1000000})";
  REQUIRE(world.snapshots.save(unreadable).has_value());
  CHECK(world.host.state("wallet", "1") == kRight);

  world.plant(good);
  CHECK(world.host.state("wallet", "1") == kWrong);
  world.host.reopen(wallets("2"));
  CHECK(world.host.state("wallet", "1") == kRight);
  CHECK(world.host.execute(wallet("1", "take", R"({"amount":10})")).value().outcome.rejected);
}

}  // namespace keelson::test
