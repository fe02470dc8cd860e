// A read model that does not open for what may pass opens later, and until then nothing is made up.
#include <cerrno>

#include "tests/projections/support/failing_disk.h"
#include "tests/projections/support/host_fixture.h"
#include "tests/support/captured_log.h"

using namespace keelson;
using namespace keelson::test;
using namespace std::chrono_literals;
using Fault = FailingWrites::Fault;

namespace {

constexpr auto kRetryDelay = 1s;
const std::string kCount = "SELECT count(*) FROM names";

Projection names(std::uint32_t version = 1, const std::string& more = "") {
  Projection projection("test", version);
  projection.schema("CREATE TABLE names (id TEXT PRIMARY KEY) STRICT;" + more);
  projection.on("name", "named", "INSERT INTO names VALUES (@stream_id)");
  return projection;
}

/// What is another schema of the same version, so that the read model is built anew.
Projection other_names() { return names(1, "CREATE TABLE more (id TEXT PRIMARY KEY) STRICT;"); }

/// Names for each partition's log to hold some.
struct Names : HostFixture {
  explicit Names(std::uint32_t partitions) : HostFixture(partitions) { append(20); }

  void append(int count) {
    for (; count > 0; --count) topic.append("name-" + std::to_string(named++), "named");
  }
  /// As `open`, but of what is tried again only what is tried at once.
  void start(const Projection& projection) {
    const auto error = try_open({projection});
    if (error) FAIL(error->message());
    host->start();
    scheduler.run_due();
  }
  [[nodiscard]] projections::ProjectionStatus::PartitionStatus status(std::size_t partition) {
    return host->status("test")->partitions.at(partition);
  }
  [[nodiscard]] std::string all() const { return "[[" + std::to_string(named) + "]]"; }

  /// Questions fail with `code` and say which partition it is; none is answered without its rows.
  void check_refused(Errc code, const std::string& why) {
    const auto check = [&](const auto& answer) {
      REQUIRE_FALSE(answer);
      CHECK(answer.error().code == code);
      CHECK(answer.error().context.find("partition 0: ") != std::string::npos);
      CHECK(answer.error().context.find(why) != std::string::npos);
    };
    check(try_query(kCount));
    check(try_query(kCount, Position(topic.partition_count())));
    RowsRequest rows;
    rows.table = "names";
    check(host->rows("test", rows));
    check(host->history("test", rows));
  }
  void check_delayed(Errc code, const std::string& why) {
    const auto delayed = status(0);
    CHECK_FALSE(delayed.halted_at.has_value());
    CHECK(delayed.error.starts_with(std::string(to_string(code)) + ": "));
    CHECK(delayed.error.find(why) != std::string::npos);
    CHECK(delayed.next == Offset(0));
    CHECK(delayed.lag_events == topic.memory(0).end().value);
    CHECK(delayed.lag_seconds > 0);
    check_refused(code, why);
  }
  void check_running() {
    for (std::size_t p = 0; p < topic.partition_count(); ++p) {
      CHECK(status(p).error == "");
      CHECK_FALSE(status(p).halted_at.has_value());
      CHECK(status(p).next == topic.memory(p).end());
    }
    CHECK(query(kCount) == all());
  }

  int named = 0;
};

}  // namespace

TEST_CASE("opening: without room for the -shm file a host starts, and answers when there is room") {
  Names test(2);
  test.open({names()});
  test.check_running();
  test.host.reset();
  test.append(5);
  std::optional<FailingWrites> full(Fault{"p0.db-shm"});
  test.start(names());
  test.check_delayed(Errc::disk_full, "No space left on device");

  // The other partition is followed meanwhile; a wait for all goes on.
  test.append(5);
  test.scheduler.pass(10 * kRetryDelay);
  CHECK(test.status(1).next == test.topic.memory(1).end());
  test.check_delayed(Errc::disk_full, "No space left on device");
  Position all(2);
  for (std::uint32_t p = 0; p < 2; ++p) all.set_next(PartitionId(p), test.topic.memory(p).end());
  std::vector<std::string> told;
  const auto waiting =
      test.host->when_applied("test", all, [&] { told.push_back(test.query(kCount)); });

  full.reset();
  test.scheduler.pass(kRetryDelay - 1ns);
  test.check_delayed(Errc::disk_full, "No space left on device");
  CHECK(told.empty());
  test.scheduler.pass(1ns);
  test.check_running();
  CHECK(told == std::vector{test.all()});
  test.append(5);
  test.catch_up();
  test.check_running();
}

