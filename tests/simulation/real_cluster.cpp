#include "tests/simulation/real_cluster.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/cluster/cluster_records.h"
#include "engine/log/log_format.h"
#include "tests/simulation/record_steps.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSparesMax = 2;

std::string text_of(const MemberList& members) {
  std::string text;
  for (const Member& member : members) text += " " + std::to_string(number_of(member));
  return text;
}

}  // namespace

RealCluster::RealCluster(std::uint64_t seed, std::size_t replicas, const Faults& faults,
                         const Lies& lies)
    : world_(seed, faults),
      coordinator_(world_),
      replicas_(replicas),
      keys_(RealNode::kCluster),
      nodes_(replicas + 1 + world_.random(kSparesMax)),
      network_(world_, nodes_.size()) {
  coordinator_.on_written = [this](const std::string& key, const auto& last, const auto& next) {
    on_written(key, last, next);
  };
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    nodes_[n] = std::make_unique<RealNode>(
        world_, n, lies,
        RealNode::Hooks{[this, n] { on_task_done(n); },
                        [this, n] {
                          const double often =
                              world_.faults.process_crash + world_.faults.power_cut;
                          if (!world_.mishap(often * 0.02)) return;
                          nodes_[n]->disk.halt_after(1 + world_.random(5));
                        },
                        [this, n](const std::string& what) { on_report(n, what); }});
  }
  want_topics();
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    // Those that are not needed yet come some time.
    if (n < replicas_ || world_.chance(0.5)) {
      start(n);
    } else {
      world_.after(world_.delay(0, 3'000'000), [this, n] {
        if (nodes_[n]->life == 0) start(n);
      });
    }
  }
  make_topics();
  operate();
}

RealCluster::~RealCluster() {
  for (auto& node : nodes_) node->stop(network_);
  world_.time.clear();
}

std::string RealCluster::summary() {
  std::uint64_t batches = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t epochs = 0;
  std::uint64_t reads = 0;
  for (const auto& partition : partitions_) {
    batches += partition->history().batches();
    acknowledged += partition->history().acknowledged();
    reads += partition->reads();
    if (const auto known = record(*partition)) epochs += known->epoch.value;
  }
  std::uint64_t lives = 0;
  for (const auto& node : nodes_) lives += node->life;
  return std::to_string(partitions_.size()) + " partitions, " + std::to_string(batches) +
         " batches, " + std::to_string(acknowledged) + " acknowledged, " + std::to_string(epochs) +
         " epochs, " + std::to_string(lives) + " lives, " + std::to_string(reads) +
         " linearizable reads";
}

// --- topics ---

void RealCluster::want_topics() {
  const std::size_t count = world_.chance(0.75) ? 1 : 2;
  for (std::size_t t = 0; t < count; ++t) {
    WantedTopic topic;
    topic.name = "topic-" + std::to_string(t);
    topic.options.partitions = world_.chance(0.7) ? 1 : 2;
    topic.options.segment_bytes = log::kSegmentBytesMin;
    topic.options.replication_factor = static_cast<std::uint32_t>(replicas_);
    if (world_.chance(0.2)) topic.options.codec = log::Codec::zstd;
    if (world_.chance(0.2)) topic.options.sealed_codec = log::Codec::zstd;
    if (world_.faults.retention > 0) {
      topic.options.retention.bytes = log::kSegmentBytesMin;
    } else if (world_.chance(0.1)) {
      topic.options.retention.bytes = (1 + world_.random(4)) * log::kSegmentBytesMin;
    }
    if (t > 0) topic.from = world_.delay(0, 3'000'000);
    topics_.push_back(std::move(topic));
  }
}

