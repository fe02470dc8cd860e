#include "engine/cluster/leader_requests.h"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "tests/engine/cluster/members.h"
#include "tests/engine/cluster/stepped_scheduler.h"
#include "tests/support/simulated_environment.h"

using namespace keelson;
using namespace keelson::cluster;
using namespace keelson::test;
using replication::Member;

namespace {

class MovedClock final : public Clock {
 public:
  [[nodiscard]] TimeUs now() const override { return TimeUs(0); }
  [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return time; }
  std::chrono::nanoseconds time{0};
};

const PartitionKey kPartition{Uuid{}, PartitionId(3)};
using Outcome = std::optional<Result<std::string>>;

/// A node and what it has sent.
class Node {
 public:
  struct Sent {
    Member to;
    std::string message;
  };

  Node(std::uint32_t number, std::uint64_t seed) : self(member(number)), random_(seed) {
    requests = std::make_shared<LeaderRequests>(
        Environment{disk_, clock_, random_, scheduler_, [](const Error&) {}},
        LeaderRequests::Ports{[this](const PartitionKey&) { return leader; },
                              [this](const PartitionKey&, const Member& to,
                                     const std::string& message) -> Result<void> {
                                if (!connected) return fail(Errc::closed, "");
                                sent.push_back({to, message});
                                return {};
                              }});
  }

  std::shared_ptr<Outcome> ask(const std::string& question) {
    auto outcome = std::make_shared<Outcome>();
    requests->ask(kPartition, question,
                  [outcome](Result<std::string> answer) { *outcome = std::move(answer); });
    return outcome;
  }
  /// All that was sent arrives.
  void deliver_to(Node& other) {
    for (const Sent& one : std::exchange(sent, {})) {
      CHECK(one.to == other.self);
      CHECK(LeaderRequests::is_one(one.message));
      other.requests->on_message(self, kPartition, one.message);
    }
  }
  void advance(std::chrono::milliseconds time) {
    clock_.time += time;
    scheduler_.advance(time);
  }

  Member self;
  std::optional<Member> leader;
  bool connected = true;
  std::vector<Sent> sent;
  std::shared_ptr<LeaderRequests> requests;

 private:
  SimulatedFileSystem disk_{1};
  MovedClock clock_;
  SeededRandom random_;
  SteppedScheduler scheduler_;
};

void answer_with_echo(Node& node) {
  node.requests->set_answering(
      [](const PartitionKey& partition, const std::string& question, auto answer) {
        CHECK(partition == kPartition);
        answer("echo of " + question);
      });
}

Errc error_of(const std::shared_ptr<Outcome>& outcome) {
  REQUIRE(outcome->has_value());
  REQUIRE_FALSE((*outcome)->has_value());
  return (*outcome)->error().code;
}

}  // namespace

TEST_CASE("leader requests: the leader is asked, and its answer comes back once") {
  Node asks(1, 1), leads(2, 2);
  asks.leader = leads.self;
  answer_with_echo(leads);
  const auto first = asks.ask("a");
  const auto second = asks.ask("b");
  asks.deliver_to(leads);
  const auto answers = leads.sent;
  leads.deliver_to(asks);
  CHECK(**first == "echo of a");
  CHECK(**second == "echo of b");
  *first = fail(Errc::internal, "untouched");
  asks.requests->on_message(leads.self, kPartition, answers[0].message);
  CHECK(error_of(first) == Errc::internal);
}

TEST_CASE(
    "leader requests: without a leader, a connection or somebody to answer nothing is taken") {
  Node asks(1, 1), leads(2, 2);
  CHECK(error_of(asks.ask("a")) == Errc::not_enough_replicas);
  asks.leader = leads.self;
  asks.connected = false;
  CHECK(error_of(asks.ask("a")) == Errc::not_enough_replicas);
  asks.connected = true;
  const auto outcome = asks.ask("a");
  asks.deliver_to(leads);  // which is starting
  leads.deliver_to(asks);
  CHECK(error_of(outcome) == Errc::not_enough_replicas);
}

TEST_CASE(
    "leader requests: what becomes of a question is unknown after a break, and after a while") {
  Node asks(1, 1), leads(2, 2), other(3, 3);
  answer_with_echo(leads);
  asks.leader = leads.self;
  const auto broken = asks.ask("a");
  asks.leader = other.self;
  const auto slow = asks.ask("b");
  asks.requests->on_disconnected(leads.self);
  CHECK(error_of(broken) == Errc::outcome_unknown);
  CHECK_FALSE(slow->has_value());
  asks.advance(std::chrono::milliseconds(4900));
  CHECK_FALSE(slow->has_value());
  asks.advance(std::chrono::milliseconds(500));
  CHECK(error_of(slow) == Errc::timeout);
  // The clock goes on for the next one.
  const auto next = asks.ask("c");
  asks.advance(std::chrono::milliseconds(5500));
  CHECK(error_of(next) == Errc::timeout);
}

TEST_CASE("leader requests: an answer of another node, or to an earlier life, finds nobody") {
  Node leads(2, 2), other(3, 3);
  answer_with_echo(leads);
  auto earlier = std::make_unique<Node>(1, 7);
  earlier->leader = leads.self;
  static_cast<void>(earlier->ask("a"));
  earlier->deliver_to(leads);
  const auto late = std::exchange(leads.sent, {});
  Node asks(1, 8);
  asks.leader = leads.self;
  const auto outcome = asks.ask("b");
  asks.requests->on_message(leads.self, kPartition, late[0].message);
  CHECK_FALSE(outcome->has_value());
  asks.deliver_to(leads);
  asks.requests->on_message(other.self, kPartition, leads.sent[0].message);
  CHECK_FALSE(outcome->has_value());
  leads.deliver_to(asks);
  CHECK(**outcome == "echo of b");
}

TEST_CASE(
    "leader requests: too many that wait are refused, and all end when it gives up or closes") {
  Node asks(1, 1), leads(2, 2);
  asks.leader = leads.self;
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (std::size_t i = 0; i < LeaderRequests::kAskedMax; ++i) outcomes.push_back(asks.ask("a"));
  CHECK(error_of(asks.ask("one more")) == Errc::overloaded);
  asks.requests->give_up();
  for (const auto& outcome : outcomes) CHECK(error_of(outcome) == Errc::closed);
  const auto again = asks.ask("a");
  CHECK_FALSE(again->has_value());
  asks.sent.clear();
  asks.requests->close();
  CHECK(error_of(again) == Errc::closed);
  CHECK(asks.ask("a")->has_value());
  CHECK(asks.sent.empty());
}

TEST_CASE("leader requests: what is no message of theirs does no harm") {
  Node asks(1, 1), leads(2, 2);
  CHECK_FALSE(LeaderRequests::is_one(""));
  CHECK_FALSE(LeaderRequests::is_one("\xf0"));
  asks.requests->on_message(leads.self, kPartition, "\xf1");
  asks.requests->on_message(leads.self, kPartition, "\xf2\x01\x02");
  asks.requests->on_message(leads.self, kPartition, std::string("\xf3") + std::string(8, 'x'));
  CHECK(asks.sent.empty());
}
