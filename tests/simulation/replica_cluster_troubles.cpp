// A minority of the replicas has troubles that last, and nobody else has any: then commands go on
// being acknowledged. That is decidable, and so it is an invariant.
#include <algorithm>

#include "tests/simulation/model_node.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;

/// A leader is given up after a second, another one found in two and a half, its log copied by
/// then; a member with a greater log is waited for three times.
constexpr Moment kFoundWithin = 6s;
/// Once somebody leads whom a majority hears, nobody disturbs it.
constexpr Moment kSilenceMost = 800ms;
constexpr Moment kQuiet = 10s;
constexpr Moment kAway = 8s;

enum class Trouble : std::uint8_t {
  disk_hangs,
  stands_still,  ///< the process, and its connections stay
  deaf,          ///< what others send does not arrive
  mute,
  cut_off,
  gone,
  kinds
};

}  // namespace

void ReplicaCluster::endure() {
  if (!failure_.empty()) return;
  end_faults();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n]->up && nodes_[n]->paused) wake(n, nodes_[n]->life);
    nodes_[n]->slow = false;
  }
  step_until(now_ + 6s);
  const bool whole = std::ranges::all_of(record_.replicas, [&](const Member& member) {
    const ModelNode& node = *nodes_[member.node.value];
    return node.self == member && node.up;
  });
  if (!failure_.empty() || lost_ || record_.changing() || !record_.leader || !whole) return;

  std::vector<std::size_t> minority = choose_minority();
  if (minority.size() > 1 && chance(0.5)) {
    // One of them was away for long, and comes back when the leader goes.
    const std::size_t late = minority.back();
    minority.pop_back();
    stays_down_[late] = true;
    crash(late, false);
    step_until(now_ + kAway);
    stays_down_[late] = false;
    start(late);
  }
  for (const std::size_t n : minority) trouble(n);
  Moment outage{};
  if (chance(0.3)) {
    outage = delay(500'000, 3'000'000);
    coordinator_up_ = false;
    after(outage, [this] { coordinator_up_ = true; });
  }
  go_on(outage + kFoundWithin);
  end_troubles();
}

/// As many as the others can do without, the leader first.
std::vector<std::size_t> ReplicaCluster::choose_minority() {
  std::vector<std::size_t> members;
  for (const Member& member : record_.replicas) members.push_back(member.node.value);
  std::shuffle(members.begin(), members.end(), random_);
  const auto leader = std::ranges::find(members, record_.leader->node.value);
  if (leader != members.end() && chance(0.7)) std::iter_swap(members.begin(), leader);
  members.resize(1 + random((members.size() - 1) / 2));
  return members;
}

void ReplicaCluster::trouble(std::size_t n) {
  ModelNode& node = *nodes_[n];
  const auto kind = static_cast<Trouble>(random(static_cast<std::uint64_t>(Trouble::kinds)));
  log("node " + std::to_string(n) + " has trouble " + std::to_string(static_cast<int>(kind)));
  const bool deaf = kind == Trouble::deaf || kind == Trouble::cut_off;
  const bool mute = kind == Trouble::mute || kind == Trouble::cut_off;
  for (std::size_t other = 0; other < nodes_.size(); ++other) {
    if (other == n) continue;
    if (deaf) link(other, n).blocked[other < n ? 0 : 1] = true;
    if (mute) link(n, other).blocked[n < other ? 0 : 1] = true;
  }
  if (kind == Trouble::disk_hangs) node.hangs = true;
  if (kind == Trouble::stands_still) node.paused = true;
  if (kind == Trouble::gone) {
    stays_down_[n] = true;
    crash(n, false);
  }
}

void ReplicaCluster::end_troubles() {
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    ModelNode& node = *nodes_[n];
    for (std::size_t other = 0; other < nodes_.size(); ++other) {
      if (other != n) unblock(other, n);
    }
    if (node.hangs) node.stop_hanging();
    if (node.up && node.paused) wake(n, node.life);
    stays_down_[n] = false;
    if (!node.up) start(n);
  }
}

/// Somebody leads soon, and goes on.
void ReplicaCluster::go_on(Moment first_within) {
  const auto wait = [this](Moment most) {
    const std::size_t before = acknowledged_.size();
    const Moment end = now_ + most;
    while (failure_.empty() && acknowledged_.size() == before && now_ < end) {
      step_until(now_ + 10ms);
    }
    return acknowledged_.size() > before;
  };
  // What was on its way when the troubles began may yet be acknowledged.
  step_until(now_ + 100ms);
  if (!wait(first_within)) {
    return fail("a majority is well, and acknowledges nothing for seconds");
  }
  // Clients find out whom to ask.
  step_until(now_ + first_within);
  for (const Moment end = now_ + kQuiet; failure_.empty() && now_ < end;) {
    if (!wait(kSilenceMost)) return fail("a majority is well, and is disturbed");
  }
}

}  // namespace keelson::simulation
