#include "aggregates/reaction_runner.h"

#include <doctest/doctest.h>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "tests/aggregates/reacting.h"
#include "tests/aggregates/test_host.h"
#include "tests/support/simulated_file_system.h"

namespace keelson::test {

namespace {

std::int64_t balance(TestHost& host, const std::string& id) {
  return nlohmann::json::parse(host.state("wallet", id)).at("balance").get<std::int64_t>();
}

nlohmann::json move_state(TestHost& host, const std::string& id) {
  return nlohmann::json::parse(host.state("move", id));
}

/// Makes a runner begin at the first event again, as after a crash before it remembered anything.
void forget_progress(TestHost& host) {
  for (std::uint32_t p = 0; p < host.topic().partition_count(); ++p) {
    std::promise<bool> done;
    host.topic()
        .partition(PartitionId(p))
        .commit_group_offset("$reaction/carry_move", Offset(0), [&](Result<CommitOutcome> outcome) {
          done.set_value(outcome.has_value());
        });
    REQUIRE(done.get_future().get());
  }
}

void open_wallets(TestHost& host, int count, std::int64_t amount) {
  for (int i = 0; i < count; ++i) {
    must(host.execute(wallet(std::to_string(i), "open")));
    must(host.execute(
        wallet(std::to_string(i), "put", R"({"amount":)" + std::to_string(amount) + "}")));
  }
}

}  // namespace

TEST_CASE("reactions: a saga over partitions completes, fails or returns the money") {
  TestHost host(wallets_and_moves(), reactions<CarryMove>(), {.partitions = 4});
  host->start_reactions();
  open_wallets(host, 2, 100);
  must(host.execute(request("good", "0", "1", 30)));
  must(host.execute(request("poor", "0", "1", 1000)));
  must(host.execute(request("lost", "1", "nobody", 50)));
  must(host.execute(request("self", "0", "0", 7)));
  eventually([&] { return settled(*host); });

  CHECK(move_state(host, "good").at("status") == "done");
  CHECK(move_state(host, "self").at("status") == "done");
  CHECK(move_state(host, "poor").at("status") == "failed");
  CHECK(move_state(host, "poor").at("reason") == "insufficient_funds");
  CHECK(move_state(host, "lost").at("status") == "returned");
  CHECK(move_state(host, "lost").at("reason") == "not_open");
  CHECK(balance(host, "0") == 70);
  CHECK(balance(host, "1") == 130);

  for (const Event& event : all_events(host.topic())) {
    if (event.type != "taken" || !event.stream.starts_with("wallet-")) continue;
    CHECK(event.command_id.starts_with("carry_move:"));
    CHECK(nlohmann::json::parse(event.metadata).at("reaction") == "carry_move");
  }
}

TEST_CASE("reactions: causes from before it was first started are taken up") {
  TestHost host(wallets_and_moves(), reactions<CarryMove>(), {.partitions = 2});
  open_wallets(host, 2, 100);
  must(host.execute(request("early", "0", "1", 30)));
  CHECK(move_state(host, "early").at("status") == "requested");
  host->start_reactions();
  eventually([&] { return settled(*host); });
  CHECK(move_state(host, "early").at("status") == "done");
}

TEST_CASE("reactions: taking every cause up again, at any point, has no effect") {
  TestHost host(wallets_and_moves(), reactions<CarryMove>(), {.partitions = 4});
  open_wallets(host, 3, 1000);
  for (int i = 0; i < 60; ++i) {
    must(host.execute(request("m" + std::to_string(i), std::to_string(i % 3),
                              i % 10 == 9 ? "nobody" : std::to_string((i + 1) % 3), i + 1)));
  }
  // Stopped at some point in the middle, and its place forgotten, several times.
  for (int round = 0; round < 5; ++round) {
    const auto before = all_events(host.topic()).size();
    host->start_reactions();
    eventually([&] { return all_events(host.topic()).size() > before + 20 || settled(*host); });
    host->stop_reactions();
    forget_progress(host);
    if (round == 2) host.reopen();
  }
  host->start_reactions();
  eventually([&] { return settled(*host); });
  const auto events = all_events(host.topic());
  forget_progress(host);
  host.reopen();
  host->start_reactions();
  eventually([&] { return settled(*host); });
  CHECK(all_events(host.topic()).size() == events.size());

  std::int64_t total = 0;
  for (int i = 0; i < 3; ++i) total += balance(host, std::to_string(i));
  CHECK(total == 3000);
  for (int i = 0; i < 60; ++i) {
    const auto status = move_state(host, "m" + std::to_string(i)).at("status");
    CHECK((status == "done" || status == "returned" || status == "failed"));
  }
}

TEST_CASE("reactions: their place is remembered when stopped, and nothing is read again") {
  TestHost host(wallets_and_moves(), reactions<CarryMove>());
  host->start_reactions();
  open_wallets(host, 2, 100);
  must(host.execute(request("a", "0", "1", 30)));
  eventually([&] { return settled(*host); });
  host->stop_reactions();
  const Partition& partition = host.topic().partition(PartitionId(0));
  const Offset end = partition.end();
  CHECK(partition.group_offset("$reaction/carry_move").value() == end);
  host.reopen();
  CHECK(host->reactions().front().next == end);
}

TEST_CASE("reactions: their place is remembered when there is nothing to do") {
  TestHost host(wallets_and_moves(), reactions<CarryMove>());
  host->start_reactions();
  open_wallets(host, 1, 100);
  Partition& partition = host.topic().partition(PartitionId(0));
  eventually(
      [&] { return partition.group_offset("$reaction/carry_move").value() == partition.end(); });
}

namespace {

/// The partition keeps a MiB at least, and has taken some more.
void fill_and_retain(TestHost& host, Partition& partition) {
  TopicOptions options = host.topic().options();
  options.retention.bytes = 1u << 20;
  REQUIRE(host.store()->create_topic("test", options));
  for (int i = 0; i < 60; ++i) {
    REQUIRE(commit(partition, write_to("filler-1", {std::string(100'000, '7')})));
  }
}

/// Gives retention, which works beside its callers, time to do what it would do.
void let_retention_work() { std::this_thread::sleep_for(std::chrono::milliseconds(300)); }

}  // namespace

TEST_CASE("reactions: retention waits until they have seen what it would remove") {
  TestHost host(wallets_and_moves(), reactions<CarryMove>());
  open_wallets(host, 2, 100);
  must(host.execute(request("a", "0", "1", 30)));
  fill_and_retain(host, host.topic().partition(PartitionId(0)));
  let_retention_work();
  CHECK(host.topic().partition(PartitionId(0)).start() == Offset(0));
  // The same after a start, when they have said what they need.
  host.store().retention_waits = true;
  host.reopen();
  host.store()->start_retention();
  Partition& partition = host.topic().partition(PartitionId(0));
  let_retention_work();
  CHECK(partition.start() == Offset(0));
  host->start_reactions();
  eventually([&] { return partition.start() > Offset(0); });
  // All of it has happened, and is gone by now.
  CHECK_FALSE(host->reactions().front().halted);
  CHECK(partition.stream_version("move-a").value() == Version(3));
  CHECK(partition.stream_version("wallet-1").value() == Version(3));
}

TEST_CASE("reactions: one whose place is gone halts; it does not begin where the log begins now") {
  TestHost host(wallets_and_moves());
  open_wallets(host, 2, 100);
  Partition& partition = host.topic().partition(PartitionId(0));
  forget_progress(host);
  must(host.execute(request("a", "0", "1", 30)));
  fill_and_retain(host, partition);
  eventually([&] { return partition.start() > Offset(10); });
  host.reopen(nullptr, reactions<CarryMove>());
  host->start_reactions();
  const ReactionStatus status = host->reactions().front();
  CHECK(status.halted);
  CHECK(status.error.starts_with("below_start: how far consumer group '$reaction/carry_move'"));
}

namespace {

/// Steps to an aggregate that is not registered.
struct ToNobody {
  static constexpr std::string_view kName = "to_nobody";
  using Source = Wallet;
  static Steps react(const Wallet::Closed&, const Cause&) {
    return Step("purse", "1", "open", "{}");
  }
};

struct Throwing {
  static constexpr std::string_view kName = "throwing";
  using Source = Wallet;
  static Steps react(const Wallet::Closed&, const Cause&) { throw std::runtime_error("no idea"); }
};

struct Counting {
  static constexpr std::string_view kName = "counting";
  using Source = Wallet;
  static Steps react(const Wallet::Added& event, const Cause& cause) {
    if (event.note == "counted") return {};
    return ask<Wallet>("count-" + cause.id, Wallet::Put{event.amount, "counted"});
  }
};

/// Never ends.
struct Endless {
  static constexpr std::string_view kName = "endless";
  using Source = Wallet;
  static Steps react(const Wallet::Closed&, const Cause& cause) { return again(cause); }
  static Steps again(const Cause& cause) {
    return ask<Wallet>(cause.id, Wallet::Open{})
        .on_accepted([cause] { return again(cause); })
        .on_refused([cause](const Refusal&) { return again(cause); });
  }
};

/// More at once than anything can need.
struct Wide {
  static constexpr std::string_view kName = "wide";
  using Source = Wallet;
  static Steps react(const Wallet::Closed&, const Cause&) {
    Steps steps;
    for (int i = 0; i < 1025; ++i) steps.add(ask<Wallet>(std::to_string(i), Wallet::Open{}));
    return steps;
  }
};

}  // namespace

TEST_CASE("reactions: a defect halts that reaction at its cause, visibly, and nothing else") {
  TestHost host(wallets_and_moves(), reactions<ToNobody, Throwing, Endless, Wide, Counting>());
  host->start_reactions();
  must(host.execute(wallet("count-1", "open")));
  must(host.execute(wallet("1", "open")));
  must(host.execute(wallet("1", "empty")));
  must(host.execute(wallet("2", "open")));
  must(host.execute(wallet("count-2", "open")));
  must(host.execute(wallet("2", "put", R"({"amount":5})")));
  std::map<std::string, ReactionStatus> statuses;
  eventually([&] {
    for (const auto& status : host->reactions()) statuses[status.name] = status;
    return !statuses["to_nobody"].error.empty() && !statuses["throwing"].error.empty() &&
           !statuses["endless"].error.empty() && !statuses["wide"].error.empty() &&
           statuses["counting"].lag == 0 &&
           host.state("wallet", "count-2") == R"({"open":true,"balance":5})";
  });
  CHECK(statuses["to_nobody"].error.find("halted at offset 2: open to purse-1") == 0);
  CHECK(statuses["to_nobody"].next == Offset(2));
  CHECK(statuses["throwing"].error.find("halted at offset 2: ") == 0);
  CHECK(statuses["throwing"].error.find("no idea") != std::string::npos);
  CHECK(statuses["throwing"].next == Offset(2));
  CHECK(statuses["throwing"].lag > 0);
  CHECK(statuses["endless"].error.find("more than 32 steps that follow") != std::string::npos);
  CHECK(statuses["wide"].error.find("more than 1024 steps for one event") != std::string::npos);
  CHECK(statuses["counting"].error.empty());

  // The halted cause is not passed over: after a restart it is met again.
  host->stop_reactions();
  host.reopen();
  host->start_reactions();
  eventually([&] { return !host->reactions()[1].error.empty(); });
  CHECK(host->reactions()[1].next == Offset(2));
}

TEST_CASE("reactions: trouble that passes is waited out with the same id") {
  SimulatedFileSystem files(1);
  TestHost host(wallets_and_moves(), reactions<CarryMove>(), {.files = &files});
  open_wallets(host, 2, 100);
  must(host.execute(request("a", "0", "1", 30)));
  std::atomic<int> failed = 0;
  files.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call != DiskCall::write) return {};
    ++failed;
    return Errc::disk_full;
  });
  host->start_reactions();
  eventually([&] { return failed >= 3; });
  eventually([&] { return !host->reactions().front().error.empty(); });
  const ReactionStatus delayed = host->reactions().front();
  CHECK_FALSE(delayed.halted);
  CAPTURE(delayed.error);
  // Unknown where what was written of the batch cannot be wiped out either.
  const bool said =
      delayed.error.starts_with("delayed at offset 4: take to wallet-0: disk_full") ||
      delayed.error.starts_with("delayed at offset 4: take to wallet-0: outcome_unknown");
  CHECK(said);
  files.set_fault(nullptr);
  eventually([&] { return settled(*host); });
  CHECK(host->reactions().front().error.empty());
  CHECK(move_state(host, "a").at("status") == "done");
  CHECK(balance(host, "1") == 130);
}

TEST_CASE("reactions: exhausted descriptors hold them up and do not halt them") {
  SimulatedFileSystem files(1);
  TestHost host(wallets_and_moves(), reactions<CarryMove>(), {.partitions = 2, .files = &files});
  open_wallets(host, 2, 100);
  must(host.execute(request("a", "0", "1", 30)));
  std::atomic<int> failed = 0;
  files.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call != DiskCall::open && call != DiskCall::write) return {};
    ++failed;
    return Errc::io_error;
  });
  host->start_reactions();
  const auto delayed = [&] {
    for (const ReactionStatus& status : host->reactions()) {
      if (!status.error.empty()) return status.error;
    }
    return std::string();
  };
  eventually([&] { return failed >= 5 && !delayed().empty(); });
  CHECK(delayed().find("delayed at offset ") == 0);
  for (const ReactionStatus& status : host->reactions()) CHECK_FALSE(status.halted);
  files.set_fault(nullptr);
  eventually([&] { return settled(*host); });
  CHECK(delayed().empty());
  CHECK(move_state(host, "a").at("status") == "done");
  CHECK(balance(host, "1") == 130);
}

