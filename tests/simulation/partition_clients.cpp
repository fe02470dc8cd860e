#include "tests/simulation/partition_clients.h"

#include <algorithm>
#include <utility>

#include "engine/store/partition_hash.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;
using replication::Replica;

constexpr std::size_t kClientsMin = 2;
constexpr std::size_t kClientsMax = 8;
constexpr std::size_t kAccounts = 4;
constexpr std::int64_t kCredit = 100;
constexpr Moment kPatience = 2s;
constexpr int kRefusalsMost = 30;

}  // namespace

PartitionClients::PartitionClients(World& world, Nodes& nodes, Of of)
    : world_(world),
      nodes_(nodes),
      of_(std::move(of)),
      history_(partition_identity(of_.key.topic, of_.key.partition),
               [this](const std::string& what) { world_.fail(what); }) {
  for (std::size_t i = 0; accounts_.size() < kAccounts; ++i) {
    std::string account = "account-" + std::to_string(i);
    if (partition_of(account, of_.partitions) == of_.key.partition) {
      accounts_.push_back(std::move(account));
    }
  }
}

void PartitionClients::begin() {
  clients_.resize(kClientsMin + world_.random(kClientsMax - kClientsMin + 1));
  for (std::size_t c = 0; c < clients_.size(); ++c) issue(c);
  commit_group_offset();
  read_linearizably();
  read_anywhere();
}

// --- what replicas show ---

bool PartitionClients::open(RealNode& node) {
  if (!node.up()) return false;
  SeenReplica& seen = this->seen(node);
  if (seen.replica) return true;
  seen.replica = node.store().replica(of_.key.topic, of_.key.partition);
  if (!seen.replica) {
    if (node.store().find_topic(of_.topic) != nullptr) {
      world_.fail(node.name + " has opened a topic without its partition");
    }
    return false;
  }
  const Epoch promise = seen.replica->status().epoch;
  if (promise < seen.promised_ever) {
    world_.fail(node.name + " has lost its promise of epoch " +
                std::to_string(seen.promised_ever.value));
  }
  const BatchNo appended = seen.partition().appended().next_batch;
  if (appended < seen.published_ever) {
    world_.fail("what was published at " + node.name + " up to " +
                std::to_string(seen.published_ever.value) + " is lost from " +
                std::to_string(appended.value) + " on");
  }
  return true;
}

void PartitionClients::look(RealNode& node) {
  if (!open(node)) return;
  take_published(node);
  if (node.disk.halted() || !world_.failure().empty()) return;
  SeenReplica& seen = this->seen(node);
  const auto status = seen.replica->status();
  seen.promised_ever = std::max(seen.promised_ever, status.epoch);
  // Rule 12.
  if (status.role != Replica::Role::following && status.record &&
      status.record->epoch > status.epoch && status.record->leader != node.self) {
    return world_.fail(node.name + " leads against a later record");
  }
  // It may not know yet what others have shown.
  if (status.role == Replica::Role::starting && world_.chance(0.05)) read_linearizably(node);
  if (!seen.partition().readable()) return;
  const std::uint64_t end = seen.partition().end().value;
  if (end < seen.read_ever) world_.fail("reads at " + node.name + " go back");
  seen.read_ever = end;
}

void PartitionClients::take_published(RealNode& node) {
  SeenReplica& seen = this->seen(node);
  const auto& log = seen.partition().log();
  if (const BatchNo first = log.first_batch(); seen.published < first) {
    if (first.value > history_.batches()) {
      return world_.fail("what is not committed has been removed");
    }
    seen.published = first;
    seen.published_ever = std::max(seen.published_ever, first);
  }
  while (seen.published < log.published()) {
    const auto read = log.read_batches(seen.published, seen.published + 1, 1);
    if (node.disk.halted()) return;
    if (!read) {
      return world_.fail("what is published cannot be read: " + read.error().message());
    }
    history_.publish(seen.published.value, read->bytes);
    ++seen.published;
    seen.published_ever = std::max(seen.published_ever, seen.published);
    if (!world_.failure().empty()) return;
  }
}

std::size_t PartitionClients::probable_leader(const std::set<std::size_t>& but) {
  std::size_t found = world_.random(nodes_.size());
  while (but.contains(found)) found = (found + 1) % nodes_.size();
  for (std::size_t n = 0; n < nodes_.size() && !world_.chance(0.1); ++n) {
    if (!but.contains(n) && open(*nodes_[n]) &&
        seen(*nodes_[n]).replica->status().role == Replica::Role::leading) {
      found = n;
    }
  }
  return found;
}

