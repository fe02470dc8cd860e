#include "tests/simulation/replica_cluster.h"

#include <algorithm>
#include <cstdio>

#include "engine/replication/rules.h"
#include "tests/simulation/model_node.h"
#include "tests/simulation/record_steps.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;
using replication::holds;
using replication::Rule;

constexpr std::size_t kSpares = 2;
constexpr std::size_t kClients = 3;
constexpr Moment kTick = 25ms;
constexpr Moment kCoordinatorTimeout = 1s;

}  // namespace

ReplicaCluster::ReplicaCluster(std::uint64_t seed, std::size_t replicas, Faults faults)
    : random_(seed), faults_(faults), clients_(kClients) {
  for (std::size_t n = 0; n < replicas + kSpares; ++n) {
    nodes_.push_back(std::make_unique<ModelNode>(*this, n));
    if (n < replicas) record_.replicas.push_back(nodes_[n]->self);
  }
  began_ = record_.replicas;
  past_records_.emplace_back(record_, revision_);
  stays_down_.resize(nodes_.size());
  seen_by_readers_.resize(nodes_.size());
  for (std::size_t n = 0; n < nodes_.size(); ++n) start(n);
  keep_connected();
  for (std::size_t c = 0; c < kClients; ++c) issue(c);
  read();
}

ReplicaCluster::~ReplicaCluster() = default;

// --- time ---

void ReplicaCluster::after(Moment wait, std::function<void()> run) {
  events_.push({now_ + wait, ++order_, std::move(run)});
}

void ReplicaCluster::step_until(Moment end) {
  while (failure_.empty() && !events_.empty() && events_.top().at <= end) {
    Event event = events_.top();
    events_.pop();
    now_ = event.at;
    event.run();
    check_readers();
    check_leaders();
  }
  now_ = std::max(now_, end);
}

void ReplicaCluster::fail(const std::string& what) {
  if (failure_.empty())
    failure_ = what + ", at " + std::to_string(now_.count() / 1'000'000) + " ms";
  log("FAILURE " + what);
}

void ReplicaCluster::log(const std::string& what) const {
  if (trace) std::printf("%9.3f ms  %s\n", static_cast<double>(now_.count()) / 1e6, what.c_str());
}

std::uint64_t ReplicaCluster::random(std::uint64_t below) { return random_() % below; }

bool ReplicaCluster::chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

Moment ReplicaCluster::delay(std::uint64_t least_us, std::uint64_t most_us) {
  return std::chrono::microseconds(least_us + random(most_us - least_us + 1));
}

void ReplicaCluster::on_node(std::size_t n, std::uint64_t life, std::function<void()> run) {
  ModelNode& node = *nodes_[n];
  if (!node.up || node.life != life) return;
  if (node.paused) return node.deferred.push_back(std::move(run));
  run();
}

// --- network ---

ReplicaCluster::Link& ReplicaCluster::link(std::size_t a, std::size_t b) {
  return links_[std::minmax(a, b)];
}

void ReplicaCluster::send(std::size_t from, std::size_t to, replication::Message message) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  if (l.connection == 0 || l.seen[way] != l.connection) return;
  if (faulty_ && chance(faults_.lost_message)) return;
  const int copies = faulty_ && chance(faults_.repeated_message) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    l.last[way] = std::max(l.last[way], now_ + delay(20, chance(0.02) ? 20'000 : 400));
    after(l.last[way] - now_, [this, from, to, connection = l.connection, message] {
      deliver(from, to, connection, message);
    });
  }
}

void ReplicaCluster::deliver(std::size_t from, std::size_t to, std::uint64_t connection,
                             replication::Message message) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  if (l.connection != connection) return;
  if (l.blocked[way]) return l.held[way].push_back(std::move(message));
  see(to, from, connection);
  // As who it had then: its disk may be wiped meanwhile.
  const Member sender = nodes_[from]->self;
  on_node(to, nodes_[to]->life, [this, from, to, connection, sender, message = std::move(message)] {
    if (link(from, to).seen[to < from ? 0 : 1] != connection) return;
    nodes_[to]->replica->on_message(sender, message, now_);
  });
}

