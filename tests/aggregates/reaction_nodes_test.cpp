// Reactions whose causes and targets lie in partitions that different nodes lead.
#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "aggregates/step_message.h"
#include "tests/aggregates/node_hosts.h"

namespace keelson::test {

namespace {

constexpr std::int64_t kEach = 1000;

using Registry = NodeHosts::Registry;

void open_wallet(NodeHosts& nodes, const std::string& id) {
  must(nodes.execute(wallet(id, "open")));
  must(nodes.execute(wallet(id, "put", R"({"amount":)" + std::to_string(kEach) + "}")));
}

std::int64_t balance(NodeHosts& nodes, const std::string& id) {
  return nodes.state("wallet", id).at("balance").get<std::int64_t>();
}

std::string status_of(NodeHosts& nodes, const std::string& move) {
  return nodes.state("move", move).at("status").get<std::string>();
}

/// An id of an aggregate of `type` that lies in `partition`.
std::string id_in(NodeHosts& nodes, const std::string& type, std::uint32_t partition,
                  int number = 0) {
  for (int i = 0;; ++i) {
    const std::string id = "x" + std::to_string(i);
    if (nodes.topic().partition_of(type + "-" + id) != PartitionId(partition)) continue;
    if (number-- == 0) return id;
  }
}

/// No command of a reaction has taken effect twice.
void check_once(NodeHosts& nodes) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const Event& event : all_events(nodes.topic())) {
    if (!event.command_id.starts_with("carry_move:")) continue;
    CHECK(seen.insert({event.stream, event.command_id}).second);
  }
}

}  // namespace

TEST_CASE("reactions over nodes: a saga goes through partitions that different nodes lead") {
  const Registry code = wallets_and_moves();
  NodeHosts nodes({code, code, code}, reactions<CarryMove>(), {0, 1, 2, 1});
  nodes.start_reactions();
  for (int i = 0; i < 6; ++i) open_wallet(nodes, std::to_string(i));
  for (int i = 0; i < 60; ++i) {
    must(nodes.execute(request("m" + std::to_string(i), std::to_string(i % 6),
                               i % 10 == 9 ? "nobody" : std::to_string((i + 1) % 6), i + 1)));
  }
  must(nodes.execute(request("poor", "0", "1", 100 * kEach)));
  eventually([&] { return nodes.settled(); });
  CHECK(nodes.wire.carried > 60);
  std::int64_t total = 0;
  for (int i = 0; i < 6; ++i) total += balance(nodes, std::to_string(i));
  CHECK(total == 6 * kEach);
  for (int i = 0; i < 60; ++i) {
    CHECK(status_of(nodes, "m" + std::to_string(i)) == (i % 10 == 9 ? "returned" : "done"));
  }
  CHECK(status_of(nodes, "poor") == "failed");
  CHECK(nodes.state("move", "poor").at("reason") == "insufficient_funds");
  check_once(nodes);
}

TEST_CASE("reactions over nodes: only the leader of the causes' partition reacts") {
  const Registry code = wallets_and_moves();
  NodeHosts nodes({code, code}, reactions<CarryMove>(), {0, 1});
  nodes.start_reactions();
  const std::string from = id_in(nodes, "wallet", 0);
  const std::string to = id_in(nodes, "wallet", 0, 1);
  open_wallet(nodes, from);
  open_wallet(nodes, to);
  must(nodes.execute(request(id_in(nodes, "move", 0), from, to, 1)));
  eventually([&] { return nodes.settled(); });
  eventually([&] {
    for (int node = 0; node < 2; ++node) {
      const PartitionId led(static_cast<unsigned>(node));
      for (const ReactionStatus& status : nodes[node].reactions()) {
        if (status.standing_by != (status.partition != led)) return false;
      }
    }
    return true;
  });
  CHECK(nodes.wire.carried == 0);  // the other one has nothing to ask for
  // Who stands by sees in the log how far the other has come.
  eventually([&] {
    for (const ReactionStatus& status : nodes[1].reactions()) {
      if (status.lag != 0) return false;
    }
    return true;
  });
}

TEST_CASE("reactions over nodes: leads that change and messages that are lost do no harm") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const Registry code = wallets_and_moves();
  NodeHosts nodes({code, code, code}, reactions<CarryMove>(), {0, 1, 2, 0, 1, 2});
  nodes.wire.misbehave(5, 10);
  nodes.start_reactions();
  for (int i = 0; i < 6; ++i) open_wallet(nodes, std::to_string(i));
  for (int i = 0; i < 100; ++i) {
    must(nodes.execute(request("m" + std::to_string(i), std::to_string(i % 6),
                               i % 10 == 9 ? "nobody" : std::to_string((i + 1) % 6), i + 1)));
  }
  for (int change = 0; change < 12; ++change) {
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    nodes.leads.give(PartitionId(random() % 6), static_cast<int>(random() % 4) - 1);
  }
  for (std::uint32_t p = 0; p < 6; ++p) nodes.leads.give(PartitionId(p), p % 3);
  eventually([&] { return nodes.settled(); });
  std::int64_t total = 0;
  for (int i = 0; i < 6; ++i) total += balance(nodes, std::to_string(i));
  CHECK(total == 6 * kEach);
  for (int i = 0; i < 100; ++i) {
    const std::string status = status_of(nodes, "m" + std::to_string(i));
    const bool ended = status == "done" || status == "returned" || status == "failed";
    CHECK(ended);
  }
  check_once(nodes);
}