/// Operators ask until it is there.
void RealCluster::make_topics() {
  bool all = true;
  for (WantedTopic& topic : topics_) {
    if (!topic.there) find_topic(topic);
    all = all && topic.there;
    RealNode& node = *nodes_[world_.random(nodes_.size())];
    if (topic.there || world_.now() < topic.from || !node.up()) continue;
    node.store().directory().create_topic(
        {topic.name, topic.options, topic.options.replication_factor}, [](const auto&) {});
  }
  if (!all) world_.after(world_.delay(50'000, 150'000), [this] { make_topics(); });
}

void RealCluster::find_topic(WantedTopic& topic) {
  const auto record = coordinator_.record(keys_.of(cluster::TopicKey{topic.name}));
  if (!record) return;
  const auto placement = cluster::decode_topic_placement(record->value);
  if (!placement) return world_.fail("a topic's record cannot be read");
  topic.there = true;
  for (std::uint32_t p = 0; p < topic.options.partitions; ++p) {
    PartitionClients::Of of;
    of.key = {placement->topic, PartitionId(p)};
    of.topic = topic.name;
    of.number = partitions_.size();
    of.partitions = topic.options.partitions;
    of.folder = std::string(RealNode::kFolder) + "/topics/" + topic.name + "/" + std::to_string(p);
    of.retained = topic.options.retention.keeps_all();
    for (auto& node : nodes_) node->replicas.emplace_back();
    partitions_.push_back(std::make_unique<PartitionClients>(world_, nodes_, std::move(of)));
    partitions_.back()->begin();
  }
}

std::optional<PartitionRecord> RealCluster::record(const PartitionClients& clients) const {
  const auto record = coordinator_.record(keys_.of(clients.of().key));
  if (!record) return std::nullopt;
  auto decoded = replication::decode_partition_record(record->value);
  return decoded ? std::optional(*std::move(decoded)) : std::nullopt;
}

MemberList RealCluster::members_of(const PartitionClients& clients) const {
  auto known = record(clients);
  return known ? std::move(known->replicas) : MemberList();
}

// --- nodes ---

void RealCluster::start(std::size_t n) {
  RealNode& node = *nodes_[n];
  const auto started = node.start(coordinator_, network_);
  if (node.disk.halted()) {
    world_.log(node.name + " ends while it starts");
    return crash(n, world_.chance(0.5));
  }
  if (!started) {
    const std::string what = node.name + " cannot start: " + started.error().message();
    const Errc code = started.error().code;
    // Locked: a predecessor seems to be alive. Closed: there was no room.
    const bool may_pass = code == Errc::disk_full || code == Errc::io_error ||
                          code == Errc::locked || code == Errc::closed;
    if (!may_pass) return world_.fail(what);
    world_.log(what);
    return crash(n, false);
  }
  // One crash after the other: what the first has left is in the page cache at most.
  const double often = world_.faults.process_crash + world_.faults.power_cut;
  if (node.life > 1 && often > 0 && world_.mishap(0.2)) {
    node.disk.halt_after(1 + world_.random(30));
  }
  world_.log(node.name + " starts");
}

void RealCluster::crash(std::size_t n, bool power) {
  RealNode& node = *nodes_[n];
  const bool wipe = world_.mishap(world_.faults.wipe) && may_wipe(n);
  world_.log(node.name + (power ? " loses power" : " is killed") + (wipe ? ", and its disk" : ""));
  node.stop(network_);
  ++node.life;
  if (power) {
    ++node.boots;
    node.disk.cut_power();
  } else {
    node.disk.kill();
  }
  if (wipe) node.wipe();
  node.dying = node.fail_sync = false;
  world_.after(world_.delay(5'000, 2'000'000), [this, n, life = node.life] {
    if (nodes_[n]->life == life) start(n);
  });
}

/// Never more disks than each list can do without.
bool RealCluster::may_wipe(std::size_t n) const {
  const auto can_lose = [&](const MemberList& list) {
    return majority(list,
                    [&](const Member& member) { return number_of(member) != n && has(member); });
  };
  return std::ranges::all_of(partitions_, [&](const auto& partition) {
    const auto known = record(*partition);
    // Without a record it is where its topic's record says.
    return known && can_lose(known->replicas) &&
           (!known->changing() || can_lose(known->old_replicas));
  });
}