TEST_CASE("opening: who waits for what was applied before is answered once it is open") {
  Names test(1);
  test.open({names()});
  test.host.reset();
  std::optional<FailingWrites> full(Fault{"-shm"});
  test.start(names());
  std::string told;
  const auto waiting =
      test.host->when_applied("test", at_offset(19), [&] { told = test.query(kCount); });
  CHECK(told == "");
  full.reset();
  test.scheduler.pass(kRetryDelay);
  CHECK(told == "[[20]]");
}

TEST_CASE("opening: whichever write is the last that fits, nothing is lost, doubled or made up") {
  enum class Found { nothing, other, same };
  for (const Found found : {Found::nothing, Found::other, Found::same}) {
    CAPTURE(static_cast<int>(found));
    int delayed = 0;
    bool fits = false;
    int writes = 0;
    for (; !fits; ++writes) {
      CAPTURE(writes);
      Names test(1);
      if (found != Found::nothing) {
        test.open({found == Found::same ? names() : other_names()});
        test.host.reset();
        test.append(3);
      }
      {
        const FailingWrites full({.ending = "", .writes_left = writes});
        test.start(names());
        test.scheduler.pass(kRetryDelay);
        test.scheduler.pass(kRetryDelay);
        fits = full.failed() == 0;
        CHECK_FALSE(test.status(0).halted_at.has_value());
        CHECK(fits == test.status(0).error.empty());
        const auto answer = test.try_query(kCount);
        if (answer) {
          CHECK(answer->rows_json ==
                "[[" + std::to_string(answer->at.next(PartitionId(0)).value) + "]]");
        } else {
          CHECK(answer.error().code == Errc::disk_full);
          ++delayed;
        }
      }
      test.scheduler.pass(kRetryDelay);
      test.check_running();
    }
    CHECK(writes > 8);  // of the -shm file alone
    CHECK(delayed > 0);
  }
}

TEST_CASE("opening: what may pass is tried again, with its own code; what may not is an error") {
  for (const Errc code : {Errc::disk_full, Errc::io_error, Errc::overloaded}) {
    for (const auto* where : {"/v1", "/p0.db"}) {  // a new read model's folder, and its file
      CAPTURE(where);
      Names test(1);
      test.files.fail_at(where, Error{code, "told to", std::nullopt});
      test.start(names());
      test.check_delayed(code, "told to");
      test.files.mend();
      test.scheduler.pass(kRetryDelay);
      test.check_running();
    }
  }
  Names test(1);
  const Error lasting{Errc::internal, "told to", std::nullopt};
  test.files.fail_at("/p0.db", lasting);
  CHECK(test.try_open({names()}) == lasting);
}

TEST_CASE("opening: an error that shows up at a later attempt and does not pass halts, visibly") {
  Names test(1);
  test.files.fail_at("/p0.db", Error{Errc::disk_full, "told to", std::nullopt});
  test.start(names());
  test.check_delayed(Errc::disk_full, "told to");
  test.files.fail_at("/p0.db", Error{Errc::internal, "for good", std::nullopt});
  test.scheduler.pass(kRetryDelay);
  CHECK(test.status(0).halted_at == Offset(0));
  CHECK(test.status(0).error == "internal: for good");
  test.check_refused(Errc::internal, "for good");
  test.files.mend();
  test.scheduler.pass(10 * kRetryDelay);  // until the next start
  test.check_refused(Errc::internal, "for good");
  test.start(names());
  test.check_running();
}

