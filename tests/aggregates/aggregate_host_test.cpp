#include "aggregates/aggregate_host.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/aggregates/test_host.h"
#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

std::shared_ptr<const AggregateRegistry> wallets() {
  auto registry = std::make_shared<AggregateRegistry>();
  registry->add<Wallet>();
  return registry;
}

std::string put(std::int64_t amount) { return R"({"amount":)" + std::to_string(amount) + "}"; }

Errc code_of(const auto& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().code;
}

/// The reply of a command that must have an outcome.
CommandReply good(Result<CommandReply> reply) {
  if (!reply) FAIL(reply.error().message());
  return *std::move(reply);
}

}  // namespace

TEST_CASE("host: a command's events are committed, answered and folded into the state") {
  TestHost host(wallets());
  const auto opened = good(host.execute(wallet("1", "open")));
  CHECK_FALSE(opened.outcome.rejected);
  CHECK(opened.version == Version(1));

  CommandCall call = wallet("1", "put", R"({"amount":5,"note":"a"})");
  call.metadata = R"({"trace":"x"})";
  call.key = "k";
  const auto added = good(host.execute(call));
  REQUIRE(added.events.size() == 1);
  const Event& event = added.events.front();
  CHECK(event.stream == "wallet-1");
  CHECK(event.version == Version(2));
  CHECK(event.offset == added.outcome.first);
  CHECK(event.type == "added");
  CHECK(event.data == R"({"amount":5,"note":"a"})");
  CHECK(event.metadata == R"({"trace":"x"})");
  CHECK(event.command_id == "k");

  const auto emptied = good(host.execute(wallet("1", "empty", "")));
  CHECK(emptied.version == Version(4));
  REQUIRE(emptied.events.size() == 2);
  CHECK(emptied.events[1].type == "closed");

  // What was answered is what is in the log.
  const auto stored = read_stream(host.topic().partition(PartitionId(0)), "wallet-1");
  REQUIRE(stored.size() == 4);
  CHECK(stored[1].data == event.data);
  CHECK(stored[1].metadata == event.metadata);
  CHECK(stored[1].time == event.time);
  CHECK(stored[3].offset == emptied.events[1].offset);
  CHECK(host.state("wallet", "1") == R"({"open":false,"balance":0})");
}

TEST_CASE("host: a refusal is an outcome with reason, detail and version, and writes no event") {
  TestHost host(wallets());
  good(host.execute(wallet("1", "open")));
  const auto refused = good(host.execute(wallet("1", "take", put(3))));
  CHECK(refused.outcome.rejected);
  CHECK(refused.reason == "insufficient_funds");
  CHECK(refused.detail == "the balance is 0");
  CHECK(refused.version == Version(1));
  CHECK(refused.events.empty());
  CHECK(host.topic().partition(PartitionId(0)).end() == Offset(1));
}

TEST_CASE("host: what breaks the schema is refused before anything is decided") {
  TestHost host(wallets());
  CHECK(code_of(host.execute(wallet("1", "fly"))) == Errc::not_found);
  CommandCall other = wallet("1", "open");
  other.type = "purse";
  CHECK(code_of(host.execute(other)) == Errc::not_found);
  CHECK(code_of(host.execute(wallet("", "open"))) == Errc::bad_request);
  CHECK(code_of(host.execute(wallet("a\x01", "open"))) == Errc::bad_request);
  CHECK(code_of(host.execute(wallet("1", "open", R"({"x":1})"))) == Errc::bad_request);
  CHECK(code_of(host.execute(wallet("1", "open", "[]"))) == Errc::bad_request);
  CHECK(code_of(host.execute(wallet("1", "put", put(0)))) == Errc::bad_request);
  CHECK(code_of(host.execute(keyed(wallet("1", "open"), "\xc3\xa4"))) == Errc::bad_request);
  CommandCall metadata = wallet("1", "open");
  metadata.metadata = "[1]";
  CHECK(code_of(host.execute(metadata)) == Errc::bad_request);
  CommandCall impostor = wallet("1", "open");
  impostor.principal = "$reaction/audit";
  CHECK(code_of(host.execute(impostor)) == Errc::bad_request);
  CHECK(host.topic().partition(PartitionId(0)).end() == Offset(0));
}

