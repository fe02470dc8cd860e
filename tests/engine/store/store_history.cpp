#include "tests/engine/store/store_history.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "engine/store/store_verifier.h"

namespace keelson::test {

namespace {

constexpr std::uint64_t kStreams = 4;
constexpr std::uint64_t kGroups = 2;
constexpr std::uint64_t kTopics = 3;

/// The data of an event says whose it is: `commit:ordinal:…`.
struct Marked {
  std::size_t commit = 0;
  std::size_t ordinal = 0;
};

Marked marked(const Event& event) {
  Marked mark;
  const char* const end = event.data.data() + event.data.size();
  const auto first = std::from_chars(event.data.data(), end, mark.commit);
  REQUIRE(first.ec == std::errc());
  REQUIRE(std::from_chars(first.ptr + 1, end, mark.ordinal).ec == std::errc());
  return mark;
}

std::string name(const char* kind, std::uint64_t number) {
  return std::string(kind) + "-" + std::to_string(number);
}

}  // namespace

StoreHistory::StoreHistory(std::uint64_t seed, const HistoryOptions& options)
    : random_(seed), options_(options), store_(seed, options.durability) {
  store_.topic_options.codec = options.codec;
  store_.topic_options.sealed_codec = options.sealed_codec;
  store_.topic_options.retention.bytes = options.retention_bytes;
  latest_ = store_.environment.clock.time;
}

StoreHistory::~StoreHistory() {
  // After a failure there may be work that nobody would do.
  store_.environment.disk.halt();
  store_.environment.scheduler.release();
  store_.close();
}

template <class Each>
void StoreHistory::each_known(Each each) {
  for (auto& asked : commits_) each(asked.known);
  for (auto& [group, offsets] : groups_) {
    for (auto& asked : offsets) each(asked.known);
  }
}

bool StoreHistory::has_file(const std::string& suffix) const {
  const auto names = store_.environment.disk.list(SimulatedStore::kPartitionFolder);
  return names && std::ranges::any_of(*names, [&](const auto& n) { return n.ends_with(suffix); });
}

// --- what clients do ---

bool StoreHistory::live(int steps, const Trouble& trouble) {
  trouble_came_ = false;
  set_trouble(trouble);
  if (!open_) open_ = store_.open().has_value();
  store_.environment.scheduler.hold();
  for (int i = 0; i < steps && open_ && !gone(); ++i) {
    // What trouble leaves behind is to be seen before the next write covers it up.
    if (trouble_came_ && random(4) == 0) break;
    step();
    for (auto tasks = random(4); tasks > 0; --tasks) store_.environment.scheduler.step();
    if (!wrong_.empty()) FAIL(wrong_);
  }
  return trouble_came_ || gone();
}

void StoreHistory::set_trouble(const Trouble& trouble) {
  if (trouble.kind == Trouble::Kind::none) return;
  if (trouble.kind == Trouble::Kind::halt) {
    return store_.environment.disk.halt_after(trouble.number);
  }
  store_.environment.disk.set_fault(
      [this, trouble, calls = std::uint64_t{0}](DiskCall call,
                                                const std::string&) mutable -> std::optional<Errc> {
        const bool no_room = trouble.kind == Trouble::Kind::no_room;
        if (no_room && call != DiskCall::allocate) return std::nullopt;
        ++calls;
        if (calls < trouble.number || calls >= trouble.number + trouble.times) return std::nullopt;
        trouble_came_ = true;
        return no_room ? Errc::disk_full : trouble.code;
      });
}

void StoreHistory::step() {
  auto& clock = store_.environment.clock.time;
  clock += static_cast<std::int64_t>(random(3000));
  if (random(20) == 0) clock -= 5000;  // clocks do
  latest_ = std::max(latest_, clock.load());
  const auto dice = random(40);
  if (dice == 0) return ask_topic();
  if (dice < 4) return ask_group_offset();
  if (dice < 12 && !commits_.empty()) {
    const std::size_t number = random(commits_.size());
    if (!commits_[number].stored.stamp) return;
    return dice == 4 && commits_[number].known.done ? ask_for_other(number) : ask(number);
  }
  if (dice == 12) {
    store_.environment.scheduler.release();
    end(Ending::shutdown);
    open_ = store_.open().has_value();
    store_.environment.scheduler.hold();
    return;
  }
  const std::size_t number = commits_.size();
  commits_.emplace_back().stored.commit = make_commit(number);
  if (random(3) != 0) {
    commits_.back().stored.stamp = stamp(name("s", random(kStreams)), name("c", number), 1);
  }
  ask(number);
}

Commit StoreHistory::make_commit(std::size_t number) {
  Commit commit;
  if (random(8) == 0) {
    commit.rejected = true;
    commit.detail = name("refused", number);
    return commit;
  }
  commit.detail = std::string(random(10), 'd');
  std::size_t ordinal = 0;
  std::set<std::uint64_t> streams;
  for (auto writes = 1 + (random(4) == 0 ? random(3) : 0); writes > 0; --writes) {
    const auto number_of_stream = random(kStreams);
    if (!streams.insert(number_of_stream).second) continue;
    StreamWrite write{name("s", number_of_stream), ExpectedVersion::any(), {}};
    if (random(4) == 0) {
      const auto version = store_.partition().stream_version(write.stream);
      if (version) write.expected = ExpectedVersion::exact(*version);
    }
    for (auto events = 1 + random(3); events > 0; --events) {
      std::string data = std::to_string(number) + ":" + std::to_string(ordinal++) + ":";
      data.append(random(random(6) == 0 ? options_.bytes_max : 100), 'x');
      write.events.push_back({"t", std::move(data), random(2) == 0 ? "" : "m"});
    }
    commit.writes.push_back(std::move(write));
  }
  if (random(6) == 0) commit.checks.push_back({name("s", kStreams), ExpectedVersion::none()});
  return commit;
}

void StoreHistory::ask(std::size_t number) {
  AskedCommit& asked = commits_[number];
  ++asked.known.waiting;
  store_.partition().execute(
      asked.stored.stamp,
      [commit = asked.stored.commit](const Staging&) { return Result<Commit>(commit); },
      [this, number](Result<CommitOutcome> outcome) { answered(number, std::move(outcome)); });
}

void StoreHistory::answered(std::size_t number, Result<CommitOutcome> outcome) {
  if (gone()) return;  // an answer that nobody gets
  AskedCommit& asked = commits_[number];
  --asked.known.waiting;
  if (!outcome) {
    if (is_damage(outcome.error().code)) wrong_ = outcome.error().message();
    if (outcome.error().code == Errc::outcome_unknown) asked.known.maybe = true;
    if (outcome.error().code == Errc::below_start && options_.retention_bytes == 0) {
      wrong_ = outcome.error().message();
    }
    return;
  }
  if (asked.removed) wrong_ = name("command", number) + " was removed, and has an outcome again";
  if (asked.known.done) {
    const std::string differs = difference(*outcome, asked.stored.outcome);
    if (!differs.empty()) wrong_ = name("command", number) + ": " + differs;
    if (!outcome->replayed) wrong_ = name("command", number) + " happened twice";
    return;
  }
  asked.known.done = true;
  asked.stored.outcome = *std::move(outcome);
}

/// Somebody uses a command id again for something else.
void StoreHistory::ask_for_other(std::size_t number) {
  CommandStamp other = *commits_[number].stored.stamp;
  other.fingerprint.fill(std::byte{9});
  store_.partition().execute(
      other, [](const Staging&) { return Result<Commit>(write_to("s-0", {"other"})); },
      [this](Result<CommitOutcome> outcome) {
        if (gone()) return;
        const auto is_error = [&](Errc code) { return !outcome && outcome.error().code == code; };
        const bool refused = is_error(Errc::idempotency_mismatch) ||
                             (is_error(Errc::below_start) && options_.retention_bytes != 0);
        if (outcome || (!refused && !trouble_came_)) {
          wrong_ = "a command id was taken for another command";
        }
      });
}

void StoreHistory::ask_group_offset() {
  const std::string group = name("g", random(kGroups));
  auto& asked = groups_[group];
  const std::size_t number = asked.size();
  asked.push_back({Offset(random(store_.partition().end().value + 1)), {}});
  ++asked.back().known.waiting;
  store_.partition().commit_group_offset(
      group, asked.back().next, [this, &asked, number](Result<CommitOutcome> outcome) {
        if (gone()) return;
        Knowledge& known = asked[number].known;
        --known.waiting;
        known.done = outcome.has_value();
        if (!outcome && outcome.error().code == Errc::outcome_unknown) known.maybe = true;
      });
}

void StoreHistory::ask_topic() {
  const std::string topic = name("topic", random(kTopics));
  AskedTopic& asked = topics_[topic];
  const auto made = store_.store().create_topic(topic, store_.topic_options);
  if (!made || gone()) return;  // it may have been made, or half of it
  asked.made = true;
}

// --- what a crash leaves them with ---

void StoreHistory::restart(Ending ending, bool crashes_again) {
  auto& environment = store_.environment;
  if (ending == Ending::shutdown) environment.scheduler.release();
  if (gone() && ending == Ending::shutdown) ending = Ending::kill;
  environment.disk.set_fault(nullptr);
  environment.disk.halt_after(0);
  end(ending);
  if (ending != Ending::shutdown) check_verified(true);
  while (crashes_again && random(3) == 0) crash_in_start();
  environment.scheduler.release();
  const auto opened = store_.open();
  if (!opened) FAIL("cannot be opened: ", opened.error().message());
  open_ = true;
  check();
}

void StoreHistory::end(Ending ending) {
  auto& environment = store_.environment;
  if (ending != Ending::shutdown) environment.disk.halt();
  environment.scheduler.release();
  store_.close();
  open_ = false;
  if (ending == Ending::shutdown && !gone()) return;
  if (ending == Ending::shutdown) trouble_came_ = true;
  forget_answers(ending);
  if (ending == Ending::power_cut) {
    environment.disk.cut_power();
  } else {
    environment.disk.kill();
  }
}

/// Starts, and is ended while it does.
void StoreHistory::crash_in_start() {
  store_.environment.disk.halt_after(1 + random(25));
  [[maybe_unused]] const auto opened = store_.open();
  end(random(2) == 0 ? Ending::kill : Ending::power_cut);
}

void StoreHistory::forget_answers(Ending ending) {
  // What durability `os` says: a machine that goes down may take along whatever is not synced.
  const bool loses = ending == Ending::power_cut && options_.durability == Durability::os;
  each_known([&](Knowledge& known) {
    const bool lost = loses && known.done && !known.settled;
    if (known.waiting > 0 || lost) known.maybe = true;
    if (lost) known.done = false;
    known.waiting = 0;
  });
}

// --- whether the store agrees ---

void StoreHistory::check() {
  if (!wrong_.empty()) FAIL(wrong_);
  store_.environment.clock.time = latest_ + 10'000;  // all times are over
  if (!store_.store().damage().empty()) {
    FAIL("damaged: ", store_.store().damage().front().error.message());
  }
  torn_ += store_.store().recovered().size();
  check_commits();
  check_groups();
  check_topics();
  check_verified(false);
  each_known([](Knowledge& known) {
    known.maybe = false;  // it has turned out
    known.settled = known.done;
  });
}

void StoreHistory::check_commits() {
  std::map<std::size_t, std::vector<Event>> found;
  const Offset start = store_.partition().start();
  if (start > Offset(0) && options_.retention_bytes == 0) FAIL("events have been removed");
  Offset offset = start;
  std::optional<std::size_t> current;
  const std::vector<Event> kept = read_all(store_.partition(), start);
  for (const Event& event : kept) {
    REQUIRE(event.offset == offset);
    ++offset;
    const Marked mark = marked(event);
    auto& events = found[mark.commit];
    if (mark.ordinal == 0 && !events.empty()) FAIL("commit ", mark.commit, " is there twice");
    if (mark.ordinal != events.size() || (mark.ordinal > 0 && current != mark.commit)) {
      FAIL("event ", mark.ordinal, " of commit ", mark.commit, " is out of place at offset ",
           event.offset.value);
    }
    current = mark.commit;
    events.push_back(event);
  }
  StoredCommits expected;
  for (std::size_t number = 0; number < commits_.size(); ++number) {
    const auto events = found.find(number);
    take_found(number, events == found.end() ? std::vector<Event>() : events->second);
    if (commits_[number].known.done) expected.commits.push_back(commits_[number].stored);
  }
  if (start > Offset(0)) return check_streams(kept);
  std::ranges::stable_sort(expected.commits, {},
                           [](const StoredCommit& stored) { return stored.outcome.first; });
  // What has no events has no place among the others.
  std::ranges::stable_partition(expected.commits, [](const StoredCommit& stored) {
    return stored.outcome.first != stored.outcome.end;
  });
  check_answers(store_.partition(), expected);
}

void StoreHistory::check_streams(const std::vector<Event>& kept) {
  const Partition& partition = store_.partition();
  std::map<std::string, std::vector<Version>> streams;
  for (const Event& event : kept) streams[event.stream].push_back(event.version);
  for (const auto& [stream, versions] : streams) {
    for (std::size_t i = 0; i < versions.size(); ++i) {
      if (versions[i] != versions.front() + i) FAIL(stream, " has a gap");
    }
    if (partition.stream_version(stream) != versions.back()) FAIL(stream, " has no such version");
    StreamRange range;
    range.from = versions.front();
    if (read_stream(store_.partition(), stream, range).size() != versions.size()) {
      FAIL(stream, " has other events when it is read by itself");
    }
    if (versions.front() == Version(1)) continue;
    const auto whole = partition.read_stream(stream, {}, [](const EventView&) { return true; });
    if (whole || whole.error().code != Errc::below_start) FAIL(stream, " is whole again");
  }
}

bool StoreHistory::take_removed(AskedCommit& asked, std::size_t number) {
  const Offset start = store_.partition().start();
  if (asked.stored.stamp) {
    const auto known = store_.partition().find_outcome(*asked.stored.stamp);
    const bool below = !known && known.error().code == Errc::below_start;
    if (asked.removed && !below) FAIL("command ", number, " was removed, and is forgotten");
    if (!below) return false;
    if (!asked.known.done && !asked.known.maybe) {
      FAIL("command ", number, " was answered with an error and was removed");
    }
    // A refusal has no place of its own.
    const CommitOutcome& told = asked.stored.outcome;
    if (asked.known.done && told.first != told.end && told.first >= start) {
      FAIL("command ", number, " was to be kept");
    }
    asked.known.done = true;
  } else if (!asked.known.done || asked.stored.commit.rejected ||
             asked.stored.outcome.first >= start) {
    return asked.removed;
  }
  return asked.removed = true;
}

/// Compares what is in the log of a commit with what clients know of it; what was not known is.
void StoreHistory::take_found(std::size_t number, const std::vector<Event>& events) {
  AskedCommit& asked = commits_[number];
  StoredCommit& stored = asked.stored;
  std::size_t asked_events = 0;
  for (const auto& write : stored.commit.writes) asked_events += write.events.size();
  if (events.empty() && take_removed(asked, number)) return;
  std::optional<CommitOutcome> outcome;
  if (stored.stamp) {
    const auto known = store_.partition().find_outcome(*stored.stamp);
    if (!known) FAIL("outcome of command ", number, ": ", known.error().message());
    outcome = *known;
  }
  const bool there = asked_events > 0 ? !events.empty() : outcome.has_value();
  if (asked_events == 0 && !stored.stamp) {
    asked.known.done = false;  // a refusal without an id leaves no trace
    return;
  }
  if (there && events.size() != asked_events) FAIL("commit ", number, " is there in part");
  if (stored.stamp && there != outcome.has_value()) FAIL("command ", number, ": two answers");
  if (asked.known.done && !there) FAIL("commit ", number, " was acknowledged and is lost");
  if (!asked.known.done && !asked.known.maybe && there) {
    FAIL("commit ", number, " was answered with an error and has happened");
  }
  if (!there || asked.known.done) return;
  asked.known.done = true;
  CommitOutcome& now = stored.outcome;
  if (outcome) {
    now = *std::move(outcome);
    if (now.detail != stored.commit.detail || now.rejected != stored.commit.rejected) {
      FAIL("command ", number, " has another outcome than was decided");
    }
    return;
  }
  now = {};
  now.time = events.front().time;
  now.first = events.front().offset;
  now.end = events.back().offset + 1;
  now.detail = stored.commit.detail;
  std::size_t next = 0;
  for (const auto& write : stored.commit.writes) {
    const Event& first = events[next];
    now.written.push_back(
        {write.stream, first.version, first.version + write.events.size(), first.offset});
    next += write.events.size();
  }
}

void StoreHistory::check_groups() {
  for (auto& [group, asked] : groups_) {
    const auto found = store_.partition().group_offset(group);
    if (!found && found.error().code == Errc::below_start && options_.retention_bytes != 0) {
      asked.clear();  // and it was known to somebody: see the commits
      continue;
    }
    if (!found) FAIL(group, ": ", found.error().message());
    // The last one that is known to have happened, or one after it that may have.
    std::size_t at = asked.size();
    while (at > 0) {
      const AskedOffset& one = asked[at - 1];
      const bool can_be = one.known.done || one.known.maybe;
      if (can_be && *found == one.next) break;
      if (one.known.done) FAIL(group, " has lost the offset ", one.next.value);
      --at;
    }
    if (at == 0 && *found) FAIL(group, " has an offset that nobody committed");
    asked.clear();
    if (*found) asked.push_back({**found, {.done = true}});
  }
}

void StoreHistory::check_topics() {
  for (auto& [topic, asked] : topics_) {
    Topic* const found = store_.store().find_topic(topic);
    if (asked.made && found == nullptr) FAIL(topic, " was made and is lost");
    if (found == nullptr) continue;
    asked.made = true;
    Partition& partition = found->partition(PartitionId(0));
    const std::uint64_t events = partition.end().value;
    if (events < asked.settled || events > asked.events) {
      FAIL(topic, " has ", events, " events instead of ", asked.events);
    }
    REQUIRE(commit(partition, write_to("a-1", {"1"})));
    asked.events = events + 1;
    asked.settled = options_.durability == Durability::os ? events : events + 1;
  }
}

void StoreHistory::check_verified(bool crashed) {
  const auto report = verify_store(store_.environment.disk, {.folder = "data", .topic = {}});
  if (!report) {
    // Nothing was made yet.
    if (crashed && report.error().code == Errc::not_found) return;
    FAIL("the verifier: ", report.error().message());
  }
  std::vector<log::LogFinding> findings = report->findings;
  for (const auto& partition : report->partitions) {
    findings.insert(findings.end(), partition.log.findings.begin(), partition.log.findings.end());
  }
  for (const auto& finding : findings) {
    // What a crash may leave.
    using Kind = log::LogFinding::Kind;
    const bool left = finding.kind == Kind::undecided || finding.kind == Kind::unfinished ||
                      finding.kind == Kind::derived;
    if (crashed && left) continue;
    FAIL("the verifier found in ", finding.file, ": ", finding.what);
  }
}

}  // namespace keelson::test