void ReplicaCluster::connect(std::size_t a, std::size_t b) {
  Link& l = link(a, b);
  l.connection = ++connections_;
  for (const std::size_t end : {a, b}) {
    const std::size_t peer = end == a ? b : a;
    after(delay(10, 3'000), [this, end, peer, connection = l.connection] {
      if (link(end, peer).connection == connection) see(end, peer, connection);
    });
  }
}

void ReplicaCluster::see(std::size_t n, std::size_t peer, std::uint64_t connection) {
  on_node(n, nodes_[n]->life, [this, n, peer, connection] {
    Link& l = link(n, peer);
    std::uint64_t& seen = l.seen[n < peer ? 0 : 1];
    if (seen == connection || l.connection != connection) return;
    seen = connection;
    nodes_[n]->replica->on_connected(nodes_[peer]->self, now_);
  });
}

void ReplicaCluster::disconnect(std::size_t a, std::size_t b) {
  Link& l = link(a, b);
  if (l.connection == 0) return;
  const std::uint64_t broken = l.connection;
  l.connection = 0;
  for (const std::size_t way : {0u, 1u}) l.held[way].clear();
  for (const std::size_t end : {a, b}) {
    const std::size_t peer = end == a ? b : a;
    after(delay(10, 3'000), [this, end, peer, broken] {
      on_node(end, nodes_[end]->life, [this, end, peer, broken] {
        std::uint64_t& seen = link(end, peer).seen[end < peer ? 0 : 1];
        if (seen != broken) return;
        seen = 0;
        nodes_[end]->replica->on_disconnected(nodes_[peer]->self, now_);
      });
    });
  }
}

void ReplicaCluster::unblock(std::size_t from, std::size_t to) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  l.blocked[way] = false;
  std::deque<replication::Message> held;
  held.swap(l.held[way]);
  for (auto& message : held) {
    l.last[way] = std::max(l.last[way], now_ + delay(10, 50));
    after(l.last[way] - now_,
          [this, from, to, connection = l.connection, message = std::move(message)] {
            deliver(from, to, connection, message);
          });
  }
}

/// Nodes that are up connect again, and their clocks tick.
void ReplicaCluster::keep_connected() {
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    for (std::size_t b = a + 1; b < nodes_.size(); ++b) {
      Link& l = link(a, b);
      const bool possible = nodes_[a]->up && nodes_[b]->up && !l.blocked[0] && !l.blocked[1];
      if (possible && l.connection == 0) connect(a, b);
    }
  }
  after(delay(5'000, 50'000), [this] { keep_connected(); });
}

// --- coordinator ---