TEST_CASE(
    "host: a repeated key gives the first outcome, accepted or refused, also after a restart") {
  TestHost host(wallets());
  const auto refused = good(host.execute(keyed(wallet("1", "put", put(5)), "early")));
  CHECK(refused.reason == "not_open");
  good(host.execute(keyed(wallet("1", "open"), "open")));
  const auto first = good(host.execute(keyed(wallet("1", "put", R"({"amount":5})"), "five")));
  good(host.execute(wallet("1", "put", put(1))));

  for (int run = 0; run < 2; ++run) {
    // The same JSON in another spelling is the same command.
    const auto again =
        good(host.execute(keyed(wallet("1", "put", "{ \"amount\" : 5 }\n"), "five")));
    CHECK(again.outcome.replayed);
    CHECK(again.outcome.first == first.outcome.first);
    CHECK(again.version == Version(2));
    REQUIRE(again.events.size() == 1);
    CHECK(again.events[0].data == first.events[0].data);
    CHECK(again.events[0].offset == first.events[0].offset);
    CHECK(again.events[0].time == first.events[0].time);

    const auto still_refused = good(host.execute(keyed(wallet("1", "put", put(5)), "early")));
    CHECK(still_refused.outcome.replayed);
    CHECK(still_refused.outcome.rejected);
    CHECK(still_refused.reason == "not_open");
    CHECK(still_refused.version == Version(0));

    CHECK(code_of(host.execute(keyed(wallet("1", "put", put(6)), "five"))) ==
          Errc::idempotency_mismatch);
    CHECK(code_of(host.execute(keyed(wallet("1", "take", put(5)), "five"))) ==
          Errc::idempotency_mismatch);
    CHECK(host.state("wallet", "1") == R"({"open":true,"balance":6})");
    host.reopen();
  }
  // A key belongs to its caller and its aggregate.
  CHECK_FALSE(good(host.execute(keyed(wallet("2", "open"), "five"))).outcome.replayed);
  CommandCall other = keyed(wallet("1", "put", put(7)), "five");
  other.principal = "somebody else";
  CHECK_FALSE(good(host.execute(other)).outcome.replayed);
}

TEST_CASE("host: an expected version is checked, for refused commands as well") {
  TestHost host(wallets());
  CommandCall open = wallet("1", "open");
  open.expected = Version(0);
  good(host.execute(open));

  CommandCall call = wallet("1", "put", put(1));
  call.expected = Version(0);
  const auto conflict = host.execute(call);
  CHECK(code_of(conflict) == Errc::version_conflict);
  REQUIRE(conflict.error().versions.has_value());
  CHECK(conflict.error().versions->current == Version(1));

  CommandCall refused = keyed(wallet("1", "open"), "again");
  refused.expected = Version(7);
  CHECK(code_of(host.execute(refused)) == Errc::version_conflict);
  refused.expected = Version(1);  // nothing was remembered of the conflict
  CHECK(good(host.execute(refused)).reason == "already_open");

  call.expected = Version(1);
  CHECK(good(host.execute(call)).version == Version(2));
  CHECK(host.state("wallet", "1") == R"({"open":true,"balance":1})");
}

