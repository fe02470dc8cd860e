// A minority of the nodes has troubles that last, and nobody else has any: then commands go on
// being acknowledged.
#include <algorithm>

#include "tests/simulation/real_cluster.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;

/// A leader is given up after a second, another one found in two and a half; one without room asks
/// each of the others in turn.
constexpr Moment kFoundWithin = 8s;
/// Once somebody leads whom a majority hears, nobody disturbs it; but the preferred leader may take
/// the lead.
constexpr Moment kSilenceMost = 1500ms;
constexpr Moment kQuiet = 8s;
constexpr Moment kLong = 1h;

enum class Trouble : std::uint8_t {
  disk_hangs,
  disk_full,
  stands_still,  ///< the process, and its connections stay
  deaf,          ///< what others send does not arrive
  mute,
  cut_off,
  no_coordinator,  ///< it alone does not reach it
  kinds
};

}  // namespace

void RealCluster::endure() {
  if (!failure().empty()) return;
  end_faults();
  world_.step_until(world_.now() + 4s);
  if (!failure().empty() || !well()) return;
  const std::vector<std::size_t> minority = choose_minority();
  for (const std::size_t n : minority) trouble(n);
  Moment outage{};
  if (world_.chance(0.3)) {
    outage = world_.delay(500'000, 3'000'000);
    coordinator_.go_down();
    world_.after(outage, [this] { coordinator_.come_up(); });
  }
  // What was on its way when the troubles began may yet be acknowledged.
  world_.step_until(world_.now() + 200ms);
  for (const auto& partition : partitions_) go_on(*partition, outage + kFoundWithin);
  // What stands still is killed, and started again.
  for (const std::size_t n : minority) crash(n, false);
  end_faults();
}

/// Whether all members of all partitions are there: then a minority is one of each.
bool RealCluster::well() {
  return !partitions_.empty() && std::ranges::all_of(partitions_, [&](const auto& partition) {
    return members_are_whole(*partition) &&
           std::ranges::all_of(members_of(*partition), [&](const Member& member) {
             return partition->open(node_of(member));
           });
  });
}

std::vector<std::size_t> RealCluster::choose_minority() {
  std::vector<std::size_t> nodes(nodes_.size());
  for (std::size_t n = 0; n < nodes.size(); ++n) nodes[n] = n;
  std::shuffle(nodes.begin(), nodes.end(), world_.numbers);
  const auto& clients = *partitions_[world_.random(partitions_.size())];
  const auto known = record(clients);
  if (known && known->leader && world_.chance(0.7)) {
    std::iter_swap(nodes.begin(), std::ranges::find(nodes, number_of(*known->leader)));
  }
  nodes.resize(1 + world_.random((replicas_ - 1) / 2));
  return nodes;
}

void RealCluster::trouble(std::size_t n) {
  RealNode& node = *nodes_[n];
  const auto kind = static_cast<Trouble>(world_.random(static_cast<std::uint64_t>(Trouble::kinds)));
  world_.log(node.name + " has trouble " + std::to_string(static_cast<int>(kind)));
  const bool deaf = kind == Trouble::deaf || kind == Trouble::cut_off;
  const bool mute = kind == Trouble::mute || kind == Trouble::cut_off;
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    if (other == n) continue;
    if (deaf) network_.block(other, n);
    if (mute) network_.block(n, other);
  }
  const Moment end = world_.now() + kLong;
  if (kind == Trouble::disk_hangs) node.hang_disk(end);
  if (kind == Trouble::disk_full) node.full_for_good = true;
  if (kind == Trouble::stands_still) node.pause(end);
  if (kind == Trouble::no_coordinator) node.cut_off_coordinator(end);
}

/// Somebody leads soon, and goes on.
void RealCluster::go_on(PartitionClients& clients, Moment first_within) {
  // Until there are more of `count`.
  const auto wait = [&](Moment most, const auto& count) {
    const std::uint64_t before = count();
    const Moment end = world_.now() + most;
    while (failure().empty() && count() == before && world_.now() < end) {
      world_.step_until(world_.now() + 20ms);
    }
    return !failure().empty() || count() > before;
  };
  if (!wait(first_within, [&] { return clients.history().acknowledged(); })) {
    describe(clients);
    return world_.fail("a majority is well, and acknowledges nothing in " + clients.of().folder);
  }
  // Clients find out whom to ask.
  world_.step_until(world_.now() + first_within);
  for (const Moment end = world_.now() + kQuiet; failure().empty() && world_.now() < end;) {
    if (wait(kSilenceMost, [&] { return clients.answers(); })) continue;
    describe(clients);
    return world_.fail("a majority is well, and is disturbed in " + clients.of().folder);
  }
}

}  // namespace keelson::simulation
