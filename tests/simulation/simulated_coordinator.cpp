#include "tests/simulation/simulated_coordinator.h"

#include <utility>

#include "engine/replication/partition_record.h"
#include "engine/replication/rules.h"

namespace keelson::simulation {

using replication::Coordinator;
using replication::holds;
using replication::Rule;

namespace {

using namespace std::chrono_literals;

constexpr Moment kTimeout = 1s;
constexpr Moment kSignOfLife = 300ms;

/// What would be compared without rule 1.
bool of_one_epoch(const std::optional<Record>& a, const std::optional<Record>& b) {
  if (!a || !b) return false;
  const auto one = replication::decode_partition_record(a->value);
  const auto other = replication::decode_partition_record(b->value);
  return one && other && one->epoch == other->epoch;
}

/// Answers once, whoever comes first.
template <class Done>
class Answer {
 public:
  explicit Answer(Done done) : done_(std::move(done)) {}
  template <class Result>
  void give(Result result) {
    if (done_) std::exchange(done_, nullptr)(std::move(result));
  }

 private:
  Done done_;
};

}  // namespace

class SimulatedCoordinator::Connection final : public Coordinator {
 public:
  Connection(SimulatedCoordinator& coordinator, ProcessPtr process)
      : coordinator_(coordinator), process_(std::move(process)) {}

  void get(std::string key, Read done) override {
    coordinator_.get(process_, std::move(key), std::move(done));
  }
  void compare_and_set(std::string key, std::optional<Record> expected, std::string value,
                       Swap done) override {
    coordinator_.compare_and_set(process_, std::move(key), std::move(expected), std::move(value),
                                 std::move(done));
  }
  std::unique_ptr<Watch> watch(std::string prefix,
                               std::function<void(const Change&)> changed) override {
    auto watcher = std::make_shared<Watcher>(process_, std::move(prefix), std::move(changed));
    coordinator_.watchers_.push_back(watcher);
    coordinator_.world_.after(coordinator_.world_.delay(100, 5'000),
                              [&coordinator = coordinator_, weak = std::weak_ptr(watcher)] {
                                coordinator.look_again(weak);
                              });
    return std::make_unique<replication::RecordWatch>(std::move(watcher));
  }
  std::unique_ptr<Presence> appear(std::string key, std::string value,
                                   std::chrono::seconds time_to_live,
                                   std::optional<Record> replaces) override;

 private:
  SimulatedCoordinator& coordinator_;
  const ProcessPtr process_;
};

class SimulatedCoordinator::Present final : public Coordinator::Presence {
 public:
  explicit Present(std::shared_ptr<Lease> lease) : lease_(std::move(lease)) {}
  ~Present() override { lease_->dropped = true; }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;

