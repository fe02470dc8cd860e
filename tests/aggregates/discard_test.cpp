// Commits that are taken back after they were decided on top of each other.
#include <doctest/doctest.h>

#include <atomic>
#include <future>

#include "tests/aggregates/test_host.h"
#include "tests/aggregates/wallet.h"
#include "tests/support/simulated_file_system.h"

namespace keelson::test {

namespace {

std::shared_ptr<const AggregateRegistry> wallets() {
  auto registry = std::make_shared<AggregateRegistry>();
  registry->add<Wallet>();
  return registry;
}

/// Lets one write of the log fail, but only when told to, so that more is staged behind it.
class FullDisk {
 public:
  explicit FullDisk(SimulatedFileSystem& files) : files_(files) {
    files_.set_fault([this](DiskCall call, const std::string&) -> std::optional<Errc> {
      if (call != DiskCall::write || failed_.exchange(true)) return {};
      released_.wait();
      return Errc::disk_full;
    });
  }
  ~FullDisk() { files_.set_fault(nullptr); }
  void release() { release_.set_value(); }

 private:
  SimulatedFileSystem& files_;
  std::atomic<bool> failed_ = false;
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
};

}  // namespace

TEST_CASE("host: staged events that were taken back are in no state decided on afterwards") {
  SimulatedFileSystem files(1);
  TestHost host(wallets(), nullptr, {.files = &files});
  REQUIRE(host.execute(wallet("1", "open")).has_value());

  FullDisk full(files);
  auto first = host.start(keyed(wallet("1", "put", R"({"amount":5})"), "five"));
  auto second = host.start(wallet("1", "put", R"({"amount":6})"));  // decided on balance 5
  auto third =
      host.start(wallet("1", "take", R"({"amount":12})"));  // refused, and that is lost too
  full.release();
  CHECK(first.get().error().code == Errc::disk_full);
  CHECK(second.get().error().code == Errc::disk_full);
  CHECK(third.get().error().code == Errc::disk_full);

  // Other events now take the versions of those that were taken back.
  Commit foreign;
  foreign.writes.push_back(
      {"wallet-1",
       ExpectedVersion::exact(Version(1)),
       {{"added", R"({"amount":100})", ""}, {"added", R"({"amount":1})", ""}}});
  REQUIRE(commit(host.topic().partition(PartitionId(0)), foreign).has_value());
  const auto emptied = host.execute(wallet("1", "empty"));
  REQUIRE(emptied.has_value());
  CHECK(emptied->events.front().data == R"({"amount":101})");
  CHECK(host.state("wallet", "1") == R"({"open":false,"balance":0})");

  // The command that failed left no outcome behind: its key is still to be decided.
  const auto retried = host.execute(keyed(wallet("1", "put", R"({"amount":5})"), "five"));
  REQUIRE(retried.has_value());
  CHECK_FALSE(retried->outcome.replayed);
  CHECK(retried->reason == "not_open");
}

TEST_CASE("host: a refusal without a key waits until the events it rests on are durable") {
  SimulatedFileSystem files(1);
  TestHost host(wallets(), nullptr, {.files = &files});
  REQUIRE(host.execute(wallet("1", "open")).has_value());
  REQUIRE(host.execute(wallet("1", "put", R"({"amount":5})")).has_value());

  FullDisk full(files);
  auto taking = host.start(wallet("1", "take", R"({"amount":5})"));
  auto refused = host.start(wallet("1", "take", R"({"amount":5})"));  // nothing is left, it seems
  full.release();
  CHECK_FALSE(taking.get().has_value());
  CHECK_FALSE(refused.get().has_value());  // not "insufficient_funds": the 5 are still there
  CHECK(host.state("wallet", "1") == R"({"open":true,"balance":5})");
}

}  // namespace keelson::test
