// Exactly once, in order, halting where it must, whatever happens in between.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <stdexcept>

#include "engine/base/thread_scheduler.h"
#include "tests/projections/support/host_fixture.h"

using namespace keelson;
using namespace keelson::test;
using projections::Value;

namespace {

/// Counts every application of every event, so that one done twice or not at all shows.
Projection counting(std::uint32_t version = 1, const std::string& name = "test") {
  Projection projection(name, version);
  projection.schema(R"sql(
    CREATE TABLE seen (event INTEGER PRIMARY KEY, times INTEGER NOT NULL) STRICT;
    CREATE TABLE total (k TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;
  )sql");
  projection.on_any_stream("add", R"sql(
    INSERT INTO seen VALUES (@offset, 1) ON CONFLICT DO UPDATE SET times = times + 1;
    INSERT INTO total VALUES ('all', :n) ON CONFLICT DO UPDATE SET n = n + excluded.n;
  )sql");
  projection.on("s", "fail", [](const EventContext&, Tables& tables) -> Result<void> {
    KEELSON_TRY(tables.run("UPDATE total SET n = -1"));
    return fail(Errc::bad_request, "I will not");
  });
  projection.on("s", "throw", [](const EventContext&, Tables&) -> Result<void> {
    throw std::runtime_error("thrown");
  });
  return projection;
}

void append(HostFixture& fixture, int count) {
  for (int i = 0; i < count; ++i) fixture.topic.append("s-1", "add", R"({"n":1})");
}

const std::string kSummary =
    "SELECT count(*), coalesce(max(times), 0), coalesce((SELECT n FROM total), 0) FROM seen";

std::string exactly_once(int count) {
  const std::string n = std::to_string(count);
  return "[[" + n + "," + (count == 0 ? "0" : "1") + "," + n + "]]";
}

projections::ProjectionStatus::PartitionStatus status_of(HostFixture& fixture,
                                                         const std::string& name = "test",
                                                         std::size_t partition = 0) {
  return fixture.host->status(name)->partitions.at(partition);
}

}  // namespace

TEST_CASE("applier: a failing event halts before itself, with everything before it applied") {
  for (const auto* kind : {"fail", "throw"}) {
    for (const int before : {0, 1, 6, 7, 8}) {
      CAPTURE(kind);
      CAPTURE(before);
      HostFixture fixture;
      fixture.options.transaction_events_max = 7;
      append(fixture, before);
      fixture.topic.append("s-1", kind);
      append(fixture, 3);
      fixture.open({counting(), counting(1, "other_one")});
      CHECK(fixture.query(kSummary) == exactly_once(before));
      const auto status = status_of(fixture);
      CHECK(status.halted_at == Offset(std::uint64_t(before)));
      CHECK(status.next == Offset(std::uint64_t(before)));
      CHECK(status.lag_events == 4);
      CHECK(status.lag_seconds > 0);
      CHECK(status.error ==
            (kind == std::string("fail") ? "I will not" : "the handler threw: thrown"));
      // Until it is put right it stays there, also when opened anew.
      append(fixture, 1);
      fixture.catch_up();
      CHECK(fixture.query(kSummary) == exactly_once(before));
      fixture.open({counting()});
      CHECK(status_of(fixture).halted_at == Offset(std::uint64_t(before)));
    }
  }
}

TEST_CASE("applier: retention waits for what is behind, and not for what is halted") {
  HostFixture fixture;
  append(fixture, 3);
  REQUIRE_FALSE(fixture.try_open({counting(), counting(1, "other_one")}));
  CHECK(fixture.topic.memory().kept_from() == Offset(0));  // already, though nothing has begun
  fixture.host->start();
  fixture.catch_up();
  CHECK(fixture.topic.memory().kept_from() == Offset(3));
  fixture.topic.append("s-1", "fail");
  append(fixture, 2);
  fixture.catch_up();
  CHECK(status_of(fixture).halted_at == Offset(3));
  CHECK(fixture.topic.memory().kept_from() == Offset(UINT64_MAX));
}

TEST_CASE("applier: a halt is one projection's, in one partition") {
  HostFixture fixture(2);
  Projection careless("careless", 1);
  careless.schema("CREATE TABLE t (k INTEGER PRIMARY KEY) STRICT");
  careless.on("s", "add", "INSERT OR REPLACE INTO t VALUES (@offset)");
  fixture.topic.memory(0).append("s-1", "add", R"({"n":1})");
  fixture.topic.memory(0).append("s-1", "fail", "{}");
  fixture.topic.memory(0).append("s-1", "add", R"({"n":1})");
  for (int i = 0; i < 3; ++i) fixture.topic.memory(1).append("s-2", "add", R"({"n":1})");
  fixture.open({counting(), careless});
  CHECK(status_of(fixture, "test", 0).halted_at == Offset(1));
  CHECK(status_of(fixture, "test", 1).halted_at == std::nullopt);
  CHECK(status_of(fixture, "test", 1).lag_events == 0);
  CHECK(status_of(fixture, "careless", 0).halted_at == std::nullopt);
  CHECK(fixture.query("SELECT count(*) FROM seen") == "[[4]]");
  fixture.name = "careless";
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[5]]");
}

