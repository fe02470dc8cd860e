#include "tests/simulation/real_cluster.h"

#include <algorithm>
#include <cstdio>

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSpares = 1;
constexpr std::size_t kClients = 3;
constexpr Moment kCoordinatorTimeout = 1s;

}  // namespace

/// The coordinator as one node reaches it.
class RealCluster::NodeCoordinator final : public replication::Coordinator {
 public:
  explicit NodeCoordinator(RealCluster& cluster) : cluster_(cluster) {}
  void get(std::string, Read done) override { cluster_.get(std::move(done)); }
  void compare_and_set(std::string, std::optional<replication::Record> expected, std::string value,
                       Swap done) override {
    cluster_.compare_and_set(std::move(expected), std::move(value), std::move(done));
  }
  std::unique_ptr<Watch> watch(std::string, std::function<void(const Change&)>) override {
    return nullptr;
  }
  std::unique_ptr<Presence> appear(std::string, std::string, std::chrono::seconds,
                                   replication::Revision) override {
    return nullptr;
  }

 private:
  RealCluster& cluster_;
};

RealCluster::RealCluster(std::uint64_t seed, std::size_t replicas, Faults faults)
    : random_(seed),
      faults_(faults),
      history_([this](const std::string& what) { fail(what); }),
      clients_(kClients) {
  for (std::size_t n = 0; n < replicas + kSpares; ++n) {
    nodes_.push_back(std::make_unique<RealNode>(
        time_, n, random_(),
        RealNode::Hooks{
            [this, n] { task_done(n); },
            [this, n](const Member& to, std::string message) { send(n, to, std::move(message)); },
            [this, n](const std::string& what) {
              log("node " + std::to_string(n) + ": " + what);
              if (nodes_[n]->disk.halted()) return;
              if (what.contains("begins anew")) ++beginnings_;
              if (what.contains("halts") || what.contains("cannot be read")) {
                fail("node " + std::to_string(n) + ": " + what);
              }
            }}));
    if (faults_.retention > 0) nodes_[n]->retention.bytes = log::kSegmentBytesMin;
    coordinators_.push_back(std::make_unique<NodeCoordinator>(*this));
    if (n < replicas) record_.replicas.push_back(nodes_[n]->self);
  }
  past_records_.emplace_back(record_, revision_);
  for (std::size_t n = 0; n < nodes_.size(); ++n) start(n);
  keep_connected();
  for (std::size_t c = 0; c < kClients; ++c) issue(c);
  read_linearizably();
  read_at_follower();
  operate();
}

RealCluster::~RealCluster() {
  for (auto& node : nodes_) node->stop();
  time_.clear();
}

std::uint64_t RealCluster::lives() const {
  std::uint64_t lives = 0;
  for (const auto& node : nodes_) lives += node->life;
  return lives;
}

// --- time ---

void RealCluster::step_until(Moment end) {
  while (failure_.empty() && time_.step(end)) {
  }
}

void RealCluster::fail(const std::string& what) {
  if (failure_.empty()) {
    failure_ = what + ", at " + std::to_string(time_.now().count() / 1'000'000) + " ms";
  }
  log("FAILURE " + what);
}

void RealCluster::log(const std::string& what) const {
  if (!trace) return;
  std::printf("%9.3f ms  %s\n", static_cast<double>(time_.now().count()) / 1e6, what.c_str());
}

bool RealCluster::chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

Moment RealCluster::delay(std::uint64_t least_us, std::uint64_t most_us) {
  return std::chrono::microseconds(least_us + random(most_us - least_us + 1));
}

// --- network ---

void RealCluster::send(std::size_t from, const Member& to, std::string message) {
  const std::size_t peer = to.node.value;
  if (nodes_[peer]->self != to) return;
  Link& l = link(from, peer);
  const std::size_t way = from < peer ? 0 : 1;
  if (l.connection == 0 || l.seen[way] != l.connection) return;
  if (faulty_ && chance(faults_.lost_message)) return;
  // What was on its way while the connection was made may come once more.
  const bool fresh = l.sent[way]++ < 3;
  const int copies = fresh && faulty_ && chance(faults_.repeated_message) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    l.last[way] = std::max(l.last[way], time_.now() + delay(20, chance(0.02) ? 20'000 : 400));
    after(l.last[way] - time_.now(), [this, from, peer, connection = l.connection, message] {
      deliver(from, peer, connection, message);
    });
  }
}

void RealCluster::deliver(std::size_t from, std::size_t to, std::uint64_t connection,
                          std::string message) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  if (l.connection != connection) return;
  if (l.blocked[way]) return l.held[way].push_back(std::move(message));
  see(to, from, connection);
  if (!nodes_[to]->up()) return;
  nodes_[to]->replica->on_message(nodes_[from]->self, std::move(message));
}

