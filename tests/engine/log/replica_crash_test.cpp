// A follower's log on a disk that loses power and fails calls, while it takes batches and is cut.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "engine/log/segment_header.h"
#include "tests/engine/log/replica_logs.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::test;

namespace {

/// What happens to a follower, with the batches of the leaders that it has had.
struct Story {
  struct Step {
    enum class Kind { feed, cut, publish, maintain, reopen };
    Kind kind;
    std::uint64_t to = 0;              ///< a batch
    std::uint64_t bytes_max = 0;       ///< of batches in one call
    const Batches* batches = nullptr;  ///< of the leader
  };

  /// A leader that begins with `common` batches of the model and goes on in an epoch of its own.
  void lead(LogModel& model, std::size_t common, std::uint64_t epoch, int batches) {
    leader = std::make_unique<ReplicaLog>(epoch);
    leader->open();
    if (common > 0) REQUIRE((*leader)->append_batches(joined(*leaders.back(), 0, common)));
    model.cut(common);
    ModelBatch start;
    start.kind = log::BatchKind::control;
    start.base = model.end();
    start.epoch = Epoch(epoch);
    start.time = (*leader)->last_time();
    leader->append(model, std::move(start), true);
    for (int i = 0; i < batches; ++i) {
      const std::size_t bytes_max = i % 17 == 9 ? 9'000 : i % 3 == 0 ? 1'500 : 60;
      // Mostly each batch knows the one before to be durable, now and then two are in flight.
      leader->append(model, bytes_max, i % 5 != 0);
    }
    REQUIRE((*leader)->sync());
    leaders.push_back(std::make_unique<Batches>(leader->batches()));
  }

  /// Where segments of the last leader begin.
  [[nodiscard]] std::vector<std::uint64_t> boundaries() const {
    std::vector<std::uint64_t> found;
    for (const auto& [path, bytes] : leader->segments()) {
      found.push_back(log::parse_segment_name(path.substr(4)).value().value);
    }
    return found;
  }

