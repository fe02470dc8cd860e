// What clients ask of a cluster of modelled nodes.
#include "tests/simulation/model_node.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;

constexpr Moment kClientPatience = 2s;
constexpr int kRefusalsMost = 30;

}  // namespace

void ReplicaCluster::issue(std::size_t c) {
  if (c >= clients_.size()) return;
  Client& client = clients_[c];
  if (client.command == 0) client.command = ++commands_;
  const std::uint64_t attempt = ++client.attempt;
  const auto again = [this, c, attempt](Moment wait) {
    after(wait, [this, c, attempt] {
      if (c < clients_.size() && clients_[c].attempt == attempt) issue(c);
    });
  };
  const std::size_t n = whom_to_ask(client);
  after(kClientPatience, [this, c, n, attempt] {
    if (c >= clients_.size() || clients_[c].attempt != attempt) return;
    clients_[c].silent.insert(n);
    issue(c);
  });
  const std::uint64_t command = client.command;
  after(delay(50, 500), [this, n, c, command, attempt, again] {
    if (!nodes_[n]->up) {
      if (c < clients_.size()) ++clients_[c].refusals;
      return again(delay(5'000, 30'000));
    }
    on_node(n, nodes_[n]->life, [this, n, c, command, attempt, again] {
      nodes_[n]->execute(command, [this, c, command, attempt, again](bool done) {
        if (done) acknowledge(command);
        if (c >= clients_.size() || clients_[c].attempt != attempt) return;
        if (!done) {
          ++clients_[c].refusals;
          return again(delay(5'000, 30'000));
        }
        clients_[c].command = 0;
        clients_[c].refusals = 0;
        after(delay(100, chance(0.1) ? 100'000 : 3'000), [this, c] {
          if (c < clients_.size() && clients_[c].command == 0) issue(c);
        });
      });
    });
  });
}

/// Who serves, or somebody. Whoever has not answered is not asked again, until the others have
/// nothing but refusals.
std::size_t ReplicaCluster::whom_to_ask(Client& client) {
  if (client.refusals > kRefusalsMost || client.silent.size() == nodes_.size()) {
    client.refusals = 0;
    client.silent.clear();
  }
  std::size_t n = random(nodes_.size());
  while (client.silent.contains(n)) n = (n + 1) % nodes_.size();
  for (std::size_t i = 0; i < nodes_.size() && !chance(0.1); ++i) {
    if (nodes_[i]->up && nodes_[i]->serving_ && !client.silent.contains(i)) n = i;
  }
  return n;
}

void ReplicaCluster::acknowledge(std::uint64_t command) {
  acknowledged_.insert(command);
  if (!where_.contains(command)) fail("a command is acknowledged that is not committed");
}

/// Reads at whoever thinks to lead see all that was acknowledged before.
void ReplicaCluster::read() {
  for (auto& node : nodes_) {
    if (!node->up || node->replica->role() == replication::Replica::Role::following) continue;
    const auto ask = [this, asked = node.get(), before = truth_.size()] {
      asked->read([this, before](std::optional<std::size_t> end) {
        if (!end) return;
        ++reads_;
        if (*end < before) fail("a linearizable read misses what was committed before it");
      });
    };
    if (!node->paused) {
      ask();
    } else if (chance(0.2)) {
      // A zombie may look at it before it hears of its successor.
      node->deferred.push_front(ask);
    }
  }
  after(delay(1'000, 50'000), [this] { read(); });
}

}  // namespace keelson::simulation