void RealCluster::connect(std::size_t a, std::size_t b) {
  Link& l = link(a, b);
  l.connection = ++connections_;
  l.sent[0] = l.sent[1] = 0;
  for (const std::size_t end : {a, b}) {
    const std::size_t peer = end == a ? b : a;
    after(delay(10, 3'000), [this, end, peer, connection = l.connection] {
      if (link(end, peer).connection == connection) see(end, peer, connection);
    });
  }
}

void RealCluster::see(std::size_t n, std::size_t peer, std::uint64_t connection) {
  Link& l = link(n, peer);
  std::uint64_t& seen = l.seen[n < peer ? 0 : 1];
  if (!nodes_[n]->up() || seen == connection || l.connection != connection) return;
  seen = connection;
  nodes_[n]->replica->on_connected(nodes_[peer]->self);
}

void RealCluster::disconnect(std::size_t a, std::size_t b) {
  Link& l = link(a, b);
  if (l.connection == 0) return;
  const std::uint64_t broken = std::exchange(l.connection, 0);
  for (const std::size_t way : {0u, 1u}) l.held[way].clear();
  for (const std::size_t end : {a, b}) {
    const std::size_t peer = end == a ? b : a;
    after(delay(10, 3'000), [this, end, peer, broken, gone = nodes_[peer]->self] {
      std::uint64_t& seen = link(end, peer).seen[end < peer ? 0 : 1];
      if (!nodes_[end]->up() || seen != broken) return;
      seen = 0;
      nodes_[end]->replica->on_disconnected(gone);
    });
  }
}

void RealCluster::unblock(std::size_t from, std::size_t to) {
  Link& l = link(from, to);
  const std::size_t way = from < to ? 0 : 1;
  l.blocked[way] = false;
  for (auto& message : std::exchange(l.held[way], {})) {
    l.last[way] = std::max(l.last[way], time_.now() + delay(10, 50));
    after(l.last[way] - time_.now(),
          [this, from, to, connection = l.connection, message = std::move(message)] {
            deliver(from, to, connection, message);
          });
  }
}

/// Nodes that are up connect again.
void RealCluster::keep_connected() {
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    for (std::size_t b = a + 1; b < nodes_.size(); ++b) {
      Link& l = link(a, b);
      const bool possible = nodes_[a]->up() && nodes_[b]->up() && !l.blocked[0] && !l.blocked[1];
      if (possible && l.connection == 0) connect(a, b);
    }
  }
  after(delay(5'000, 50'000), [this] { keep_connected(); });
}

// --- coordinator ---

void RealCluster::compare_and_set(std::optional<replication::Record> expected, std::string value,
                                  replication::Coordinator::Swap done) {
  struct Answer {
    replication::Coordinator::Swap done;
    void give(Result<replication::Coordinator::Swapped> swapped) {
      if (done) std::exchange(done, nullptr)(std::move(swapped));
    }
  };
  const auto answer = std::make_shared<Answer>(std::move(done));
  after(kCoordinatorTimeout, [answer] {
    answer->give(keelson::fail(Errc::outcome_unknown, "the coordinator does not answer"));
  });
  const bool late = faulty_ && chance(faults_.late_request);
  after(late ? delay(100'000, 4'000'000) : delay(200, 2'000), [this, expected,
                                                               value = std::move(value), answer] {
    if (!coordinator_up_) return;
    replication::Coordinator::Swapped result;
    result.swapped =
        expected == replication::Record{replication::encode_partition_record(record_), revision_};
    if (result.swapped) {
      const auto record = replication::decode_partition_record(value);
      if (!record) return fail("a record cannot be read");
      record_ = *record;
      ++revision_;
      past_records_.emplace_back(record_, revision_);
      log("record: epoch " + std::to_string(record_.epoch.value) + " leader " +
          std::to_string(record_.leader->node.value) +
          (record_.changing() ? ", changing members" : ""));
      announce();
    }
    result.current = replication::Record{replication::encode_partition_record(record_), revision_};
    if (faulty_ && chance(faults_.lost_answer)) return;
    const bool late_answer = faulty_ && chance(faults_.late_request);
    after(late_answer ? delay(100'000, 900'000) : delay(200, 2'000),
          [answer, result] { answer->give(result); });
  });
}

void RealCluster::get(replication::Coordinator::Read done) {
  after(delay(200, 2'000), [this, done = std::move(done)]() mutable {
    if (!coordinator_up_) return;
    const bool late = faulty_ && chance(faults_.late_request);
    replication::Record record{replication::encode_partition_record(record_), revision_};
    after(late ? delay(100'000, 4'000'000) : delay(200, 2'000),
          [done = std::move(done), record = std::move(record)]() mutable {
            done(std::optional(std::move(record)));
          });
  });
}

void RealCluster::announce() {
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const bool stale = faulty_ && chance(faults_.stale_watch);
    after(stale ? delay(50'000, 3'000'000) : delay(200, 5'000),
          [this, n, record = record_, revision = revision_] {
            if (!coordinator_up_) return;
            show_record(n, record, revision);
            if (!faulty_ || !chance(faults_.stale_watch)) return;
            const auto& [old, then] = past_records_[random(past_records_.size())];
            show_record(n, old, then);
          });
  }
}

