// What `verify` says of a log: nothing of a good one, and the file and the byte of a damaged one.
#include "engine/log/log_verifier.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/log/partition_log.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::LogFinding;
using log::PartitionLog;
using Kind = log::LogFinding::Kind;

namespace {

const Uuid kIdentity{{std::byte{7}}};

/// A log of several segments, closed or still open.
class VerifiedLog {
 public:
  VerifiedLog() : model_(3) {
    open();
    while (segments().size() < 4) append();
  }

  void open() {
    log_ = PartitionLog::open(disk, "log", kIdentity, {.segment_bytes = 64u << 10}).value();
  }
  void close() { log_.reset(); }

  void append() {
    ModelBatch batch = model_.make_batch(4000);
    const auto number = log_->append(batch.draft());
    REQUIRE(number.has_value());
    REQUIRE(log_->sync());
    log_->publish(*number);
    model_.take(std::move(batch));
    while (log_->maintenance_due()) REQUIRE(log_->maintain());
    events_ = log_->end().value;
  }

  [[nodiscard]] std::vector<std::string> files(std::string_view suffix) {
    auto names = disk.list("log").value();
    std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
    for (std::string& name : names) name = "log/" + name;
    return names;
  }
  [[nodiscard]] std::vector<std::string> segments() { return files(".seg"); }

  [[nodiscard]] log::LogReport verify() { return log::verify_log(disk, "log", kIdentity).value(); }
  [[nodiscard]] std::uint64_t events() const { return events_; }

  SimulatedFileSystem disk{3};

 private:
  LogModel model_;
  std::unique_ptr<PartitionLog> log_;
  std::uint64_t events_ = 0;
};

}  // namespace

TEST_CASE("verify: nothing is found in a good log, open or closed") {
  VerifiedLog log;
  for (const bool closed : {false, true}) {
    if (closed) log.close();
    const auto report = log.verify();
    CHECK(report.findings.empty());
    CHECK(report.segments == log.segments().size());
    CHECK(report.events == log.events());
  }
}

TEST_CASE("verify: a flipped bit in a sealed segment is found, with its file") {
  VerifiedLog log;
  log.close();
  const std::string path = log.segments()[1];
  const auto bytes = log.disk.open(path, io::OpenMode::read).value()->size().value();
  for (std::uint64_t bit = 5; bit < bytes * 8; bit += 40'009) {
    INFO("bit ", bit);
    log.disk.flip_bit(path, bit);
    const auto report = log.verify();
    REQUIRE_FALSE(report.findings.empty());
    for (const LogFinding& finding : report.findings) {
      CHECK(finding.kind == Kind::lost);
      CHECK(finding.what.find("byte") != std::string::npos);
    }
    CHECK(report.findings.front().file == path);
    log.disk.flip_bit(path, bit);
  }
  CHECK(log.verify().findings.empty());
}

TEST_CASE("verify: a missing segment is lost, and what follows is verified all the same") {
  VerifiedLog log;
  log.close();
  const auto paths = log.segments();
  const auto whole = log.verify();
  REQUIRE(log.disk.remove(paths[1]));
  const auto report = log.verify();
  REQUIRE_FALSE(report.findings.empty());
  CHECK(report.findings.front().kind == Kind::lost);
  CHECK(report.segments == whole.segments - 1);
  CHECK(report.events > 0);
  CHECK(report.events < whole.events);
}

TEST_CASE("verify: an index that is damaged or missing is told from a loss") {
  VerifiedLog log;
  log.close();
  const std::string path = log.files(".idx").at(1);
  SUBCASE("missing") { REQUIRE(log.disk.remove(path)); }
  SUBCASE("a bit flipped in the last byte") {
    const auto bytes = log.disk.open(path, io::OpenMode::read).value()->size().value();
    log.disk.flip_bit(path, bytes * 8 - 1);
  }
  SUBCASE("another segment's") {
    REQUIRE(log.disk.remove(path));
    REQUIRE(log.disk.rename(log.files(".idx").at(0), path));
  }
  const auto report = log.verify();
  REQUIRE_FALSE(report.findings.empty());
  for (const LogFinding& finding : report.findings) CHECK(finding.kind == Kind::derived);
  CHECK(report.findings.back().file == path);
  log.open();  // makes it again
  CHECK(log.verify().findings.empty());
}

TEST_CASE("verify: bytes after the last batch are a torn write") {
  VerifiedLog log;
  log.close();
  const std::string path = log.segments().back();
  const auto file = log.disk.open(path, io::OpenMode::read_write).value();
  const std::uint64_t end = file->size().value();
  REQUIRE(file->write_at(end - 100, "cut short"));
  const auto report = log.verify();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == Kind::torn);
  CHECK(report.findings.front().file == path);
  CHECK(report.events == log.events());
}

TEST_CASE("verify: a last segment that was cut is lost, wherever it was cut") {
  for (const std::uint64_t length : {60'000u, 5000u, 4096u, 100u}) {
    CAPTURE(length);
    VerifiedLog log;
    log.close();
    const std::string path = log.segments().back();
    REQUIRE(log.disk.open(path, io::OpenMode::read_write).value()->truncate(length));
    const auto report = log.verify();
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == Kind::lost);
    CHECK(report.findings.front().file == path);
  }
}

TEST_CASE("verify: a log that is gone is lost") {
  VerifiedLog log;
  log.close();
  REQUIRE(log.disk.remove_all("log"));
  const auto report = log.verify();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == Kind::lost);
}

TEST_CASE("verify: a log whose first segment is gone does not begin where a log begins") {
  VerifiedLog log;
  log.close();
  const auto paths = log.segments();
  REQUIRE(log.disk.remove(paths[0]));
  const auto report = log.verify();
  REQUIRE_FALSE(report.findings.empty());
  CHECK(report.findings.front().kind == Kind::lost);
  CHECK(report.findings.front().file == paths[1]);
}