void PartitionClients::lose_all_but(RealNode& node) {
  const BatchNo end = seen(node).partition().appended().next_batch;
  history_.go_back(end.value);
  std::erase_if(
      done_, [&](const CommandPtr& command) { return !history_.outcomes().contains(command->id); });
  group_offset_ = 0;
}

// --- commands ---

PartitionClients::CommandPtr PartitionClients::make_command() {
  auto command = std::make_shared<Command>();
  command->id = "command-" + std::to_string(++commands_);
  Commit& commit = command->commit;
  const std::size_t from = world_.random(kAccounts);
  const std::size_t to = (from + 1 + world_.random(kAccounts - 1)) % kAccounts;
  const auto expected = [&](std::size_t account) {
    if (!world_.chance(0.3)) return ExpectedVersion::any();
    return ExpectedVersion::exact(Version(history_.stream(accounts_[account]).size()));
  };
  if (world_.chance(0.3)) {
    const std::size_t other = (from + 1 + world_.random(kAccounts - 1)) % kAccounts;
    if (other != to) commit.checks.push_back({accounts_[other], expected(other)});
  }
  if (world_.chance(0.05)) {
    // It may check streams all the same.
    commit.rejected = true;
    commit.detail = "because of " + command->id;
    return command;
  }
  const auto amount = static_cast<std::int64_t>(1 + world_.random(60));
  // Sometimes large, so that segments are crossed.
  const bool large = world_.chance(world_.faults.retention > 0 ? 0.3 : 0.05);
  command->filler.assign(large ? world_.random(40'000) : world_.random(300), ' ');
  commit.writes.push_back(
      {accounts_[from], expected(from), {{"taken", AccountEvent{-amount}.text(), ""}}});
  commit.writes.push_back(
      {accounts_[to], expected(to), {{"given", AccountEvent{amount}.text(), ""}}});
  command->limited = world_.chance(0.3);
  return command;
}

CommandStamp PartitionClients::stamp_of(const Command& command) const {
  CommandStamp stamp{"client", accounts_.front(), command.id, {}};
  stamp.fingerprint.fill(std::byte(std::hash<std::string>()(command.id)));
  return stamp;
}

void PartitionClients::execute(RealNode& node, const CommandPtr& command,
                               Partition::Completion done) {
  seen(node).partition().execute(
      stamp_of(*command),
      [command](const Staging& staging) -> Result<Commit> {
        Commit commit = command->commit;
        for (auto& write : commit.writes) {
          // Each event says what it leaves: so it is seen on which state it was decided.
          std::int64_t balance = 0;
          KEELSON_TRY_ASSIGN(const Version last, staging.version(write.stream));
          KEELSON_TRY(staging.read(write.stream, last, [&](const EventView& event) {
            balance = AccountEvent::of(event.data).balance;
            return true;
          }));
          AccountEvent event = AccountEvent::of(write.events.front().data);
          event.balance = balance + event.amount;
          if (command->limited && event.amount < 0 && event.balance < -kCredit) {
            Commit refusal;
            refusal.rejected = true;
            refusal.detail = "poor";
            return refusal;
          }
          write.events.front().data = event.text() + command->filler;
        }
        return commit;
      },
      std::move(done));
}

/// A request has its way; a process that is paused takes it when it goes on, sooner or later than
/// what else has come meanwhile.
void PartitionClients::when_awake(RealNode& node, std::function<void()> ask) {
  const Moment asleep = node.asleep_for();
  const Moment later = asleep > Moment(0) ? asleep + world_.delay(0, 5'000) : Moment(0);
  world_.after(later + world_.delay(50, 500), [this, &node, ask = std::move(ask)] {
    node.asleep_for() > Moment(0) ? when_awake(node, ask) : ask();
  });
}

void PartitionClients::issue(std::size_t c) {
  if (c >= clients_.size()) return;
  Client& client = clients_[c];
  if (!client.command) {
    // A command of old now and then: it has the outcome it had.
    const bool repeats = !done_.empty() && world_.chance(0.1);
    client.command = repeats ? done_[world_.random(done_.size())] : make_command();
  }
  const std::uint64_t attempt = ++client.attempt;
  const CommandPtr command = client.command;
  const std::size_t n = whom_to_ask(client);
  world_.after(kPatience, [this, c, n, attempt, command] {
    if (c >= clients_.size() || clients_[c].attempt != attempt) return;
    command->uncertain = true;
    clients_[c].silent.insert(n);
    world_.log("client " + std::to_string(c) + " has no answer of " + nodes_[n]->name);
    issue(c);
  });
  RealNode& node = *nodes_[n];
  when_awake(node, [this, &node, c, command, attempt] {
    if (!open(node)) {
      return on_answer(c, attempt, command, fail(Errc::not_enough_replicas, "no connection"));
    }
    execute(node, command,
            [this, &node, life = node.life, c, command, attempt](Result<CommitOutcome> answer) {
              // A process that ends answers nobody.
              if (!node.up() || node.life != life) return;
              if (answer) {
                take_published(node);
                history_.acknowledge(command->id, KnownOutcome::of(*answer));
              } else if (answer.error().code == Errc::outcome_unknown) {
                command->uncertain = true;
              }
              world_.after(world_.delay(50, 500),
                           [this, c, attempt, command, answer = std::move(answer)] {
                             on_answer(c, attempt, command, answer);
                           });
            });
  });
}

/// Whoever has not answered is not asked again, until the others have nothing but refusals.
std::size_t PartitionClients::whom_to_ask(Client& client) {
  if (client.refusals > kRefusalsMost || client.silent.size() == nodes_.size()) {
    client.refusals = 0;
    client.silent.clear();
  }
  return probable_leader(client.silent);
}

void PartitionClients::on_answer(std::size_t c, std::uint64_t attempt, const CommandPtr& command,
                                 const Result<CommitOutcome>& answer) {
  if (c >= clients_.size() || clients_[c].attempt != attempt) return;
  if (answer) {
    ++answers_;
    clients_[c].refusals = 0;
    done_.push_back(command);
    return next(c);
  }
  ++clients_[c].refusals;
  const Errc code = answer.error().code;
  const auto refused = [&] {
    if (!command->uncertain && !history_.outcomes().contains(command->id)) {
      history_.refuse(command->id, std::string(keelson::to_string(code)));
    }
    next(c);
  };
  switch (code) {
    case Errc::version_conflict: ++answers_; return refused();
    case Errc::not_leader:
    case Errc::not_enough_replicas:
    case Errc::disk_full:
    case Errc::overloaded:
      if (world_.chance(0.2)) return refused();
      break;
    case Errc::outcome_unknown:
      if (world_.chance(0.05)) return next(c);
      break;
    case Errc::below_start:
      // It is known to have been decided, and its outcome or what it needs may be gone.
      ++answers_;
      if (!of_.retained) return next(c);
      [[fallthrough]];
    default: return world_.fail("a client is answered " + answer.error().message());
  }
  world_.after(world_.delay(5'000, 30'000), [this, c, attempt] {
    if (c < clients_.size() && clients_[c].attempt == attempt) issue(c);
  });
}

void PartitionClients::next(std::size_t c) {
  clients_[c].command = nullptr;
  const std::uint64_t attempt = ++clients_[c].attempt;
  // When the faults are over there is little left to be seen.
  const std::uint64_t most_us = !world_.faulty ? 300'000 : world_.chance(0.1) ? 100'000 : 8'000;
  world_.after(world_.delay(100, most_us), [this, c, attempt] {
    if (c < clients_.size() && clients_[c].attempt == attempt) issue(c);
  });
}

/// A consumer, one step after the other: what was acknowledged is never behind again.
void PartitionClients::commit_group_offset() {
  world_.after(world_.delay(20'000, 400'000), [this] { commit_group_offset(); });
  RealNode& node = *nodes_[probable_leader()];
  if (group_busy_ || clients_.empty() || !open(node)) return;
  const std::uint64_t offset = seen(node).partition().end().value;
  if (offset <= group_offset_) return;
  group_busy_ = true;
  world_.after(kPatience, [this] { group_busy_ = false; });
  seen(node).partition().commit_group_offset(
      "group", Offset(offset),
      [this, &node, life = node.life, offset](const Result<CommitOutcome>& answer) {
        if (!node.up() || node.life != life || !answer) return;
        group_offset_ = std::max(group_offset_, offset);
      });
}

// --- reads ---

/// Such a read sees all that was published anywhere before, an acknowledged group offset too.
void PartitionClients::read_linearizably() {
  world_.after(world_.delay(2'000, 50'000), [this] { read_linearizably(); });
  std::size_t n = world_.random(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    // One that begins to lead, or thinks that it still does, knows less than others.
    if (!open(*nodes_[i]) || world_.chance(0.3)) continue;
    if (seen(*nodes_[i]).replica->status().role != Replica::Role::following) n = i;
  }
  read_linearizably(*nodes_[n]);
}

void PartitionClients::read_linearizably(RealNode& node) {
  when_awake(node, [this, &node, before = history_.batches(), group = group_offset_] {
    if (!open(node)) return;
    seen(node).partition().linearize(
        [this, &node, life = node.life, before, group](const Result<void>& read) {
          if (!read || !node.up() || node.life != life) return;
          ++reads_;
          const LogPartition& partition = seen(node).partition();
          if (partition.log().published().value < before) {
            return world_.fail("a linearizable read at " + node.name +
                               " misses what was committed before it");
          }
          const Moment spent = world_.time.spent();
          const auto offset = partition.group_offset("group");
          world_.time.forget_spent_since(spent);
          if (!offset || node.disk.halted()) return;
          if (offset->value_or(Offset(0)).value < group) {
            world_.fail("a group's offset goes back at " + node.name);
          }
        });
  });
}

/// What a node shows is what has been committed, up to some offset.
void PartitionClients::read_anywhere() {
  world_.after(world_.delay(20'000, 200'000), [this] { read_anywhere(); });
  RealNode& node = *nodes_[world_.random(nodes_.size())];
  if (!open(node) || !seen(node).partition().readable()) return;
  const Moment spent = world_.time.spent();
  check_stream(node);
  if (!node.disk.halted()) check_outcome(node);
  world_.time.forget_spent_since(spent);
}

void PartitionClients::check_stream(RealNode& node) {
  const std::string& stream = accounts_[world_.random(kAccounts)];
  const auto& known = history_.stream(stream);
  const LogPartition& partition = seen(node).partition();
  const std::uint64_t start = partition.start().value;
  const std::uint64_t end = partition.end().value;
  std::size_t least = 0;
  while (least < known.size() && known[least].offset < start) ++least;
  std::size_t count = least;
  if (least < known.size() && world_.chance(0.9)) count += world_.random(known.size() - least);
  StreamRange range;
  range.from = Version(count + 1);
  range.limit = world_.chance(0.1) ? UINT64_MAX : 50;
  const std::size_t most = count + std::min<std::uint64_t>(range.limit, known.size());
  const auto read = partition.read_stream(stream, range, [&](const EventView& event) {
    if (count >= known.size() || known[count].offset != event.offset.value ||
        known[count].data != event.data || event.version.value != count + 1) {
      world_.fail(node.name + " shows another event");
      return false;
    }
    ++count;
    return true;
  });
  if (node.disk.halted()) return;
  if (!read) return world_.fail("a stream cannot be read: " + read.error().message());
  if (count < std::min(most, known.size()) && known[count].offset < end) {
    return world_.fail(node.name + " misses an event");
  }
  // What is gone is known to have been.
  const auto there = std::ranges::count_if(known, [&](const auto& e) { return e.offset < end; });
  const auto version = partition.stream_version(stream, partition.end());
  if (node.disk.halted()) return;
  if (!version || version->value != static_cast<std::uint64_t>(there)) {
    world_.fail("a stream has another version than it has events");
  }
}

void PartitionClients::check_outcome(RealNode& node) {
  if (done_.empty()) return;
  const CommandPtr& command = done_[world_.random(done_.size())];
  const auto found = seen(node).partition().find_outcome(stamp_of(*command));
  if (node.disk.halted()) return;
  const bool gone = !found && found.error().code == Errc::below_start;
  if (!found && !gone) {
    return world_.fail("an outcome cannot be read: " + found.error().message());
  }
  const KnownOutcome& known = history_.outcomes().at(command->id);
  const Offset start = seen(node).partition().start();
  if (known.rejected ? gone && start == Offset(0) : gone != (known.first < start)) {
    return world_.fail("an outcome is gone and its events are not, or the other way round");
  }
  if (found && *found) history_.acknowledge(command->id, KnownOutcome::of(**found));
}

}  // namespace keelson::simulation