TEST_CASE("opening: a log found damaged at a later attempt leaves the read model as it is") {
  Names test(1);
  test.open({names()});
  test.host.reset();
  std::optional<FailingWrites> full(Fault{"-shm"});
  test.start(names());
  const Error damage{Errc::corruption, "0.seg at byte 4711: wrong checksum", std::nullopt};
  test.topic.memory(0).set_damage(damage, MemoryPartition::Found::when_read);
  full.reset();
  test.scheduler.pass(kRetryDelay);
  CHECK(test.status(0).next == Offset(20));
  CHECK(test.status(0).halted_at == Offset(20));
  CHECK(test.status(0).error == damage.message());
  test.check_refused(Errc::corruption, damage.context);
  test.topic.memory(0).mend();
  REQUIRE_FALSE(test.try_open({names()}));
  CHECK(test.query(kCount) == "[[20]]");  // before anything is applied
}

TEST_CASE("opening: what retention has removed is no lag, and not waited for") {
  Names test(1);
  test.topic.memory(0).set_start(Offset(15));
  std::optional<FailingWrites> full(Fault{"-shm"});
  test.start(names());
  CHECK(test.status(0).lag_events == 5);
  CHECK(test.status(0).lag_seconds > 0);
  full.reset();
  test.scheduler.pass(kRetryDelay);
  CHECK(test.status(0).next == Offset(20));
  CHECK(test.query(kCount) == "[[5]]");
}

TEST_CASE("opening: a read model knows what it has not seen, and goes on knowing") {
  Names test(1);
  CHECK(Position(1).to_string() == "-");
  test.open({names()});
  CHECK(test.host->floor("test").value() == Position(1));
  test.topic.memory(0).set_start(Offset(12));  // what it has seen it has seen
  test.open({names()});
  CHECK(test.host->floor("test").value() == Position(1));
  test.open({other_names()});
  CHECK(test.host->floor("test").value() == at_offset(11));
  test.open({other_names()});
  CHECK(test.host->floor("test").value() == at_offset(11));
}

TEST_CASE("opening: the operating system's reason is told, and decides whether it is a full disk") {
  for (const auto& [error, code, why] : {std::tuple{ENOSPC, Errc::disk_full, "No space left"},
                                         std::tuple{EDQUOT, Errc::disk_full, "quota exceeded"},
                                         std::tuple{EIO, Errc::io_error, "Input/output error"}}) {
    CAPTURE(why);
    for (const bool found : {true, false}) {
      Names test(1);
      if (found) test.open({names()});
      test.host.reset();
      const FailingWrites failing(Fault{"-shm", error});
      test.start(names());
      test.check_delayed(code, why);
    }
  }
}

TEST_CASE("opening: trouble, a rebuild and the end of the trouble are logged once each") {
  Names test(1);
  test.open({other_names()});
  test.host.reset();
  const CapturedLog log;
  std::optional<FailingWrites> full(Fault{"-wal"});
  test.start(names());
  for (int i = 0; i < 10; ++i) test.scheduler.pass(kRetryDelay);
  test.check_delayed(Errc::disk_full, "database or disk is full");
  CHECK(log.count("is built anew from the log: it was made by another version, schema") == 1);
  CHECK(log.count("built anew") == 1);
  CHECK(log.count("projection delayed: ") == 1);
  CHECK(log.count("projection goes on: ") == 0);
  full.reset();
  test.scheduler.pass(kRetryDelay);
  test.check_running();
  CHECK(log.count("built anew") == 1);
  CHECK(log.count("projection goes on: ") == 1);
}

TEST_CASE("opening: a host that is stopped tries no more") {
  Names test(1);
  test.files.fail_at("/p0.db", Error{Errc::disk_full, "told to", std::nullopt});
  test.start(names());
  test.host->stop();
  test.files.mend();
  test.scheduler.pass(10 * kRetryDelay);
  test.check_delayed(Errc::disk_full, "told to");
}