TEST_CASE("reactions over nodes: a partition without a leader stalls only what addresses it") {
  const Registry code = wallets_and_moves();
  NodeHosts nodes({code, code}, reactions<CarryMove>(), {0, 1, 1});
  const std::string from = id_in(nodes, "wallet", 0);
  const std::string there = id_in(nodes, "wallet", 1);
  const std::string away = id_in(nodes, "wallet", 2);
  for (const std::string& id : {from, there, away}) open_wallet(nodes, id);
  nodes.leads.give(PartitionId(2), Leads::kNobody);
  // More than may be active at a time, and then one that has nothing to do with it.
  constexpr int kStalled = 300;
  for (int i = 0; i < kStalled; ++i) {
    must(nodes.execute(request(id_in(nodes, "move", 0, i), away, there, 1)));
  }
  const std::string last = id_in(nodes, "move", 0, kStalled);
  must(nodes.execute(request(last, from, there, 5)));
  nodes.start_reactions();
  eventually([&] { return status_of(nodes, last) == "done"; });
  CHECK(balance(nodes, there) == kEach + 5);
  const auto of_causes = [&] { return nodes[0].reactions().at(0); };
  CHECK(of_causes().error.find("take to wallet-" + away + ": not_enough_replicas") !=
        std::string::npos);
  CHECK_FALSE(of_causes().halted);
  CHECK(of_causes().lag > kStalled);  // none of them is passed over

  nodes.leads.give(PartitionId(2), 0);
  eventually([&] { return nodes.settled(); });
  CHECK(of_causes().error.empty());
  CHECK(balance(nodes, away) == kEach - kStalled);
  CHECK(balance(nodes, there) == kEach + 5 + kStalled);
}

namespace {

/// Gives each note of one wallet to two others.
struct Split {
  static constexpr std::string_view kName = "split";
  using Source = Wallet;
  static inline std::string source, first, second;  // NOLINT: set before it runs
  static Steps react(const Wallet::Added& event, const Cause& cause) {
    if (cause.id != source) return {};
    return {ask<Wallet>(first, Wallet::Put{event.amount, {}}),
            ask<Wallet>(second, Wallet::Put{event.amount, {}})};
  }
};

/// The amounts that were put into a wallet, in order.
std::vector<std::int64_t> put_into(NodeHosts& nodes, const std::string& id) {
  std::vector<std::int64_t> amounts;
  for (const Event& event : read_stream(nodes.topic().home_of("wallet-" + id), "wallet-" + id)) {
    if (event.type != "added") continue;
    amounts.push_back(nlohmann::json::parse(event.data).at("amount").get<std::int64_t>());
  }
  return amounts;
}

}  // namespace

TEST_CASE(
    "reactions over nodes: what waits for a partition keeps its order, and holds up no other") {
  const Registry code = wallets_and_moves();
  NodeHosts nodes({code, code}, reactions<Split>(), {0, 1, 1});
  Split::source = id_in(nodes, "wallet", 0);
  Split::first = id_in(nodes, "wallet", 2);  // which will be away
  Split::second = id_in(nodes, "wallet", 1);
  for (const std::string& id : {Split::source, Split::first, Split::second}) {
    must(nodes.execute(wallet(id, "open")));
  }
  std::vector<std::int64_t> amounts;
  const auto put = [&](int count) {
    for (int i = 0; i < count; ++i) {
      amounts.push_back(static_cast<std::int64_t>(amounts.size()) + 1);
      must(nodes.execute(
          wallet(Split::source, "put", R"({"amount":)" + std::to_string(amounts.back()) + "}")));
    }
  };
  nodes.start_reactions();
  // Away and back again, also while there is more that waits than may be active.
  for (int round = 0; round < 3; ++round) {
    put(20);
    nodes.leads.give(PartitionId(2), Leads::kNobody);
    put(400);
    eventually([&] { return put_into(nodes, Split::second) == amounts; });
    CHECK(put_into(nodes, Split::first).size() < amounts.size());
    const auto before = put_into(nodes, Split::first).size();
    nodes.leads.give(PartitionId(2), round % 2);
    // While what has waited goes there, one after the other, what comes now must wait behind it.
    while (put_into(nodes, Split::first).size() == before) put(1);
    put(100);
    if (round == 1) {
      eventually([&] { return put_into(nodes, Split::first).size() > 500; });
      nodes.leads.give(PartitionId(2), Leads::kNobody);
      put(20);
      nodes.leads.give(PartitionId(2), 1);
    }
  }
  eventually([&] { return nodes.settled() && put_into(nodes, Split::first) == amounts; });
  CHECK(put_into(nodes, Split::second) == amounts);
}