void ReplicaCluster::compare_and_set(std::size_t n, const PartitionRecord& replaced,
                                     Revision expected, const PartitionRecord& wanted) {
  const std::uint64_t life = nodes_[n]->life;
  const auto answered = std::make_shared<bool>(false);
  const auto answer = [this, n, life, answered](std::function<void()> run) {
    on_node(n, life, [answered, run = std::move(run)] {
      if (!std::exchange(*answered, true)) run();
    });
  };
  after(kCoordinatorTimeout,
        [this, n, answer] { answer([this, n] { nodes_[n]->replica->on_swap_unknown(now_); }); });
  const bool late = faulty_ && chance(faults_.late_request);
  const Moment arrives = late ? delay(100'000, 4'000'000) : delay(200, 2'000);
  after(arrives, [this, n, replaced, expected, wanted, answer] {
    if (!coordinator_up_) return;
    if (lost_) {
      return after(delay(200, 2'000), [this, n, answer] {
        answer([this, n] { nodes_[n]->replica->on_record_missing(now_); });
      });
    }
    // What was asked before the record was lost may arrive after it was made anew.
    const bool swapped = holds(Rule::compare_revisions)
                             ? revision_ == expected && record_ == replaced
                             : record_.epoch == replaced.epoch;
    if (swapped) {
      if (!is_one_step(record_, wanted)) fail("a record does not follow from the one before");
      record_ = wanted;
      ++revision_;
      past_records_.emplace_back(record_, revision_);
      log("record: epoch " + std::to_string(record_.epoch.value) + " leader " +
          std::to_string(record_.leader->node.value) +
          (record_.changing() ? ", changing members" : ""));
      announce();
    }
    if (faulty_ && chance(faults_.lost_answer)) return;
    const bool late_answer = faulty_ && chance(faults_.late_request);
    after(late_answer ? delay(100'000, 900'000) : delay(200, 2'000),
          [this, n, swapped, record = record_, revision = revision_, answer] {
            answer([this, n, swapped, record, revision] {
              if (swapped) {
                nodes_[n]->replica->on_swapped(revision, now_);
              } else {
                nodes_[n]->replica->on_not_swapped(record, revision, now_);
              }
            });
          });
  });
}

void ReplicaCluster::read_record(std::size_t n, std::uint64_t read) {
  after(delay(200, 2'000), [this, n, read, life = nodes_[n]->life, incarnation = incarnation_] {
    if (!coordinator_up_ || nodes_[n]->life != life || incarnation != incarnation_) return;
    const bool late = faulty_ && chance(faults_.late_request);
    const Moment way = late ? delay(100'000, 4'000'000) : Moment(0);
    if (lost_) {
      return after(way, [this, n, read, life] {
        on_node(n, life, [this, n, read] { nodes_[n]->replica->on_record_gone(read); });
      });
    }
    after(way, [this, n, read, life, record = record_, revision = revision_] {
      if (nodes_[n]->life == life) show_record(n, record, revision, read);
    });
  });
}

void ReplicaCluster::announce() {
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const bool stale = faulty_ && chance(faults_.stale_watch);
    const Moment wait = stale ? delay(50'000, 3'000'000) : delay(200, 5'000);
    after(wait, [this, n, record = record_, revision = revision_] {
      if (!coordinator_up_ || lost_) return;
      show_record(n, record, revision);
      if (!faulty_ || !chance(faults_.stale_watch)) return;
      const auto& [old, then] = past_records_[random(past_records_.size())];
      show_record(n, old, then);
    });
  }
}

void ReplicaCluster::show_record(std::size_t n, const PartitionRecord& record, Revision revision,
                                 std::uint64_t read) {
  after(delay(200, 2'000), [this, n, record, revision, read, life = nodes_[n]->life] {
    on_node(n, life, [this, n, record, revision, read] {
      if (read != 0) {
        nodes_[n]->replica->on_record_read(read, record, revision, now_);
      } else {
        nodes_[n]->replica->on_record(record, revision, now_);
      }
      nodes_[n]->keep_record();
    });
  });
}

/// Its revisions begin again, or go on by chance where they were.
void ReplicaCluster::lose_coordinator() {
  if (lost_) return;
  log("the coordinator loses its record");
  lost_ = true;
  ++incarnation_;
  if (chance(0.3)) {
    // It was the wrong one that was empty, and the right one is back.
    after(delay(300'000, 6'000'000),
          [this, revision = revision_, loss = incarnation_] { come_back(revision, loss); });
  }
  if (!chance(0.2)) revision_ = Revision(1 + random(40));
  // One operator at a time.
  if (!std::exchange(rebuilding_, true)) {
    after(delay(100'000, 3'000'000), [this] { rebuild(); });
  }
}

/// As it was, unless it has been made anew.
void ReplicaCluster::come_back(Revision revision, std::uint64_t loss) {
  if (!lost_ || loss != incarnation_) return;
  lost_ = false;
  ++incarnation_;
  revision_ = revision;
  log("the coordinator has its record again");
  announce();
}

/// Somebody obeys nobody before an epoch that the record has not reached: a rebuild was begun.
bool ReplicaCluster::anyone_pledged() const {
  return std::ranges::any_of(nodes_, [&](const auto& node) {
    return record_.has(node->self) && node->promised.led < node->promised.epoch &&
           node->promised.epoch > record_.epoch;
  });
}

void ReplicaCluster::rebuild() {
  rebuilding_ = lost_ || record_.generation != generation_ || anyone_pledged();
  if (!rebuilding_) return;
  after(delay(300'000, 800'000), [this] { rebuild(); });
  std::map<Member, keelson::cluster::PartitionTestimony> said;
  for (const auto& node : nodes_) {
    // One that does not run is asked by its folder, as it is on the disk.
    if (node->paused || (faulty_ && chance(0.2))) continue;
    auto& one = said[node->self];
    one.promise = node->promised;
    one.last = node->last;
    one.end = node->log.end();
    if (node->up && node->replica->record()) {
      one.last = {*node->replica->record(), node->replica->revision()};
    }
  }
  std::optional<keelson::cluster::LastRecord> there;
  if (!lost_) there = {record_, revision_};
  const auto made = keelson::cluster::rebuild_record(said, there, began_, generation_ + 1);
  if (!made) return fail("no record can be made: " + made.error().message());
  doubt_ = made->doubts.empty() ? "" : made->doubts.front();
  if (!doubt_.empty()) return log("no record is made: " + doubt_);
  if (!made->record) return;
  const Epoch epoch = made->record->epoch;
  const auto pledged = std::make_shared<Pledges>();
  for (const Member& member : made->record->members()) {
    ModelNode& node = *nodes_[member.node.value];
    if (!said.contains(member) || node.self != member) continue;
    if (!node.up) {
      const replication::Promise before = node.promised;
      if (before.epoch >= epoch) continue;
      node.promise = node.promised.epoch = epoch;
      pledged->emplace(member, before);
      continue;
    }
    on_node(node.number, node.life, [this, &node, epoch, pledged] {
      const replication::Promise before = node.replica->promised();
      if (!node.replica->pledge(epoch, now_)) return;
      // So late, after a pause, that nobody may be at it any more.
      if (!std::exchange(rebuilding_, true)) after(300ms, [this] { rebuild(); });
      await_pledge(node.number, node.life, epoch, before, pledged);
    });
  }
  after(delay(5'000, 250'000),
        [this, made = *made, there, pledged] { finish_rebuild(made, there, *pledged); });
}

void ReplicaCluster::await_pledge(std::size_t n, std::uint64_t life, Epoch epoch,
                                  const replication::Promise& before,
                                  const std::shared_ptr<Pledges>& pledged) {
  ModelNode& node = *nodes_[n];
  if (!node.up || node.life != life) return;
  if (node.replica->promise() >= epoch) {
    pledged->emplace(node.self, before);
    return;
  }
  after(5ms, [=, this] { await_pledge(n, life, epoch, before, pledged); });
}

void ReplicaCluster::finish_rebuild(const keelson::cluster::RebuiltRecord& made,
                                    const std::optional<keelson::cluster::LastRecord>& there,
                                    const Pledges& pledged) {
  const bool as_it_was = lost_ ? !there && made.record->generation == generation_ + 1
                               : there && there->record == record_ && there->revision == revision_;
  if (!as_it_was) return;
  if (const auto fenced = keelson::cluster::check_fenced(made, pledged); !fenced) {
    return log("not fenced: " + fenced.error().context);
  }
  record_ = *made.record;
  generation_ = record_.generation;
  ++revision_;
  lost_ = false;
  past_records_.emplace_back(record_, revision_);
  log("record made anew: epoch " + std::to_string(record_.epoch.value) + " at revision " +
      std::to_string(revision_.value));
  announce();
}

// --- nodes ---

void ReplicaCluster::start(std::size_t n) {
  nodes_[n]->start(now_);
  log("node " + std::to_string(n) + " starts, promise " + std::to_string(nodes_[n]->promise.value) +
      ", " + std::to_string(nodes_[n]->log.batches.size()) + " batches");
  const std::uint64_t life = nodes_[n]->life;
  // A watch begins with the record as it is; it is looked at now and then as well.
  const auto look = std::make_shared<std::function<void()>>();
  *look = [this, n, life, weak = std::weak_ptr(look)] {
    if (nodes_[n]->life != life) return;
    if (coordinator_up_ && !lost_) show_record(n, record_, revision_);
    if (const auto again = weak.lock()) {
      after(delay(500'000, 1'500'000), [again] { (*again)(); });
    }
  };
  after(delay(100, 5'000), [look] { (*look)(); });
  const auto tick = std::make_shared<std::function<void()>>();
  *tick = [this, n, life, weak = std::weak_ptr(tick)] {
    if (nodes_[n]->life != life) return;
    if (!nodes_[n]->paused) nodes_[n]->replica->on_tick(now_);
    if (const auto again = weak.lock()) after(kTick, [again] { (*again)(); });
  };
  after(delay(0, 25'000), [tick] { (*tick)(); });
}

void ReplicaCluster::crash(std::size_t n, bool power) {
  ModelNode& node = *nodes_[n];
  if (!node.up) return power ? node.lose_power() : void();  // after it was killed
  // Never more disks than a list can do without; but a change of members can be taken back.
  const auto can_lose = [&](const MemberList& list) {
    return majority(list, [&](const Member& member) {
      return member.node.value != n && nodes_[member.node.value]->self == member;
    });
  };
  const bool wipe = faulty_ && chance(faults_.wipe) &&
                    can_lose(record_.changing() ? record_.old_replicas : record_.replicas);
  log("node " + std::to_string(n) + (power ? " loses power" : " is killed") +
      (wipe ? ", and its disk" : ""));
  if (node.storing_ && chance(0.5) && node.being_stored_ >= node.promise) {
    node.promise = node.being_stored_;
    node.promised = node.being_promised_;
  }
  node.stop();
  node.storing_ = false;
  for (std::size_t peer = 0; peer < nodes_.size(); ++peer) {
    if (peer == n) continue;
    disconnect(n, peer);
    link(n, peer).seen[n < peer ? 0 : 1] = 0;
  }
  ModelLog& log = node.log;
  if (power) node.lose_power();
  if (wipe) {
    log.batches.clear();
    log.fetched.clear();
    log.durable = log.removed = 0;
    node.promise = Epoch(0);
    node.promised = {};
    node.last.reset();
    node.self.data.bytes[1] = std::byte(std::to_integer<int>(node.self.data.bytes[1]) + 1);
  }
  after(delay(5'000, 2'000'000), [this, n] {
    if (!nodes_[n]->up && !stays_down_[n]) start(n);
  });
}

void ReplicaCluster::wake(std::size_t n, std::uint64_t life) {
  ModelNode& node = *nodes_[n];
  if (node.life != life) return;
  node.paused = false;
  while (!node.deferred.empty() && node.life == life && !node.paused) {
    const auto run = std::move(node.deferred.front());
    node.deferred.pop_front();
    run();
  }
}

void ReplicaCluster::change_members() {
  for (auto& node : nodes_) {
    if (!node->up || !node->serving_) continue;
    MemberList target = record_.replicas;
    const bool grow = target.size() == 3 && chance(0.2) && nodes_.size() >= 5;
    std::vector<Member> spare;
    for (const auto& other : nodes_) {
      if (!contains(target, other->self)) spare.push_back(other->self);
    }
    if (spare.empty()) return;
    std::shuffle(spare.begin(), spare.end(), random_);
    if (chance(0.3)) {
      // Any of all nodes, fewer of them perhaps.
      target.insert(target.end(), spare.begin(), spare.end());
      std::shuffle(target.begin(), target.end(), random_);
      target.resize(target.size() > 5 && chance(0.5) ? 5 : 3);
    } else if (grow && spare.size() >= 2) {
      target.push_back(spare[0]);
      target.push_back(spare[1]);
    } else {
      target[random(target.size())] = spare[0];
    }
    const std::size_t n = node->number;
    node->replica->catch_up(target, now_);
    after(delay(1'000, 500'000), [this, n, life = node->life, target] {
      on_node(n, life, [this, n, target] {
        if (!faulty_) return;
        const auto changed = nodes_[n]->replica->change_members(target, now_);
        log(changed ? "members are to change" : "members cannot change");
      });
    });
    return;
  }
}

void ReplicaCluster::inject(double rate, const std::function<void()>& fault) {
  if (chance(rate * 0.02)) fault();  // looked at 50 times a second
}

void ReplicaCluster::run(Moment duration) {
  const Moment end = now_ + duration;
  const auto any = [this] { return random(nodes_.size()); };
  while (now_ < end && failure_.empty()) {
    inject(faults_.process_crash, [&] { crash(any(), false); });
    inject(faults_.power_cut, [&] {
      // Of all machines at once, now and then.
      if (!chance(0.15)) return crash(any(), true);
      for (std::size_t n = 0; n < nodes_.size(); ++n) crash(n, true);
    });
    inject(faults_.pause, [&] {
      const std::size_t n = any();
      if (!nodes_[n]->up || nodes_[n]->paused) return;
      nodes_[n]->paused = true;
      after(delay(10'000, chance(0.3) ? 8'000'000 : 1'500'000),
            [this, n, life = nodes_[n]->life] { wake(n, life); });
    });
    inject(faults_.connection_break, [&] {
      const std::size_t a = any();
      const std::size_t b = any();
      if (a != b) disconnect(a, b);
    });
    inject(faults_.partition, [&] {
      const std::size_t a = any();
      const std::size_t b = any();
      if (a == b) return;
      link(a, b).blocked[a < b ? 0 : 1] = true;
      if (chance(0.5)) link(a, b).blocked[a < b ? 1 : 0] = true;
      const Moment lasts = delay(50'000, 3'000'000);
      const bool breaks = chance(0.5);
      after(lasts, [this, a, b, breaks] {
        if (breaks) disconnect(a, b);
        unblock(a, b);
        unblock(b, a);
      });
    });
    inject(faults_.slow_disk, [&] {
      const std::size_t n = any();
      nodes_[n]->slow = true;
      after(delay(100'000, 4'000'000), [this, n] { nodes_[n]->slow = false; });
    });
    inject(faults_.coordinator_outage, [&] {
      coordinator_up_ = false;
      after(delay(100'000, 5'000'000), [this] { coordinator_up_ = true; });
    });
    inject(faults_.coordinator_loss, [&] { lose_coordinator(); });
    inject(faults_.membership_change, [&] { change_members(); });
    inject(faults_.hand_over, [&] {
      for (auto& node : nodes_) {
        if (!node->up || !node->serving_ || node->paused) continue;
        const Member to = record_.replicas[random(record_.replicas.size())];
        if (to != node->self) [[maybe_unused]]
          const auto asked = node->replica->hand_over(to, now_);
      }
    });
    if (faults_.retention > 0) {
      inject(faults_.retention, [&] {
        ModelNode& node = *nodes_[any()];
        ModelLog& log = node.log;
        if (node.up && log.published > log.removed) {
          log.removed += random(log.published - log.removed + 1);
          log.fetched.clear();
        }
      });
    }
    step_until(now_ + 20ms);
  }
}

void ReplicaCluster::end_faults() {
  log("faults end");
  faulty_ = false;
  coordinator_up_ = true;
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    for (std::size_t b = 0; b < nodes_.size(); ++b) {
      if (a != b) unblock(a, b);
    }
  }
  step_until(now_ + 6s);  // what was asked of the coordinator lands
  for (int i = 0; i < 60 && (lost_ || anyone_pledged()) && failure_.empty(); ++i) {
    step_until(now_ + 500ms);
  }
}

void ReplicaCluster::settle() {
  if (!failure_.empty()) return;
  end_faults();
  if (lost_ || anyone_pledged()) return log("an operator would have to use force: " + doubt_);
  // First a majority of each list, then all.
  const auto keep = [this](const MemberList& list, std::set<std::size_t>& up) {
    std::vector<std::size_t> members;
    for (const Member& member : list) {
      // One that is wiped is gone for good.
      if (nodes_[member.node.value]->self == member) members.push_back(member.node.value);
    }
    std::shuffle(members.begin(), members.end(), random_);
    for (std::size_t i = 0; i < members.size() && i <= list.size() / 2; ++i) up.insert(members[i]);
  };
  std::set<std::size_t> majority;
  keep(record_.replicas, majority);
  keep(record_.old_replicas, majority);
  const bool possible = keelson::replication::majority(
      record_.changing() ? record_.old_replicas : record_.replicas,
      [&](const Member& member) { return nodes_[member.node.value]->self == member; });
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    stays_down_[n] = !majority.contains(n);
    nodes_[n]->slow = false;
    if (stays_down_[n]) {
      crash(n, false);
    } else if (!nodes_[n]->up) {
      start(n);
    }
  }
  if (!possible) return log("a majority has lost its disks");
  const auto progress = [this](const char* who) {
    const std::size_t before = acknowledged_.size();
    const Moment begun = now_;
    while (failure_.empty() && acknowledged_.size() < before + 10) {
      if (now_ - begun > 60s) {
        for (const auto& node : nodes_) {
          if (!node->up) continue;
          log("node " + std::to_string(node->number) + ": role " +
              std::to_string(static_cast<int>(node->replica->role())) + ", promise " +
              std::to_string(node->replica->promise().value) + ", " +
              std::to_string(node->log.durable) + " of " +
              std::to_string(node->log.batches.size()) + " durable, " +
              std::to_string(node->log.published) + " published, " +
              (node->serving_ ? "serving" : "not serving") + (node->paused ? ", paused" : ""));
        }
        return fail(std::string("no progress with ") + who);
      }
      step_until(now_ + 100ms);
    }
  };
  progress("a majority");
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    stays_down_[n] = false;
    if (!nodes_[n]->up) start(n);
  }
  progress("all");
  // No more commands: every log becomes what is committed.
  clients_.clear();
  step_until(now_ + 5s);
  if (!failure_.empty()) return;
  for (const Member& member : record_.replicas) {
    const ModelNode& node = *nodes_[member.node.value];
    if (node.self == member && node.up && node.log.batches != truth_) {
      fail("node " + std::to_string(node.number) + " has " +
           std::to_string(node.log.batches.size()) + " batches, not the " +
           std::to_string(truth_.size()) + " that are committed");
    }
  }
}

// --- invariants ---

void ReplicaCluster::check_published(std::size_t n, std::size_t from, std::size_t to) {
  const ModelNode& node = *nodes_[n];
  for (std::size_t i = from; i < to; ++i) {
    const ModelBatch& batch = node.log.batches[i];
    if (i < truth_.size()) {
      if (batch != truth_[i])
        return fail("node " + std::to_string(n) + " publishes another batch " + std::to_string(i));
      continue;
    }
    truth_.push_back(batch);
    if (batch.command != 0 && !where_.try_emplace(batch.command, i).second) {
      return fail("a command is committed twice");
    }
    const auto holds = [&](const Member& member) {
      const ModelNode& other = *nodes_[member.node.value];
      return other.self != member || (other.log.durable > i && other.log.batches[i] == batch);
    };
    if (node.replica && node.replica->record() && !node.replica->record()->agreed(holds)) {
      return fail("batch " + std::to_string(i) + " is committed without a majority that holds it");
    }
  }
}

/// Nobody leads who knows that another one has the next epoch (rule 12).
void ReplicaCluster::check_leaders() {
  for (const auto& node : nodes_) {
    if (!node->up || node->replica->role() == replication::Replica::Role::following) continue;
    const auto& record = node->replica->record();
    if (record->epoch > node->replica->promise() && record->leader != node->self) {
      fail("node " + std::to_string(node->number) + " leads against a later record");
    }
  }
}

void ReplicaCluster::check_readers() {
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const ModelNode& node = *nodes_[n];
    if (!node.up || !node.replica->readable()) continue;
    if (node.log.published < seen_by_readers_[n]) fail("reads at a node go backwards");
    seen_by_readers_[n] = node.log.published;
  }
}

}  // namespace keelson::simulation