TEST_CASE(
    "host: many commands to one aggregate are decided in order without waiting for each other") {
  TestHost host(wallets());
  std::vector<std::future<Result<CommandReply>>> replies;
  replies.push_back(host.start(wallet("1", "open")));
  constexpr int kCommands = 500;
  for (int i = 1; i <= kCommands; ++i) replies.push_back(host.start(wallet("1", "put", put(i))));
  replies.push_back(host.start(wallet("1", "empty")));
  Version version(0);
  for (auto& reply : replies) {
    const auto done = good(reply.get());
    REQUIRE_FALSE(done.outcome.rejected);
    CHECK(done.events.front().version == version + 1);
    version = done.version;
  }
  const auto stored = read_stream(host.topic().partition(PartitionId(0)), "wallet-1");
  CHECK(stored[kCommands + 1].data ==
        R"({"amount":)" + std::to_string(kCommands * (kCommands + 1) / 2) + "}");
}

TEST_CASE("host: the cache follows events that came another way") {
  TestHost host(wallets());
  good(host.execute(wallet("1", "open")));
  good(host.execute(wallet("1", "put", put(5))));
  Commit foreign;
  foreign.writes.push_back(
      {"wallet-1", ExpectedVersion::any(), {{"added", R"({"amount":100})", ""}}});
  REQUIRE(commit(host.topic().partition(PartitionId(0)), foreign).has_value());
  CHECK(good(host.execute(wallet("1", "take", put(105)))).version == Version(4));
  CHECK(host.state("wallet", "1") == R"({"open":true,"balance":0})");
}

TEST_CASE("host: a commit that fails after it was decided leaves nothing in the cache") {
  TestHost host(wallets());
  good(host.execute(wallet("1", "open")));
  CommandCall fails = wallet("1", "put", put(5));
  fails.expected = Version(9);
  CHECK(code_of(host.execute(fails)) == Errc::version_conflict);
  // Another event now takes the version that the failed one would have had.
  Commit foreign;
  foreign.writes.push_back(
      {"wallet-1", ExpectedVersion::any(), {{"added", R"({"amount":7})", ""}}});
  REQUIRE(commit(host.topic().partition(PartitionId(0)), foreign).has_value());
  const auto emptied = good(host.execute(wallet("1", "empty")));
  CHECK(emptied.events.front().data == R"({"amount":7})");
}

TEST_CASE("host: a commit too large to be staged leaves nothing in the cache") {
  TestHost host(wallets());
  good(host.execute(wallet("1", "open")));
  CommandCall fails = wallet("1", "put", put(5));
  fails.metadata = R"({"note":")" + std::string(2u << 20, 'x') + R"("})";
  CHECK(code_of(host.execute(fails)) == Errc::too_large);
  Commit foreign;
  foreign.writes.push_back(
      {"wallet-1", ExpectedVersion::any(), {{"added", R"({"amount":7})", ""}}});
  REQUIRE(commit(host.topic().partition(PartitionId(0)), foreign).has_value());
  const auto emptied = good(host.execute(wallet("1", "empty")));
  CHECK(emptied.events.front().data == R"({"amount":7})");
}

TEST_CASE("host: a cache too small for any state changes no answer") {
  TestHost host(wallets(), nullptr, {.partitions = 2, .host = {.cache_bytes_max = 1}});
  for (int round = 0; round < 3; ++round) {
    for (const auto* id : {"a", "b", "c", "d"}) {
      const auto reply =
          good(host.execute(round == 0 ? wallet(id, "open") : wallet(id, "put", put(round))));
      CHECK(reply.version == Version(static_cast<std::uint64_t>(round) + 1));
    }
  }
  for (const auto* id : {"a", "b", "c", "d"}) {
    CHECK(host.state("wallet", id) == R"({"open":true,"balance":3})");
  }
}