 private:
  const std::shared_ptr<Lease> lease_;
};

std::unique_ptr<Coordinator::Presence> SimulatedCoordinator::Connection::appear(
    std::string key, std::string value, std::chrono::seconds time_to_live,
    std::optional<Record> replaces) {
  auto lease = std::make_shared<Lease>();
  lease->process = process_;
  lease->key = std::move(key);
  lease->value = std::move(value);
  lease->time_to_live = time_to_live;
  lease->replaces = std::move(replaces);
  coordinator_.leases_.push_back(lease);
  return std::make_unique<Present>(std::move(lease));
}

std::unique_ptr<Coordinator> SimulatedCoordinator::connect(const ProcessPtr& process) {
  return std::make_unique<Connection>(*this, process);
}

std::optional<Record> SimulatedCoordinator::record(const std::string& key) const {
  const auto found = records_.find(key);
  return found == records_.end() ? std::nullopt : std::optional(found->second.record);
}

// --- requests ---

void SimulatedCoordinator::get(const ProcessPtr& process, std::string key, Coordinator::Read done) {
  if (process->starting) return done(record(key));
  const auto answer = std::make_shared<Answer<Coordinator::Read>>(std::move(done));
  using Found = Result<std::optional<Record>>;
  world_.after(kTimeout, [answer] {
    answer->give(Found(fail(Errc::timeout, "the coordinator does not answer")));
  });
  world_.after(world_.delay(200, 2'000), [this, process, key = std::move(key), answer] {
    if (!reaches(*process)) return;
    const bool late = world_.mishap(world_.faults.late_request);
    world_.after(late ? world_.delay(100'000, 900'000) : world_.delay(200, 2'000),
                 [answer, found = record(key)] { answer->give(Found(found)); });
  });
}

void SimulatedCoordinator::compare_and_set(const ProcessPtr& process, std::string key,
                                           std::optional<Record> expected, std::string value,
                                           Coordinator::Swap done) {
  if (process->starting) return done(swap(key, expected, std::move(value)));
  const auto answer = std::make_shared<Answer<Coordinator::Swap>>(std::move(done));
  using Swapped = Result<Coordinator::Swapped>;
  world_.after(kTimeout, [answer] {
    answer->give(Swapped(fail(Errc::outcome_unknown, "the coordinator does not answer")));
  });
  // What has been sent lands, even if who sent it is over by then.
  const bool lost = !reaches(*process);
  const bool late = world_.mishap(world_.faults.late_request);
  world_.after(late ? world_.delay(100'000, 4'000'000) : world_.delay(200, 2'000),
               [this, lost, key = std::move(key), expected, value = std::move(value), answer] {
                 if (lost || !up_) return;
                 const auto result = swap(key, expected, value);
                 if (world_.mishap(world_.faults.lost_answer)) return;
                 const bool late_answer = world_.mishap(world_.faults.late_request);
                 world_.after(
                     late_answer ? world_.delay(100'000, 900'000) : world_.delay(200, 2'000),
                     [answer, result] { answer->give(Swapped(result)); });
               });
}

Coordinator::Swapped SimulatedCoordinator::swap(const std::string& key,
                                                const std::optional<Record>& expected,
                                                std::string value) {
  Coordinator::Swapped result;
  const auto known = record(key);
  result.swapped =
      known == expected || (!holds(Rule::compare_revisions) && of_one_epoch(known, expected));
  if (result.swapped) put(key, std::move(value), nullptr);
  result.current = record(key);
  return result;
}

void SimulatedCoordinator::put(const std::string& key, std::string value,
                               std::shared_ptr<const Lease> lease) {
  const auto last = record(key);
  Held& held = records_[key];
  held = {Record{std::move(value), ++last_}, std::move(lease)};
  past_[key].push_back(held.record);
  if (on_written) on_written(key, last, held.record);
  announce(key);
}

void SimulatedCoordinator::remove(const std::string& key, const Lease& lease) {
  const auto found = records_.find(key);
  if (found == records_.end() || found->second.lease.get() != &lease) return;
  ++last_;
  records_.erase(found);
  announce(key);
}

// --- watches ---

void SimulatedCoordinator::announce(const std::string& key) {
  std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
  for (const auto& weak : watchers_) {
    const auto watcher = weak.lock();
    if (!watcher || !key.starts_with(watcher->prefix)) continue;
    const bool stale = world_.mishap(world_.faults.stale_watch);
    world_.after(stale ? world_.delay(50'000, 3'000'000) : world_.delay(200, 5'000),
                 [this, weak, key, then = record(key)] {
                   const auto to = weak.lock();
                   if (!to) return;
                   tell(to, key, then);
                   if (!world_.mishap(world_.faults.stale_watch)) return;
                   const auto& past = past_[key];
                   tell(to, key, past[world_.random(past.size())]);
                 });
  }
}

/// What has changed meanwhile, the way to it being broken, it hears of when it looks again.
void SimulatedCoordinator::tell(const WatcherPtr& watcher, const std::string& key,
                                std::optional<Record> record) {
  if (!reaches(*watcher->process) || watcher->dropped()) return;
  // That it was gone for a while is left out; a record has a revision, and may come late.
  if (!record && records_.contains(key)) return;
  if (record) {
    watcher->told.insert(key);
  } else {
    watcher->told.erase(key);
  }
  watcher->tell({key, std::move(record)});
}

/// All records as they are: at the beginning, and whenever the watch has been broken.
void SimulatedCoordinator::look_again(const std::weak_ptr<Watcher>& weak) {
  const auto watcher = weak.lock();
  if (!watcher || watcher->dropped() || watcher->process->over) return;
  std::set<std::string> gone = watcher->told;
  for (const auto& [key, held] : records_) {
    if (!key.starts_with(watcher->prefix)) continue;
    gone.erase(key);
    tell(watcher, key, held.record);
  }
  for (const std::string& key : gone) tell(watcher, key, std::nullopt);
  world_.after(world_.delay(500'000, 1'500'000), [this, weak] { look_again(weak); });
}

// --- presence ---

void SimulatedCoordinator::keep_presences() {
  for (auto it = leases_.begin(); it != leases_.end();) {
    Lease& lease = **it;
    const auto held = records_.find(lease.key);
    const bool there = held != records_.end();
    const bool ours = there && held->second.lease.get() == &lease;
    // Somebody else's is waited for.
    const bool free =
        !there || held->second.record.value == lease.value || held->second.record == lease.replaces;
    if (lease.dropped && !lease.process->over) {
      remove(lease.key, lease);
      it = leases_.erase(it);
      continue;
    }
    // While the coordinator is away it lets nobody expire.
    const bool awake = !lease.process->over && !lease.dropped && lease.process->awake();
    if (!up_ || (awake && reaches(*lease.process))) lease.last_sign = world_.now();
    if (up_ && awake && reaches(*lease.process) && !ours && free) {
      put(lease.key, lease.value, *it);
    }
    if (world_.now() - lease.last_sign > lease.time_to_live) {
      remove(lease.key, lease);
      if (lease.process->over) {
        it = leases_.erase(it);
        continue;
      }
    }
    ++it;
  }
  world_.after(kSignOfLife, [this] { keep_presences(); });
}

}  // namespace keelson::simulation
