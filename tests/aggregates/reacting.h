// What tests of reactions share: the saga's registries, and waiting for it to come to rest.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/aggregates/move.h"
#include "tests/aggregates/test_host.h"

namespace keelson::test {

inline std::shared_ptr<const AggregateRegistry> wallets_and_moves() {
  auto registry = std::make_shared<AggregateRegistry>();
  registry->add<Wallet>().add<Move>();
  return registry;
}

template <Reaction... Rs>
std::shared_ptr<const ReactionRegistry> reactions() {
  auto registry = std::make_shared<ReactionRegistry>();
  (registry->add<Rs>(), ...);
  return registry;
}

inline CommandCall request(std::string id, const std::string& from, const std::string& to,
                           std::int64_t amount) {
  CommandCall call;
  call.type = "move";
  call.id = std::move(id);
  call.command = "request";
  call.body = encode(Move::Request{from, to, amount});
  return call;
}

inline void must(const Result<CommandReply>& reply) {
  if (!reply) FAIL(reply.error().message());
  REQUIRE_FALSE(reply->outcome.rejected);
}

inline void eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) FAIL("did not happen within a minute");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

inline bool all_caught_up(AggregateHost& host) {
  for (const auto& status : host.reactions()) {
    if (status.halted) FAIL(status.error);
    if (status.lag != 0) return false;
  }
  return true;
}

/// Nothing left to do, anywhere: a step may have made new causes in partitions seen before.
inline bool settled(AggregateHost& host) {
  const Position before = host.topic().end();
  return all_caught_up(host) && host.topic().end() == before && all_caught_up(host);
}

inline std::vector<Event> all_events(Topic& topic) {
  std::vector<Event> events;
  for (std::uint32_t p = 0; p < topic.partition_count(); ++p) {
    for (Event& event : read_all(topic.partition(PartitionId(p)))) {
      events.push_back(std::move(event));
    }
  }
  return events;
}

}  // namespace keelson::test