TEST_CASE("applier: a handler put right goes on from where it halted") {
  HostFixture fixture;
  append(fixture, 2);
  fixture.topic.append("s-1", "add", R"({"n":"many"})");
  append(fixture, 2);
  Projection strict("test", 1);
  strict.schema("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER) STRICT");
  bool corrected = false;
  strict.on("s", "add", [&](const EventContext& event, Tables& tables) {
    const Value n = corrected && event.data()["n"].is_string() ? Value(100) : event["n"];
    return tables.run("INSERT INTO t VALUES (:k, :n)", {{"k", event.offset()}, {"n", n}});
  });
  fixture.open({strict});
  CHECK(status_of(fixture).halted_at == Offset(2));
  corrected = true;
  fixture.open({strict});
  CHECK(status_of(fixture).halted_at == std::nullopt);
  CHECK(fixture.query("SELECT n FROM t ORDER BY k") == "[[1],[1],[100],[1],[1]]");
}

TEST_CASE("applier: events that no rule is for move the checkpoint all the same") {
  HostFixture fixture;
  for (int i = 0; i < 5; ++i) fixture.topic.append("s-1", "unknown", "not even JSON");
  fixture.open({counting()});
  CHECK(status_of(fixture).next == Offset(5));
  CHECK(fixture.try_query("SELECT 1")->at.to_string() == "4");
}

TEST_CASE("applier: a projection opened anew goes on at its checkpoint") {
  HostFixture fixture;
  for (int round = 1; round <= 5; ++round) {
    append(fixture, 10);
    fixture.open({counting()});
    CHECK(fixture.query(kSummary) == exactly_once(10 * round));
    append(fixture, 3);
    fixture.catch_up();
    CHECK(fixture.query(kSummary) == exactly_once(10 * round + 3));
    fixture.topic.memory().cut(Offset(std::uint64_t(10 * round)));
  }
}

TEST_CASE("applier: killed at any moment, each event has been applied once or not yet") {
  // A child process applies; the parent kills it at some moment, and looks at what it left.
  HostFixture fixture;
  fixture.options.transaction_events_max = 3;
  append(fixture, 3000);
  bool in_midst = false;
  for (int attempt = 1; attempt <= 12 || (!in_midst && attempt <= 60); ++attempt) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      fixture.try_open({counting()});
      fixture.host->start();
      (void)!::write(ready[1], "x", 1);
      fixture.scheduler.run();
      ::_exit(0);
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    // A moment, not a synchronisation; up to a second, where a sanitizer makes the child slow.
    ::usleep(static_cast<useconds_t>(attempt) * (attempt <= 12 ? 700 : attempt * 300));
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    ::close(ready[0]);
    ::close(ready[1]);
    REQUIRE_FALSE(fixture.try_open({counting()}));
    const auto applied = int(status_of(fixture).next.value);
    in_midst = in_midst || (applied > 0 && applied < 3000);
    CHECK(fixture.query(kSummary) == exactly_once(applied));
    fixture.host.reset();
  }
  CHECK(in_midst);
  fixture.open({counting()});
  CHECK(fixture.query(kSummary) == exactly_once(3000));
  CHECK(fixture.query(kSummary, 1499) == exactly_once(1500));
}