TEST_CASE("host: load answers now and as of any offset, version or time") {
  TestHost host(wallets());
  std::vector<CommandReply> replies;
  replies.push_back(good(host.execute(wallet("1", "open"))));
  good(host.execute(wallet("other", "open")));
  for (int i = 1; i <= 3; ++i) replies.push_back(good(host.execute(wallet("1", "put", put(i)))));
  good(host.execute(wallet("other", "put", put(1))));

  const auto now = host->load("wallet", "1", {}).value();
  CHECK(now.state == R"({"open":true,"balance":6})");
  CHECK(now.version == Version(4));
  CHECK(now.offset == Offset(4));
  CHECK(now.position_end == Offset(6));

  const auto at = host->load("wallet", "1", {.offset = Offset(2)}).value();
  CHECK(at.state == R"({"open":true,"balance":1})");
  CHECK(at.version == Version(2));
  CHECK(at.position_end == Offset(3));
  CHECK(host.state("wallet", "1", {.offset = Offset(1)}) == R"({"open":true,"balance":0})");
  CHECK(host.state("wallet", "1", {.offset = Offset(5)}) == now.state);
  CHECK(host.state("wallet", "1", {.offset = Offset(6)}) == "beyond_end");
  CHECK(host.state("wallet", "other", {.offset = Offset(0)}) == "not_found");

  const auto third = host->load("wallet", "1", {.version = Version(3)}).value();
  CHECK(third.state == R"({"open":true,"balance":3})");
  CHECK(third.offset == Offset(3));
  CHECK(third.position_end == Offset(4));
  CHECK(host.state("wallet", "1", {.version = Version(5)}) == "beyond_end");
  CHECK(host.state("wallet", "1", {.version = Version(0)}) == "bad_request");
  CHECK(host.state("wallet", "none", {.version = Version(1)}) == "not_found");

  // Commits of one batch share a time, so the reference is a fold over times.
  for (const auto& reply : replies) {
    const TimeUs time = reply.outcome.time;
    std::int64_t balance = 0;
    for (const auto& one : replies) {
      if (one.outcome.time <= time && one.events[0].type == "added") {
        balance += nlohmann::json::parse(one.events[0].data).at("amount").get<std::int64_t>();
      }
    }
    CHECK(host.state("wallet", "1", {.time = time}) ==
          R"({"open":true,"balance":)" + std::to_string(balance) + "}");
  }
  CHECK(host.state("wallet", "1", {.time = replies[0].outcome.time - 1}) == "not_found");
  CHECK(host.state("wallet", "1", {.time = TimeUs(INT64_MAX)}) == "beyond_end");
  CHECK(host.state("wallet", "1", {.offset = Offset(1), .version = Version(1)}) == "bad_request");
  CHECK(host.state("purse", "1") == "not_found");
  CHECK(host.state("wallet", "none") == "not_found");
}

TEST_CASE("host: types are described, and names that clash are refused") {
  TestHost host(wallets());
  REQUIRE(host->find("wallet") != nullptr);
  CHECK(host->find("wallet")->commands.size() == 4);
  CHECK(host->find("purse") == nullptr);
  CHECK(host->types().size() == 1);

  auto twice = std::make_shared<AggregateRegistry>();
  twice->add<Wallet>().add<Wallet>();
  CHECK(code_of(AggregateHost::open(host.store().environment(), host.topic(), twice, nullptr,
                                    {})) == Errc::bad_request);
}

TEST_CASE("host: 64 callers with one key have one effect and one outcome") {
  TestHost host(wallets());
  good(host.execute(wallet("1", "open")));
  std::vector<std::future<Result<CommandReply>>> replies;
  for (int i = 0; i < 64; ++i) {
    replies.push_back(host.start(keyed(wallet("1", "put", put(5)), "same")));
  }
  std::set<std::uint64_t> offsets;
  int fresh = 0;
  for (auto& reply : replies) {
    const auto done = good(reply.get());
    REQUIRE(done.events.size() == 1);
    CHECK(done.version == Version(2));
    CHECK(done.events[0].command_id == "same");
    offsets.insert(done.events[0].offset.value);
    fresh += done.outcome.replayed ? 0 : 1;
  }
  CHECK(offsets.size() == 1);
  CHECK(fresh == 1);
  CHECK(host.state("wallet", "1") == R"({"open":true,"balance":5})");
}

}  // namespace keelson::test