namespace {

/// Passes each note on to a wallet that keeps them in order.
struct PassOn {
  static constexpr std::string_view kName = "pass_on";
  using Source = Wallet;
  static Steps react(const Wallet::Added& event, const Cause& cause) {
    if (cause.id == "last") return {};
    return ask<Wallet>("last", Wallet::Put{event.amount, event.note});
  }
};

}  // namespace

TEST_CASE("reactions: first steps reach one aggregate in the order of their causes") {
  TestHost host(wallets_and_moves(), reactions<PassOn>(), {.partitions = 2});
  must(host.execute(wallet("last", "open")));
  must(host.execute(wallet("first", "open")));
  for (int i = 1; i <= 600; ++i) {
    (void)host.start(wallet("first", "put", R"({"amount":)" + std::to_string(i) + "}"));
  }
  host->start_reactions();
  eventually([&] { return settled(*host) && balance(host, "last") == 600 * 601 / 2; });
  const auto events = read_stream(host.topic().home_of("wallet-last"), "wallet-last");
  REQUIRE(events.size() == 601);
  for (int i = 1; i <= 600; ++i) {
    CHECK(nlohmann::json::parse(events[static_cast<std::size_t>(i)].data).at("amount") == i);
  }
}

TEST_CASE("reactions: names that clash and sources that are not registered are refused") {
  TestHost host(wallets_and_moves());
  const auto open = [&](std::shared_ptr<const ReactionRegistry> registry) {
    auto wallets = std::make_shared<AggregateRegistry>();
    wallets->add<Wallet>();
    return AggregateHost::open(host.store().environment(), host.topic(), wallets,
                               std::move(registry), {});
  };
  CHECK(open(reactions<CarryMove>()).error().code == Errc::bad_request);
  CHECK(open(reactions<PassOn, PassOn>()).error().code == Errc::bad_request);
}

}  // namespace keelson::test