  std::vector<std::unique_ptr<Batches>> leaders;
  std::unique_ptr<ReplicaLog> leader;  ///< the last one
  std::vector<Step> steps;
};

Story make_story(LogModel& model) {
  using Kind = Story::Step::Kind;
  Story story;
  auto& steps = story.steps;
  {
    // A leader that begins with a batch that is too large for a first segment, and is forgotten.
    ReplicaLog first(1);
    first.open();
    LogModel lost(98);
    ModelBatch batch = lost.make_batch(30'000);
    while (batch.draft().body.bytes.size() < 100'000) batch = lost.make_batch(30'000);
    first.append(lost, std::move(batch), true);
    first.append(lost, 300, true);
    story.leaders.push_back(std::make_unique<Batches>(first.batches()));
    steps.push_back({Kind::feed, 2, 1u << 20, story.leaders.back().get()});
    steps.push_back({Kind::cut, 0});
  }
  story.lead(model, 0, 1000, 70);
  const Batches* a = story.leaders.back().get();
  const auto of_a = story.boundaries();
  REQUIRE(of_a.size() > 5);
  steps.push_back({Kind::feed, 9, 1, a});
  steps.push_back({Kind::publish, 4});
  steps.push_back({Kind::feed, of_a[3] + 1, 30'000, a});
  steps.push_back({Kind::reopen});
  steps.push_back({Kind::publish, of_a[1] + 1});
  steps.push_back({Kind::maintain});
  steps.push_back({Kind::feed, a->size(), 400'000, a});
  // Where a segment begins: that one goes as well, and the one before is written on, although all
  // of it is committed.
  steps.push_back({Kind::publish, of_a[3]});
  steps.push_back({Kind::maintain});
  steps.push_back({Kind::cut, of_a[3]});
  const std::uint64_t common = of_a[3] + 2;
  steps.push_back({Kind::feed, common + 3, 5'000, a});
  steps.push_back({Kind::cut, common});

  story.lead(model, common, 2000, 40);
  const Batches* b = story.leaders.back().get();
  const auto of_b = story.boundaries();
  steps.push_back({Kind::feed, of_b[of_b.size() - 2] + 2, 200'000, b});
  steps.push_back({Kind::publish, common + 1});
  steps.push_back({Kind::maintain});
  steps.push_back({Kind::reopen});
  steps.push_back({Kind::feed, b->size(), 2'000, b});
  const std::uint64_t again = of_b.back() - 1;
  steps.push_back({Kind::cut, again});

  story.lead(model, again, 3000, 40);
  const Batches* c = story.leaders.back().get();
  steps.push_back({Kind::publish, again - 1});
  steps.push_back({Kind::feed, again + 4, 900, c});
  steps.push_back({Kind::cut, again + 2});
  steps.push_back({Kind::feed, c->size(), 100'000, c});
  steps.push_back({Kind::publish, c->size() - 3});
  steps.push_back({Kind::maintain});
  steps.push_back({Kind::reopen});
  return story;
}

/// Lives through the story, and knows what its log may hold.
class Follower {
 public:
  Follower(const Story& story, std::uint64_t seed) : log(seed), story_(story), random_(seed) {}

  /// From where it stopped, to the end or the first error.
  [[nodiscard]] Result<void> go_on() {
    for (; step_ < story_.steps.size(); ++step_) KEELSON_TRY(perform(story_.steps[step_]));
    return {};
  }

  /// After a crash: what a call has returned success for is there, and nothing that nobody sent.
  void find() {
    paused = true;
    const std::uint64_t end = check_found();
    REQUIRE(log->published().value <= published_);
    least_ = most_ = end;
    or_.reset();
    paused = false;
  }

  /// After an error: what the log says that it holds is as good as acknowledged.
  void after_error() {
    if (!log.is_open()) return;
    paused = true;
    const std::uint64_t end = check_found();
    least_ = end;
    if (or_ && end == *or_) most_ = end;
    or_.reset();
    paused = false;
  }

  /// Ends the process, and opens again: perhaps that is ended as well.
  void crash(bool power) {
    end_process(power);
    if (random_() % 2 == 0) {
      log.disk.halt_after(1 + random_() % 12);
      const auto opened = log.try_open();
      if (opened) {
        log.disk.halt_after(0);
      } else {
        REQUIRE(log.disk.halted());
        end_process(random_() % 2 == 0);
      }
    }
    log.open();
    find();
  }

  void check_at_end(LogModel& model) {
    ReplicaLog same(1);
    same.disk.restore(story_.leader->disk.image());
    same.open();
    for (ReplicaLog* one : {&same, &log}) {
      one->publish_to(one->end().value);
      one->maintain();
    }
    CHECK((log.image() == same.image()));
    model.check_equal(*log);
  }

  ReplicaLog log;
  bool paused = false;  ///< what is done is not part of the story: no faults

 private:
  /// What may be in the log is, and nothing else. @return its end.
  [[nodiscard]] std::uint64_t check_found() {
    const std::uint64_t end = log.end().value;
    CAPTURE(step_);
    CAPTURE(end);
    CAPTURE(least_);
    CAPTURE(most_);
    const bool whole_cut = or_ && end == *or_;
    const bool expected = whole_cut || (end >= least_ && end <= most_);
    REQUIRE(expected);
    // What is sent anew may have taken the place of what was cut.
    if (end > 0) REQUIRE((log.read(0, end) == joined(*of_, 0, end)));
    return end;
  }

  void end_process(bool power) {
    if (power) {
      log.disk.cut_power();
    } else {
      log.disk.kill();
    }
  }

  Result<void> perform(const Story::Step& step) {
    using Kind = Story::Step::Kind;
    switch (step.kind) {
      case Kind::feed: return feed(step);
      case Kind::cut: {
        if (log.end().value <= step.to) return {};
        or_ = step.to;
        KEELSON_TRY(log->cut(BatchNo(step.to)));
        REQUIRE(log.end() == BatchNo(step.to));
        REQUIRE_FALSE(log.disk.image().contains("log/tail.cut"));
        least_ = most_ = step.to;
        or_.reset();
        return {};
      }
      case Kind::publish:
        published_ = std::max(published_, step.to);
        log.publish_to(step.to);
        return {};
      case Kind::maintain:
        while (log->maintenance_due()) KEELSON_TRY(log->maintain());
        return {};
      case Kind::reopen: return log.try_open();
    }
    return {};
  }

  Result<void> feed(const Story::Step& step) {
    const Batches& batches = *step.batches;
    if (of_ != nullptr) REQUIRE((joined(batches, 0, least_) == joined(*of_, 0, least_)));
    of_ = &batches;
    while (log.end().value < step.to) {
      const std::uint64_t first = log.end().value;
      std::uint64_t end = first;
      std::string bytes;
      while (end < step.to &&
             (end == first || bytes.size() + batches[end].size() <= step.bytes_max)) {
        bytes += batches[end++];
      }
      most_ = end;
      KEELSON_TRY(append(std::move(bytes)));
      REQUIRE(log.end().value == end);
      REQUIRE_FALSE(log.disk.image().contains("log/tail.cut"));
      least_ = end;
    }
    return {};
  }

  /// As one that comes, or as several of which each is verified before the one before is written.
  Result<void> append(std::string bytes) {
    if (log.end().value % 2 == 0) return log->append_batches(std::move(bytes));
    std::vector<log::Incoming> verified;
    for (std::string_view rest = bytes; !rest.empty();) {
      std::string piece;
      for (std::uint64_t i = 0; i <= verified.size() && !rest.empty(); ++i) {
        const std::string_view batch = log::batch_bytes(rest);
        piece += batch;
        rest.remove_prefix(batch.size());
      }
      KEELSON_TRY_ASSIGN(log::Incoming next,
                         log->verify_batches(std::move(piece),
                                             verified.empty() ? nullptr : verified.back().get()));
      verified.push_back(std::move(next));
    }
    return log->append_batches(verified);
  }

  const Story& story_;
  std::mt19937_64 random_;
  std::size_t step_ = 0;
  const Batches* of_ = nullptr;
  std::uint64_t least_ = 0;          ///< batches that must be there
  std::uint64_t most_ = 0;           ///< and those that may
  std::optional<std::uint64_t> or_;  ///< so many exactly is right as well
  std::uint64_t published_ = 0;
};

struct ToldStory {
  ToldStory() : model(4), story(make_story(model)) {
    Follower follower(story, 1);
    follower.log.open();
    REQUIRE(follower.go_on());
    calls = follower.log.disk.calls();
  }
  LogModel model;
  Story story;
  std::uint64_t calls = 0;  ///< that the follower makes
};

}  // namespace

TEST_CASE("replica crash: whatever call is the last, what was acknowledged is there and no more") {
  ToldStory told;
  std::uint64_t marks = 0;
  const std::uint64_t step = long_run() ? 1 : 3;
  for (std::uint64_t last = 1; last <= told.calls; last += last < 40 ? 1 : step) {
    for (const std::uint64_t seed : {0u, 1u, 2u, 3u}) {
      CAPTURE(last);
      CAPTURE(seed);
      Follower follower(told.story, last * 10 + seed);
      follower.log.disk.halt_after(last);
      auto ended = follower.log.try_open();
      if (ended) ended = follower.go_on();
      REQUIRE_FALSE(ended.has_value());
      REQUIRE(follower.log.disk.halted());
      marks += follower.log.disk.image().contains("log/tail.cut") ? 1 : 0;
      follower.crash(seed != 0);
      const auto done = follower.go_on();
      REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message()));
      follower.check_at_end(told.model);
    }
  }
  MESSAGE(told.calls, " calls; ", marks, " crashes with a mark");
  CHECK(marks > 100);
}

TEST_CASE("replica crash: whatever call fails, what the log says that it holds is durable") {
  ToldStory told;
  const std::uint64_t step = long_run() ? 1 : 2;
  for (std::uint64_t failing = 1; failing <= told.calls; failing += step) {
    for (const bool crashes : {false, true}) {
      CAPTURE(failing);
      CAPTURE(crashes);
      Follower follower(told.story, failing);
      std::uint64_t calls = 0;
      bool sync_failed = false;
      follower.log.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
        if (follower.paused || ++calls != failing) return std::nullopt;
        sync_failed = call == DiskCall::sync || call == DiskCall::sync_folder;
        return failing % 4 < 2 ? Errc::disk_full : Errc::io_error;
      });
      int errors = 0;
      auto done = follower.log.try_open();
      if (done) done = follower.go_on();
      for (; !done; done = follower.go_on()) {
        CAPTURE(done.error().message());
        REQUIRE(++errors == 1);
        // After a sync that failed nothing counts but what was acknowledged before.
        if (!sync_failed) follower.after_error();
        if (!follower.log.is_open()) {
          follower.log.disk.kill();
          follower.log.open();
          follower.find();
        } else if (sync_failed || crashes) {
          follower.crash(crashes);
        }
      }
      follower.paused = true;
      follower.check_at_end(told.model);
    }
  }
}