void RealCluster::show_record(std::size_t n, const PartitionRecord& record, Revision revision) {
  if (nodes_[n]->up()) nodes_[n]->replica->on_record(record, revision);
}

/// A watch begins with the record as it is; it is looked at now and then as well.
void RealCluster::look_at_record(std::size_t n, std::uint64_t life) {
  if (nodes_[n]->life != life) return;
  if (coordinator_up_) show_record(n, record_, revision_);
  after(delay(500'000, 1'500'000), [this, n, life] { look_at_record(n, life); });
}

// --- nodes ---

void RealCluster::start(std::size_t n) {
  RealNode& node = *nodes_[n];
  const auto started = node.start(*coordinators_[n]);
  if (node.disk.halted()) {
    log("node " + std::to_string(n) + " ends while it starts");
    return crash(n, chance(0.5));
  }
  if (!started) {
    const Errc code = started.error().code;
    if (code != Errc::disk_full && code != Errc::io_error) {
      return fail("node " + std::to_string(n) + " cannot start: " + started.error().message());
    }
    log("node " + std::to_string(n) + " cannot start: " + started.error().message());
    return crash(n, false);
  }
  log("node " + std::to_string(n) + " starts, epoch " +
      std::to_string(node.replica->status().epoch.value) + ", " +
      std::to_string(node.partition->appended().next_batch.value) + " batches");
  after(delay(100, 5'000), [this, n, life = node.life] { look_at_record(n, life); });
}

void RealCluster::crash(std::size_t n, bool power) {
  RealNode& node = *nodes_[n];
  const bool wipe = faulty_ && chance(faults_.wipe) && may_wipe(n);
  log("node " + std::to_string(n) + (power ? " loses power" : " is killed") +
      (wipe ? ", and its disk" : ""));
  node.stop();
  ++node.life;
  for (std::size_t peer = 0; peer < nodes_.size(); ++peer) {
    if (peer == n) continue;
    disconnect(n, peer);
    link(n, peer).seen[n < peer ? 0 : 1] = 0;
  }
  if (power) {
    node.disk.cut_power();
  } else {
    node.disk.kill();
  }
  if (wipe) node.wipe();
  node.dying = node.fail_sync = false;
  after(delay(5'000, 2'000'000), [this, n, life = node.life] {
    if (nodes_[n]->life == life) start(n);
  });
}

/// Never more disks than each list can do without.
bool RealCluster::may_wipe(std::size_t n) const {
  const auto can_lose = [&](const MemberList& list) {
    return majority(list, [&](const Member& member) {
      return member.node.value != n && nodes_[member.node.value]->self == member;
    });
  };
  return can_lose(record_.replicas) && (!record_.changing() || can_lose(record_.old_replicas));
}

/// After each task of the process.
void RealCluster::task_done(std::size_t n) {
  RealNode& node = *nodes_[n];
  if (node.disk.halted()) {
    if (std::exchange(node.dying, true)) return;
    after(Moment(0), [this, n, life = node.life] {
      if (nodes_[n]->life == life) crash(n, chance(0.5));
    });
    return;
  }
  if (!node.up()) return;
  const Moment spent = time_.spent();
  take_published(node);
  time_.forget_spent_since(spent);
  const auto status = node.replica->status();
  node.promised_ever = std::max(node.promised_ever, status.epoch);
  if (!node.partition->readable()) return;
  const std::uint64_t end = node.partition->end().value;
  if (end < node.read_ever) fail("reads at node " + std::to_string(n) + " go back");
  node.read_ever = end;
}

void RealCluster::take_published(RealNode& node) {
  const auto& log = node.partition->log();
  if (const BatchNo first = log.first_batch(); node.published < first) {
    if (first.value > history_.batches()) return fail("what is not committed has been removed");
    node.published = first;
    node.published_ever = std::max(node.published_ever, first);
  }
  while (node.published < log.published()) {
    const auto read = log.read_batches(node.published, node.published + 1, 1);
    if (node.disk.halted()) return;
    if (!read) return fail("what is published cannot be read: " + read.error().message());
    history_.publish(node.published.value, read->bytes);
    ++node.published;
    node.published_ever = std::max(node.published_ever, node.published);
    if (!failure_.empty()) return;
  }
}

// --- faults and operators ---

void RealCluster::inject(double rate, const std::function<void()>& fault) {
  if (chance(rate * 0.02)) fault();  // looked at 50 times a second
}

void RealCluster::run(Moment duration) {
  const Moment end = time_.now() + duration;
  const auto any = [this] { return random(nodes_.size()); };
  const auto crash_soon = [this](std::size_t n, bool power) {
    // In the middle of what it does to its disk, or between.
    if (chance(0.3) || !nodes_[n]->up()) return crash(n, power);
    nodes_[n]->disk.halt_after(1 + random(12));
  };
  while (time_.now() < end && failure_.empty()) {
    inject(faults_.process_crash, [&] { crash_soon(any(), false); });
    inject(faults_.power_cut, [&] {
      // Of all machines at once, now and then.
      if (!chance(0.15)) return crash_soon(any(), true);
      for (std::size_t n = 0; n < nodes_.size(); ++n) crash(n, true);
    });
    inject(faults_.pause, [&] {
      RealNode& node = *nodes_[any()];
      if (node.up()) {
        node.pause(time_.now() + delay(10'000, chance(0.3) ? 8'000'000 : 1'500'000));
      }
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
      const bool breaks = chance(0.5);
      after(delay(50'000, 3'000'000), [this, a, b, breaks] {
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
    inject(faults_.log_failure * 10, [&] {
      const std::size_t n = any();
      if (chance(0.3)) {
        nodes_[n]->fail_sync = true;
        return;
      }
      nodes_[n]->full = true;
      after(delay(10'000, 2'000'000), [this, n] { nodes_[n]->full = false; });
    });
    inject(faults_.coordinator_outage, [&] {
      coordinator_up_ = false;
      after(delay(100'000, 5'000'000), [this] { coordinator_up_ = true; });
    });
    inject(faults_.hand_over, [&] {
      RealNode& node = *nodes_[probable_leader()];
      const Member to = record_.replicas[random(record_.replicas.size())];
      if (node.up() && to != node.self) node.replica->hand_over(to, [](const Result<void>&) {});
    });
    step_until(time_.now() + 20ms);
  }
}

/// Without the disks that are gone, and some others now and then.
MemberList RealCluster::target_of_move() {
  MemberList target = record_.replicas;
  std::vector<Member> spare;
  for (const auto& node : nodes_) {
    if (!contains(target, node->self) && node->up()) spare.push_back(node->self);
  }
  std::shuffle(spare.begin(), spare.end(), random_);
  bool changed = false;
  for (Member& member : target) {
    const RealNode& node = *nodes_[member.node.value];
    const bool gone = node.self != member;
    const auto same = std::ranges::find(spare, node.self);
    if (!gone || spare.empty()) continue;
    const auto with = same != spare.end() ? same : spare.begin();
    member = *with;
    spare.erase(with);
    changed = true;
  }
  if (changed || !faulty_ || spare.empty() || !chance(faults_.membership_change * 0.3)) {
    return target;
  }
  if (chance(0.2) && target.size() > 3) {
    target.erase(target.begin() + static_cast<std::ptrdiff_t>(random(target.size())));
  } else {
    target[random(target.size())] = spare.front();
  }
  if (chance(0.3)) std::shuffle(target.begin(), target.end(), random_);
  return target;
}

void RealCluster::operate() {
  after(delay(200'000, 500'000), [this] { operate(); });
  RealNode& node = *nodes_[probable_leader()];
  if (!node.up() || record_.changing()) return;
  MemberList target = target_of_move();
  if (target == record_.replicas) return;
  log("node " + std::to_string(node.number) + " is asked for other members");
  node.replica->move(std::move(target), [this](const Result<void>& moved) {
    log("members: " + (moved ? "changed" : moved.error().message()));
  });
}

// --- when all is over ---

bool RealCluster::members_are_whole() const {
  return !record_.changing() && std::ranges::all_of(record_.replicas, [&](const Member& member) {
    return nodes_[member.node.value]->self == member;
  });
}

void RealCluster::progress(const char* who) {
  const std::size_t before = history_.acknowledged();
  const Moment begun = time_.now();
  while (failure_.empty() && (history_.acknowledged() < before + 10 || !members_are_whole())) {
    step_until(time_.now() + 100ms);
    if (time_.now() - begun < 60s) continue;
    for (const auto& node : nodes_) {
      if (!node->up()) continue;
      const auto status = node->replica->status();
      log("node " + std::to_string(node->number) + ": role " +
          std::to_string(static_cast<int>(status.role)) + ", promise " +
          std::to_string(status.epoch.value) + ", appended " +
          std::to_string(status.appended.value) + ", committed " +
          std::to_string(status.committed.value));
    }
    return fail(std::string("no progress with ") + who);
  }
}

void RealCluster::settle() {
  if (!failure_.empty()) return;
  log("faults end");
  faulty_ = false;
  coordinator_up_ = true;
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    nodes_[a]->slow = nodes_[a]->full = nodes_[a]->fail_sync = false;
    if (nodes_[a]->up()) nodes_[a]->pause(time_.now());
    nodes_[a]->disk.halt_after(0);
    for (std::size_t b = 0; b < nodes_.size(); ++b) {
      if (a != b) unblock(a, b);
    }
  }
  step_until(time_.now() + 6s);  // what was asked of the coordinator lands, and nodes start
  const auto possible = [&](const MemberList& list) {
    return majority(list, [&](const Member& m) { return nodes_[m.node.value]->self == m; });
  };
  if (!possible(record_.replicas) && !record_.changing()) return log("too many disks are gone");
  progress("all");
  clients_.clear();
  step_until(time_.now() + 5s);
  // Just then the preferred leader may be taking over, whose epoch begins with a batch more.
  const Moment patience = time_.now() + 5s;
  while (failure_.empty() && !has_all(record_.replicas) && time_.now() < patience) {
    step_until(time_.now() + 10ms);
  }
  if (failure_.empty()) check_equal_logs();
}

/// Whether each of these has, and shows, all that is committed.
bool RealCluster::has_all(const MemberList& members) const {
  return std::ranges::all_of(members, [&](const Member& member) {
    const RealNode& node = *nodes_[member.node.value];
    return node.up() && node.partition->appended().next_batch.value == history_.batches() &&
           node.published.value == history_.batches();
  });
}

/// Every member has all that is committed, in the same files, and has it after a loss of power.
void RealCluster::check_equal_logs() {
  std::map<std::string, std::string> files;
  for (const Member& member : record_.replicas) {
    RealNode& node = *nodes_[member.node.value];
    const std::string name = "node " + std::to_string(node.number);
    if (!node.up()) return fail(name + " is not up");
    if (node.partition->appended().next_batch.value != history_.batches() ||
        node.published.value != history_.batches()) {
      return fail(name + " has " + std::to_string(node.partition->appended().next_batch.value) +
                  " batches and shows " + std::to_string(node.published.value) + ", not the " +
                  std::to_string(history_.batches()) + " that are committed");
    }
    for (auto& [path, bytes] : node.disk.image()) {
      if (path.contains("/cut/")) continue;
      // Of a removed segment the index stays, under another name.
      std::string name_of = path;
      if (path.ends_with(".past")) name_of.replace(path.size() - 5, 5, ".idx");
      if (!path.ends_with(".seg") && !name_of.ends_with(".idx")) continue;
      // The rest of one that is sealed has been cut off.
      const std::string written = bytes.substr(0, bytes.find_last_not_of('\0') + 1);
      if (files.try_emplace(name_of, written).first->second != written) {
        return fail(name + " has another " + path);
      }
    }
  }
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    crash(n, true);
    if (!failure_.empty()) return;
    start(n);
  }
}

}  // namespace keelson::simulation