TEST_CASE("applier: a reader sees one moment while events are being applied") {
  HostFixture fixture;
  append(fixture, 5);
  fixture.open({counting()});
  Projection noisy("noisy", 1);
  std::vector<std::string> seen;
  noisy.schema("CREATE TABLE t (k INTEGER PRIMARY KEY) STRICT");
  // Asks another projection, which has been applied already, and its own while it is being applied.
  noisy.on("s", "add", [&](const EventContext& event, Tables& tables) -> Result<void> {
    KEELSON_TRY(tables.run("INSERT INTO t VALUES (:k)", {{"k", event.offset()}}));
    fixture.name = "noisy";
    seen.push_back(fixture.query("SELECT count(*) FROM t"));
    return {};
  });
  fixture.options.transaction_events_max = 2;
  fixture.open({counting(), noisy});
  CHECK(seen == std::vector<std::string>{"[[0]]", "[[0]]", "[[2]]", "[[2]]", "[[4]]"});
  CHECK(fixture.query("SELECT count(*) FROM t") == "[[5]]");
}

TEST_CASE("read model: a file of other code, topic, partition or log is built anew") {
  HostFixture fixture;
  append(fixture, 10);
  fixture.open({counting()});
  SUBCASE("other SQL under the same version") {
    Projection other = counting();
    other.on("s", "add", "UPDATE total SET n = n + 1000");
    fixture.open({other});
    CHECK(fixture.query("SELECT n FROM total") == "[[10010]]");
  }
  SUBCASE("the same SQL for other streams") {
    const auto* const schema = "CREATE TABLE seen (event INTEGER PRIMARY KEY) STRICT";
    const auto* const sql = "INSERT INTO seen VALUES (@offset)";
    fixture.open({Projection("test", 1).schema(schema).on_any_stream("add", sql)});
    CHECK(fixture.query("SELECT count(*) FROM seen") == "[[10]]");
    fixture.open({Projection("test", 1).schema(schema).on("other", "add", sql)});
    CHECK(fixture.query("SELECT count(*) FROM seen") == "[[0]]");
  }
  SUBCASE("the same code for other streams") {
    const auto* const schema = "CREATE TABLE seen (event INTEGER PRIMARY KEY) STRICT";
    const Projection::Handler see = [](const EventContext& event, Tables& tables) {
      return tables.run("INSERT INTO seen VALUES (:offset)", {{"offset", event.offset()}});
    };
    fixture.open({Projection("test", 1).schema(schema).on("s", "add", see)});
    CHECK(fixture.query("SELECT count(*) FROM seen") == "[[10]]");
    fixture.open({Projection("test", 1).schema(schema).on("other", "add", see)});
    CHECK(fixture.query("SELECT count(*) FROM seen") == "[[0]]");
  }
  SUBCASE("another schema") {
    Projection other("test", 1);
    other.schema("CREATE TABLE seen (event INTEGER PRIMARY KEY) STRICT");
    other.on("s", "add", "INSERT INTO seen VALUES (@offset)");
    fixture.open({other});
    CHECK(fixture.query("SELECT count(*) FROM seen") == "[[10]]");
  }
  SUBCASE("another version, in its own folder") {
    fixture.open({counting(2)});
    CHECK(fixture.query(kSummary) == exactly_once(10));
    CHECK(std::filesystem::exists(fixture.options.folder + "/test/v1/p0.db"));
    CHECK(std::filesystem::exists(fixture.options.folder + "/test/v2/p0.db"));
  }
  SUBCASE("a log restored from an older copy") {
    fixture.topic.memory().cut(Offset(4));
    fixture.open({counting()});
    CHECK(fixture.query(kSummary) == exactly_once(4));
  }
  SUBCASE("a log restored from an older copy, that has grown again") {
    fixture.topic.memory().cut(Offset(4));
    for (int i = 0; i < 20; ++i) fixture.topic.append("other-1", "add", R"({"n":2})");
    fixture.open({counting()});
    CHECK(fixture.query("SELECT n FROM total") == "[[44]]");
  }
  SUBCASE("a file that is no database") {
    fixture.host.reset();
    std::ofstream(fixture.options.folder + "/test/v1/p0.db") << std::string(10'000, 'x');
    fixture.open({counting()});
    CHECK(fixture.query(kSummary) == exactly_once(10));
  }
  SUBCASE("an empty file") {
    fixture.host.reset();
    std::filesystem::resize_file(fixture.options.folder + "/test/v1/p0.db", 0);
    fixture.open({counting()});
    CHECK(fixture.query(kSummary) == exactly_once(10));
  }
  SUBCASE("no file") {
    fixture.host.reset();
    std::filesystem::remove_all(fixture.options.folder);
    fixture.open({counting()});
    CHECK(fixture.query(kSummary) == exactly_once(10));
  }
}

TEST_CASE("projection host: a position is answered when it is applied, refused where it is not") {
  HostFixture fixture;
  append(fixture, 3);
  fixture.open({counting()});
  append(fixture, 2);
  const auto code_at = [&](std::int64_t at) {
    const auto result = fixture.try_query("SELECT 1", at_offset(at));
    return result ? Errc::internal : result.error().code;
  };
  CHECK(code_at(2) == Errc::internal);
  CHECK(code_at(3) == Errc::not_caught_up);
  CHECK(code_at(4) == Errc::not_caught_up);
  CHECK(code_at(5) == Errc::beyond_end);
  CHECK(fixture.try_query("SELECT 1", Position(2)).error().code == Errc::bad_request);

  int called = 0;
  const auto at_once = fixture.host->when_applied("test", at_offset(2), [&] { ++called; });
  CHECK(called == 1);
  const auto later = fixture.host->when_applied("test", at_offset(4), [&] { ++called; });
  auto dropped = *fixture.host->when_applied("test", at_offset(4), [&] { called += 100; });
  const auto never = fixture.host->when_applied("test", at_offset(5), [&] { called += 1000; });
  dropped.reset();
  CHECK(called == 1);
  fixture.catch_up();
  CHECK(called == 2);
  CHECK(code_at(4) == Errc::internal);
  CHECK_FALSE(fixture.host->when_applied("nope", at_offset(1), [] {}));
}

TEST_CASE("projection host: on threads, what is waited for is there when the wait ends") {
  HostFixture fixture(3);
  ThreadScheduler threads(2);
  auto registry = std::make_shared<ProjectionRegistry>();
  registry->add(counting()).add(counting(1, "second"));
  fixture.options.folder = fixture.folder.path() + "/projections";
  auto opened = ProjectionHost::open({fixture.files, fixture.clock, fixture.random, threads},
                                     fixture.topic, registry, fixture.options);
  REQUIRE(opened);
  fixture.host = std::move(*opened);
  fixture.host->start();
  for (int round = 1; round <= 50; ++round) {
    for (std::size_t p = 0; p < 3; ++p) {
      fixture.topic.memory(p).append("s-1", "add", R"({"n":1})");
    }
    Position wanted(3);
    for (std::uint32_t p = 0; p < 3; ++p) wanted.set_next(PartitionId(p), Offset(round));
    for (const std::string name : {"test", "second"}) {
      std::promise<void> applied;
      const auto waiting = fixture.host->when_applied(name, wanted, [&] { applied.set_value(); });
      REQUIRE(applied.get_future().wait_for(std::chrono::seconds(20)) == std::future_status::ready);
      fixture.name = name;
      REQUIRE(fixture.query("SELECT sum(n) FROM total", wanted) ==
              "[[" + std::to_string(3 * round) + "]]");
    }
  }
  fixture.host->stop();
  fixture.host.reset();
}

TEST_CASE("projection host: definitions that cannot work are refused with their name") {
  HostFixture fixture;
  const auto refusal = [&](std::vector<Projection> projections) {
    const auto error = fixture.try_open(std::move(projections));
    return error ? error->message() : "";
  };
  CHECK(refusal({counting(), counting()}) == "bad_request: two projections are named test");
  CHECK(refusal({counting(0)}) == "bad_request: projection test: versions begin at 1");
  for (const auto* name : {"", "Test", "1st", "a-b", "../x", "a/b"}) {
    CHECK(refusal({counting(1, name)}).find("a name matches") != std::string::npos);
  }
  CHECK(refusal({Projection("empty", 1)}) ==
        "bad_request: projection empty: the schema has no table");
  CHECK(refusal({}) == "");
}