void RealCluster::on_task_done(std::size_t n) {
  RealNode& node = *nodes_[n];
  if (node.disk.halted()) {
    if (std::exchange(node.dying, true)) return;
    world_.after(Moment(0), [this, n, life = node.life] {
      if (nodes_[n]->life == life) crash(n, world_.chance(0.5));
    });
    return;
  }
  if (!node.up()) return;
  const Moment spent = world_.time.spent();
  for (const auto& partition : partitions_) {
    if (world_.failure().empty()) partition->look(node);
  }
  world_.time.forget_spent_since(spent);
}

void RealCluster::on_written(const std::string& key, const std::optional<Record>& last,
                             const Record& next) {
  const auto record = replication::decode_partition_record(next.value);
  if (!record) return;  // of something else
  world_.log(key + ": epoch " + std::to_string(record->epoch.value) + ", leader " +
             (record->leader ? std::to_string(number_of(*record->leader)) : "none") + ", on" +
             text_of(record->replicas) +
             (record->changing() ? ", before on" + text_of(record->old_replicas) : ""));
  const auto before = last ? replication::decode_partition_record(last->value) : record;
  if (last && (!before || !is_one_step(*before, *record))) {
    world_.fail("a record does not follow from the one before");
  }
}

void RealCluster::on_report(std::size_t n, const std::string& what) {
  const std::string said = nodes_[n]->name + ": " + what;
  world_.log(said);
  if (what.contains("begins anew")) ++beginnings_;
  for (const char* const bad : {"halts", "cannot be read", "takes no part"}) {
    if (what.contains(bad)) world_.fail(said);
  }
}

// --- faults and operators ---

void RealCluster::inject(double rate, const std::function<void()>& fault) {
  if (world_.chance(rate * 0.02)) fault();  // looked at 50 times a second
}

void RealCluster::run(Moment duration) {
  const Moment end = world_.now() + duration;
  while (world_.now() < end && failure().empty()) {
    inject_all();
    world_.step_until(world_.now() + 20ms);
  }
}

void RealCluster::fill_disks(bool full) {
  for (const auto& node : nodes_) node->full = full;
}