TEST_CASE("reactions over nodes: what another node's code does not know waits and halts nothing") {
  const Registry code = wallets_and_moves();
  const auto older = std::make_shared<AggregateRegistry>();
  older->add<Move>();  // no wallets
  NodeHosts nodes({code, older}, reactions<CarryMove>(), {0, 0});
  const std::string from = id_in(nodes, "wallet", 1);
  const std::string to = id_in(nodes, "wallet", 0);
  open_wallet(nodes, from);
  open_wallet(nodes, to);
  const std::string move = id_in(nodes, "move", 0);
  must(nodes.execute(request(move, from, to, 7)));
  nodes.leads.give(PartitionId(1), 1);
  nodes.start_reactions();
  eventually([&] { return !nodes[0].reactions().at(0).error.empty(); });
  CHECK(nodes[0].reactions().at(0).error.find("says not_found") != std::string::npos);
  CHECK_FALSE(nodes[0].reactions().at(0).halted);
  nodes.leads.give(PartitionId(1), 0);
  eventually([&] { return nodes.settled(); });
  CHECK(status_of(nodes, move) == "done");
}

namespace {

/// Passes each note on to a wallet that keeps them in order.
struct PassOver {
  static constexpr std::string_view kName = "pass_over";
  using Source = Wallet;
  static Steps react(const Wallet::Added& event, const Cause& cause) {
    if (cause.id == "last") return {};
    return ask<Wallet>("last", Wallet::Put{event.amount, event.note});
  }
};

}  // namespace

TEST_CASE("reactions over nodes: the order of causes holds when leads change") {
  const Registry code = wallets_and_moves();
  NodeHosts nodes({code, code}, reactions<PassOver>(), {0, 0});
  nodes.wire.misbehave(2, 5);
  must(nodes.execute(wallet("last", "open")));
  must(nodes.execute(wallet("first", "open")));
  for (int i = 1; i <= 200; ++i) {
    must(nodes.execute(wallet("first", "put", R"({"amount":)" + std::to_string(i) + "}")));
  }
  const PartitionId source = nodes.topic().partition_of("wallet-first");
  const PartitionId target = nodes.topic().partition_of("wallet-last");
  nodes.leads.give(target, 1);
  nodes.start_reactions();
  for (int change = 0; change < 6; ++change) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    nodes.leads.give(source, change % 2 == 0 ? 1 : 0);
    if (change % 3 == 0) nodes.leads.give(target, change % 2);
  }
  eventually([&] { return nodes.settled() && balance(nodes, "last") == 200 * 201 / 2; });
  const auto events = read_stream(nodes.topic().home_of("wallet-last"), "wallet-last");
  REQUIRE(events.size() == 201);
  for (int i = 1; i <= 200; ++i) {
    CHECK(nlohmann::json::parse(events[static_cast<std::size_t>(i)].data).at("amount") == i);
  }
}

TEST_CASE("step messages: what is encoded is read back, and nothing else is") {
  const StepCommand step{"carry_move",
                         PartitionId(3),
                         Offset(UINT64_MAX),
                         "1.0",
                         "wallet",
                         "with \"é\"",
                         "put",
                         R"({"amount":9223372036854775807})"};
  CHECK(decode_step(encode_step(step)) == step);
  CHECK(step.call().key == "carry_move:3:18446744073709551615:1.0");
  CHECK(step.call().principal == "$reaction/carry_move");
  for (const char* bad : {"", "{}", "[]", R"({"reaction":"a","partition":-1})",
                          R"({"reaction":1,"partition":0,"offset":0,"place":"0","type":"a",)"
                          R"("id":"b","command":"c","body":"{}"})"}) {
    CHECK(decode_step(bad).error().code == Errc::bad_request);
  }
  CHECK(decode_step_answer(encode_step_answer(StepOutcome{})) == StepOutcome{});
  const StepOutcome refused{true, "not_open", "detail"};
  CHECK(decode_step_answer(encode_step_answer(refused)) == refused);
  const auto as_read = [](Errc code) {
    return decode_step_answer(encode_step_answer(fail(code, "why"))).error().code;
  };
  CHECK(as_read(Errc::idempotency_mismatch) == Errc::idempotency_mismatch);
  CHECK(as_read(Errc::overloaded) == Errc::overloaded);
  CHECK(as_read(Errc::internal) == Errc::internal);
  // Of the node, and not of the step.
  for (const Errc code : {Errc::closed, Errc::not_found, Errc::bad_request, Errc::not_leader}) {
    CHECK(as_read(code) == Errc::not_enough_replicas);
  }
  CHECK(decode_step_answer("?").error().code == Errc::not_enough_replicas);
  CHECK(decode_step_answer(R"({"error":"no_such"})").error().code == Errc::not_enough_replicas);
}

}  // namespace keelson::test
