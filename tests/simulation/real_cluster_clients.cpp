// What clients ask of a simulated cluster, and what they make of the answers.
#include <algorithm>

#include "tests/simulation/real_cluster.h"

namespace keelson::simulation {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAccounts = 4;
constexpr std::int64_t kCredit = 100;
constexpr Moment kClientPatience = 2s;

std::string account(std::uint64_t number) { return "account-" + std::to_string(number); }

}  // namespace

std::size_t RealCluster::probable_leader() {
  std::size_t found = random(nodes_.size());
  for (std::size_t n = 0; n < nodes_.size() && !chance(0.1); ++n) {
    if (!nodes_[n]->up()) continue;
    const auto status = nodes_[n]->replica->status();
    if (status.role == replication::Replica::Role::leading) found = n;
  }
  return found;
}

std::shared_ptr<RealCluster::Command> RealCluster::make_command() {
  auto command = std::make_shared<Command>();
  command->id = "command-" + std::to_string(++commands_);
  Commit& commit = command->commit;
  if (chance(0.05)) {
    commit.rejected = true;
    commit.detail = "because of " + command->id;
    return command;
  }
  const std::uint64_t from = random(kAccounts);
  const std::uint64_t to = (from + 1 + random(kAccounts - 1)) % kAccounts;
  const auto amount = static_cast<std::int64_t>(1 + random(60));
  // Sometimes large, so that segments are crossed.
  const std::string filler(
      chance(faults_.retention > 0 ? 0.3 : 0.05) ? random(40'000) : random(300), ' ');
  const auto expected = [&](std::uint64_t number) {
    if (!chance(0.3)) return ExpectedVersion::any();
    return ExpectedVersion::exact(Version(history_.stream(account(number)).size()));
  };
  commit.writes.push_back(
      {account(from), expected(from), {{"taken", std::to_string(-amount) + filler, ""}}});
  commit.writes.push_back({account(to), expected(to), {{"given", std::to_string(amount), ""}}});
  if (chance(0.2)) {
    const std::uint64_t other = (from + 1 + random(kAccounts - 1)) % kAccounts;
    if (other != to) commit.checks.push_back({account(other), expected(other)});
  }
  if (faults_.retention == 0 && chance(0.3)) {  // it needs all that there ever was
    command->transfer_from = account(from);
    command->amount = amount;
  }
  return command;
}

void RealCluster::execute(std::size_t n, const std::shared_ptr<Command>& command,
                          Partition::Completion done) {
  CommandStamp stamp{"client", account(0), command->id, {}};
  stamp.fingerprint.fill(std::byte(std::hash<std::string>()(command->id)));
  nodes_[n]->partition->execute(
      std::move(stamp),
      [command](const Staging& staging) -> Result<Commit> {
        if (command->transfer_from.empty()) return command->commit;
        std::int64_t balance = 0;
        KEELSON_TRY(staging.read(command->transfer_from, Version(1), [&](const EventView& event) {
          balance += std::stoll(std::string(event.data.substr(0, 8)));
          return true;
        }));
        if (balance - command->amount >= -kCredit) return command->commit;
        Commit refusal;
        refusal.rejected = true;
        refusal.detail = "poor";
        return refusal;
      },
      std::move(done));
}

void RealCluster::issue(std::size_t c) {
  if (c >= clients_.size()) return;
  Client& client = clients_[c];
  if (!client.command) {
    // A command of old now and then: it has the outcome it had.
    if (!done_.empty() && chance(0.1)) {
      client.command = done_[random(done_.size())];
    } else {
      client.command = make_command();
    }
  }
  const std::uint64_t attempt = ++client.attempt;
  const std::shared_ptr<Command> command = client.command;
  after(kClientPatience, [this, c, attempt, command] {
    if (c >= clients_.size() || clients_[c].attempt != attempt) return;
    command->uncertain = true;
    issue(c);
  });
  const std::size_t n = probable_leader();
  after(delay(50, 500), [this, n, c, command, attempt] {
    RealNode& node = *nodes_[n];
    if (!node.up()) {
      return on_answer(c, attempt, command,
                       keelson::fail(Errc::not_enough_replicas, "no connection"));
    }
    execute(n, command, [this, n, c, command, attempt](Result<CommitOutcome> answer) {
      if (nodes_[n]->disk.halted()) return;  // a process that ends answers nobody
      if (answer) {
        take_published(*nodes_[n]);
        history_.acknowledge(command->id, KnownOutcome::of(*answer));
      } else if (answer.error().code == Errc::outcome_unknown) {
        command->uncertain = true;
      }
      after(delay(50, 500), [this, c, attempt, command, answer = std::move(answer)] {
        on_answer(c, attempt, command, answer);
      });
    });
  });
}

void RealCluster::on_answer(std::size_t c, std::uint64_t attempt,
                            const std::shared_ptr<Command>& command,
                            const Result<CommitOutcome>& answer) {
  if (c >= clients_.size() || clients_[c].attempt != attempt) return;
  if (answer) {
    done_.push_back(command);
    return next(c);
  }
  const Errc code = answer.error().code;
  const std::string how(keelson::to_string(code));
  const auto refused = [&] {
    if (!command->uncertain && !history_.outcomes().contains(command->id)) {
      history_.refuse(command->id, how);
    }
    next(c);
  };
  switch (code) {
    case Errc::version_conflict: return refused();
    case Errc::below_start:  // it is known to have been decided, and its outcome may be gone
      if (faults_.retention > 0 && history_.outcomes().contains(command->id)) return next(c);
      return fail("a command that never was is answered " + answer.error().message());
    case Errc::not_leader:
    case Errc::not_enough_replicas:
    case Errc::disk_full:
    case Errc::overloaded:
      if (chance(0.2)) return refused();
      break;
    case Errc::outcome_unknown:
      if (chance(0.05)) return next(c);
      break;
    default: return fail("a client is answered " + answer.error().message());
  }
  after(delay(5'000, 30'000), [this, c, attempt] {
    if (c < clients_.size() && clients_[c].attempt == attempt) issue(c);
  });
}

void RealCluster::next(std::size_t c) {
  clients_[c].command = nullptr;
  ++clients_[c].attempt;
  after(delay(100, chance(0.1) ? 100'000 : 8'000), [this, c, attempt = clients_[c].attempt] {
    if (c < clients_.size() && clients_[c].attempt == attempt) issue(c);
  });
}

/// Such a read sees all that was published anywhere before.
void RealCluster::read_linearizably() {
  after(delay(2'000, 50'000), [this] { read_linearizably(); });
  const std::size_t n = probable_leader();
  if (!nodes_[n]->up()) return;
  nodes_[n]->partition->linearize([this, n, before = history_.batches()](const Result<void>& read) {
    if (!read || nodes_[n]->disk.halted()) return;
    ++reads_;
    if (nodes_[n]->partition->log().published().value < before) {
      fail("a linearizable read at node " + std::to_string(n) +
           " misses what was committed before it");
    }
  });
}

/// What a node shows is what has been committed, up to some offset.
void RealCluster::read_at_follower() {
  after(delay(20'000, 200'000), [this] { read_at_follower(); });
  RealNode& node = *nodes_[random(nodes_.size())];
  if (!node.up() || node.disk.halted() || !node.partition->readable()) return;
  const Moment spent = time_.spent();
  const std::string stream = account(random(kAccounts));
  const auto& known = history_.stream(stream);
  const std::uint64_t end = node.partition->end().value;
  const Offset start = node.partition->start();
  std::size_t count = 0;
  while (count < known.size() && known[count].offset < start.value) ++count;
  StreamRange range;
  range.from = Version(count + 1);
  const auto read = node.partition->read_stream(stream, range, [&](const EventView& event) {
    if (count >= known.size() || known[count].offset != event.offset.value ||
        known[count].data != event.data || event.version.value != count + 1) {
      fail("a follower shows another event");
      return false;
    }
    ++count;
    return true;
  });
  if (node.disk.halted()) return;
  if (!read) return fail("a stream cannot be read: " + read.error().message());
  if (count < known.size() && known[count].offset < end) fail("a follower misses an event");
  if (!done_.empty()) {
    const auto& command = done_[random(done_.size())];
    CommandStamp stamp{"client", account(0), command->id, {}};
    stamp.fingerprint.fill(std::byte(std::hash<std::string>()(command->id)));
    const auto found = node.partition->find_outcome(stamp);
    if (node.disk.halted()) return;
    const KnownOutcome& known_as = history_.outcomes().at(command->id);
    const bool gone = !found && found.error().code == Errc::below_start;
    if (!found && !gone) return fail("an outcome cannot be read: " + found.error().message());
    if (known_as.rejected ? gone && start == Offset(0) : gone != (known_as.first < start)) {
      return fail("an outcome is gone and its events are not, or the other way round");
    }
    if (found && *found) history_.acknowledge(command->id, KnownOutcome::of(**found));
  }
  check_removed(node, stream);
  time_.forget_spent_since(spent);
}

/// What is gone is known to have been.
void RealCluster::check_removed(const RealNode& node, const std::string& stream) {
  const auto& known = history_.stream(stream);
  const std::uint64_t end = node.partition->end().value;
  const auto count = std::ranges::count_if(known, [&](const auto& e) { return e.offset < end; });
  const auto version = node.partition->stream_version(stream, node.partition->end());
  if (node.disk.halted()) return;
  if (!version || version->value != static_cast<std::uint64_t>(count)) {
    fail("a stream has another version than it has events");
  }
}

}  // namespace keelson::simulation