void RealCluster::inject_all() {
  const Faults& faults = world_.faults;
  const auto any = [this] { return world_.random(nodes_.size()); };
  const auto crash_soon = [this](std::size_t n, bool power) {
    // In the middle of what it does to its disk, or between.
    if (world_.chance(0.3) || !nodes_[n]->up()) return crash(n, power);
    nodes_[n]->disk.halt_after(1 + world_.random(12));
  };
  inject(faults.process_crash, [&] { crash_soon(any(), false); });
  inject(faults.power_cut, [&] {
    // Of all machines at once, now and then.
    if (!world_.chance(0.15)) return crash_soon(any(), true);
    for (std::size_t n = 0; n < nodes_.size(); ++n) crash(n, true);
  });
  inject(faults.pause, [&] {
    const Moment takes = world_.delay(10'000, world_.chance(0.3) ? 8'000'000 : 1'500'000);
    nodes_[any()]->pause(world_.now() + takes);
  });
  inject(faults.connection_break, [&] {
    const std::size_t a = any();
    const std::size_t b = any();
    if (a != b) network_.disconnect(a, b);
  });
  inject(faults.partition, [&] {
    const std::size_t a = any();
    const std::size_t b = any();
    if (a == b) return;
    network_.block(a, b);
    if (world_.chance(0.5)) network_.block(b, a);
    const bool breaks = world_.chance(0.5);
    world_.after(world_.delay(50'000, 3'000'000), [this, a, b, breaks] {
      if (breaks) network_.disconnect(a, b);
      network_.unblock(a, b);
      network_.unblock(b, a);
    });
  });
  inject(faults.slow_disk, [&] {
    const std::size_t n = any();
    nodes_[n]->slow = true;
    world_.after(world_.delay(100'000, 4'000'000), [this, n] { nodes_[n]->slow = false; });
  });
  inject(faults.log_failure * 10, [&] {
    const std::size_t n = any();
    if (world_.chance(0.3)) {
      nodes_[n]->fail_sync = true;
      return;
    }
    nodes_[n]->full = true;
    world_.after(world_.delay(10'000, 2'000'000), [this, n] { nodes_[n]->full = false; });
  });
  inject(faults.coordinator_outage, [&] {
    const Moment takes = world_.delay(100'000, 5'000'000);
    if (world_.chance(0.5)) return nodes_[any()]->cut_off_coordinator(world_.now() + takes);
    coordinator_.go_down();
    world_.after(takes, [this] { coordinator_.come_up(); });
  });
  if (partitions_.empty()) return;
  inject(faults.hand_over, [&] {
    PartitionClients& clients = *partitions_[world_.random(partitions_.size())];
    RealNode& node = *nodes_[clients.probable_leader()];
    const auto known = record(clients);
    if (!known || !clients.open(node)) return;
    const Member to = known->replicas[world_.random(known->replicas.size())];
    if (to != node.self) clients.seen(node).replica->hand_over(to, [](const Result<void>&) {});
  });
}

void RealCluster::operate() {
  world_.after(world_.delay(200'000, 500'000), [this] { operate(); });
  for (const auto& partition : partitions_) change_members(*partition);
}

void RealCluster::change_members(PartitionClients& clients) {
  RealNode& node = *nodes_[clients.probable_leader()];
  const auto known = record(clients);
  if (!known || known->changing() || !clients.open(node)) return;
  MemberList target = target_of_move(known->replicas);
  if (target == known->replicas) return;
  world_.log(node.name + " is asked for members" + text_of(target));
  clients.seen(node).replica->move(std::move(target), [this](const Result<void>& moved) {
    if (!moved) world_.log("members: " + moved.error().message());
  });
}

/// Without the disks that are gone, and some others now and then.
MemberList RealCluster::target_of_move(const MemberList& members) {
  MemberList target = members;
  std::vector<Member> spare;
  for (const auto& node : nodes_) {
    if (node->self && !contains(target, *node->self) && node->up()) spare.push_back(*node->self);
  }
  std::shuffle(spare.begin(), spare.end(), world_.numbers);
  bool changed = false;
  for (Member& member : target) {
    const RealNode& node = node_of(member);
    if (has(member) || spare.empty()) continue;
    const auto same = node.self ? std::ranges::find(spare, *node.self) : spare.end();
    const auto with = same != spare.end() ? same : spare.begin();
    member = *with;
    spare.erase(with);
    changed = true;
  }
  if (changed || spare.empty() || !world_.mishap(world_.faults.membership_change * 0.3)) {
    return target;
  }
  if (world_.chance(0.2) && target.size() > 3) {
    target.erase(target.begin() + static_cast<std::ptrdiff_t>(world_.random(target.size())));
  } else {
    std::vector<std::size_t> places(target.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
    std::shuffle(places.begin(), places.end(), world_.numbers);
    const std::size_t count = world_.chance(0.3) ? spare.size() : 1;
    for (std::size_t i = 0; i < std::min(count, places.size()); ++i) target[places[i]] = spare[i];
  }
  if (world_.chance(0.3)) std::shuffle(target.begin(), target.end(), world_.numbers);
  return target;
}

// --- when all is over ---

bool RealCluster::possible(const PartitionClients& clients) const {
  const auto known = record(clients);
  return !known || known->changing() ||
         majority(known->replicas, [&](const Member& member) { return has(member); });
}

bool RealCluster::members_are_whole(const PartitionClients& clients) const {
  const auto known = record(clients);
  return known && !known->changing() &&
         std::ranges::all_of(known->replicas, [&](const Member& member) { return has(member); });
}

void RealCluster::end_faults() {
  world_.log("faults end");
  world_.faulty = false;
  coordinator_.come_up();
  for (std::size_t a = 0; a < nodes_.size(); ++a) {
    nodes_[a]->slow = nodes_[a]->full = nodes_[a]->full_for_good = false;
    nodes_[a]->fail_sync = false;
    nodes_[a]->pause(world_.now());
    nodes_[a]->cut_off_coordinator(world_.now());
    nodes_[a]->disk.halt_after(0);
    for (std::size_t b = 0; b < nodes_.size(); ++b) {
      if (a != b) network_.unblock(a, b);
    }
  }
  world_.step_until(world_.now() + 6s);  // what was asked of the coordinator lands, and nodes start
}

void RealCluster::settle() {
  if (!failure().empty()) return;
  end_faults();
  const auto all_there = [](const WantedTopic& topic) { return topic.there; };
  for (const Moment begun = world_.now(); !std::ranges::all_of(topics_, all_there);) {
    if (world_.now() - begun > 20s) return world_.fail("a topic cannot be made");
    world_.step_until(world_.now() + 100ms);
    if (!failure().empty()) return;
  }
  for (const auto& partition : partitions_) {
    if (possible(*partition)) {
      progress(*partition);
    } else {
      world_.log("too many disks are gone");
    }
  }
  for (const auto& partition : partitions_) partition->end();
  world_.step_until(world_.now() + 3s);
  for (const auto& partition : partitions_) {
    if (failure().empty() && possible(*partition)) check_equal_logs(*partition);
  }
  // And all is there after a loss of power.
  for (std::size_t n = 0; n < nodes_.size() && failure().empty(); ++n) {
    crash(n, true);
    start(n);
  }
}

/// Rule 16. All but one lose their disks: then the survivor's log is what there is.
void RealCluster::lose_majority() {
  if (!failure().empty()) return;
  end_faults();
  // Of more partitions some may have no survivor.
  if (partitions_.size() != 1 || !possible(*partitions_.front())) return;
  PartitionClients& clients = *partitions_.front();
  progress(clients);
  if (!failure().empty()) return;
  const MemberList members = members_of(clients);
  RealNode& survivor = node_of(members[world_.random(members.size())]);
  world_.log("all but " + survivor.name + " lose their disks");
  for (auto& node : nodes_) {
    if (node.get() == &survivor) continue;
    node->stop(network_);
    ++node->life;
    node->disk.kill();
    node->wipe();
  }
  world_.step_until(world_.now() + world_.delay(10'000, 4'000'000));
  if (!failure().empty() || !clients.open(survivor)) return;
  clients.lose_all_but(survivor);
  forced_ = false;
  force(clients, survivor);
  for (const Moment begun = world_.now(); !forced_;) {
    if (!failure().empty()) return;
    if (world_.now() - begun > 20s) return world_.fail(survivor.name + " does not lead by force");
    world_.step_until(world_.now() + 100ms);
  }
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].get() != &survivor) start(n);
  }
  progress(clients);
  // Now there are others again.
  MemberList target{*survivor.self};
  for (std::size_t n = 0; n < nodes_.size() && target.size() < replicas_; ++n) {
    if (nodes_[n].get() != &survivor && nodes_[n]->self) target.push_back(*nodes_[n]->self);
  }
  for (const Moment begun = world_.now(); members_of(clients) != target;) {
    if (!failure().empty()) return;
    if (world_.now() - begun > 30s) return world_.fail("there are no new replicas");
    if (clients.open(survivor)) {
      clients.seen(survivor).replica->move(target, [](const Result<void>&) {});
    }
    world_.step_until(world_.now() + 2s);
  }
}

void RealCluster::force(PartitionClients& clients, RealNode& survivor) {
  if (forced_) return;
  world_.after(500ms, [this, &clients, &survivor] { force(clients, survivor); });
  if (!clients.open(survivor)) return;
  const auto& replica = clients.seen(survivor).replica;
  const auto known = replica->status().record;
  if (!known) return;
  forced_ = known->replicas == MemberList{*survivor.self};
  if (forced_) return;
  replica->force_lead(known->epoch, [this](const Result<void>& forced) {
    if (!forced) world_.log("by force: " + forced.error().message());
  });
}

void RealCluster::progress(PartitionClients& clients) {
  const std::size_t before = clients.history().acknowledged();
  const Moment begun = world_.now();
  while (failure().empty() &&
         (clients.history().acknowledged() < before + 10 || !members_are_whole(clients))) {
    world_.step_until(world_.now() + 100ms);
    if (world_.now() - begun < 60s) continue;
    describe(clients);
    return world_.fail("no progress in " + clients.of().folder);
  }
}

void RealCluster::describe(PartitionClients& clients) {
  if (!world_.trace) return;
  for (const auto& node : nodes_) {
    if (!clients.open(*node)) {
      world_.log(node->name + (node->up() ? ": has not opened it" : ": is not up"));
      continue;
    }
    const auto status = clients.seen(*node).replica->status();
    std::string text = node->name + ": role " + std::to_string(static_cast<int>(status.role)) +
                       ", promise " + std::to_string(status.epoch.value) + ", appended " +
                       std::to_string(status.appended.value) + ", committed " +
                       std::to_string(status.committed.value);
    if (status.leader) text += ", leader " + std::to_string(number_of(*status.leader));
    if (status.record) text += ", knows epoch " + std::to_string(status.record->epoch.value);
    if (status.halted) text += ", halted: " + status.halted->message();
    world_.log(text + ", connected to" + text_of(node->store().connected()));
  }
}

/// Whether every member shows all that is committed, and has no more.
std::string RealCluster::difference(PartitionClients& clients) {
  const std::uint64_t committed = clients.history().batches();
  for (const Member& member : members_of(clients)) {
    RealNode& node = node_of(member);
    if (!clients.open(node)) {
      return node.name + " is not up, or has not opened " + clients.of().folder;
    }
    const SeenReplica& seen = clients.seen(node);
    const std::uint64_t appended = seen.partition().appended().next_batch.value;
    if (appended != committed || seen.published.value != committed) {
      return node.name + " has " + std::to_string(appended) + " batches in " + clients.of().folder +
             " and shows " + std::to_string(seen.published.value) + ", not the " +
             std::to_string(committed) + " that are committed";
    }
  }
  return {};
}

/// Every member has all that is committed, in the same files.
void RealCluster::check_equal_logs(PartitionClients& clients) {
  // The preferred leader may take the lead at any time, and begin its epoch.
  for (const Moment begun = world_.now(); failure().empty() && !difference(clients).empty();) {
    if (world_.now() - begun > 10s) {
      describe(clients);
      return world_.fail(difference(clients));
    }
    world_.step_until(world_.now() + 50ms);
  }
  const auto written = [](std::string_view bytes) {
    // What was made ahead of need may be longer; the rest of one that is sealed has been cut off.
    return bytes.substr(0, bytes.find_last_not_of('\0') + 1);
  };
  std::map<std::string, std::string> files;
  for (const Member& member : members_of(clients)) {
    const auto image = node_of(member).disk.image();
    for (const auto& [path, bytes] : image) {
      if (!path.starts_with(clients.of().folder + "/") || path.contains("/cut/")) continue;
      // Of a removed segment the index stays, under another name.
      std::string as = path;
      if (as.ends_with(".past")) as.replace(as.size() - 5, 5, ".idx");
      if (!as.ends_with(".seg") && !as.ends_with(".idx")) continue;
      if (files.try_emplace(as, written(bytes)).first->second != written(bytes)) {
        return world_.fail(node_of(member).name + " has another " + path);
      }
    }
  }
}

}  // namespace keelson::simulation
