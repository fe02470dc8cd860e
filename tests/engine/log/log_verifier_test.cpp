// What `verify` says of a log: nothing of a good one, and the file and the byte of a damaged one.
#include "engine/log/log_verifier.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/log_format.h"
#include "engine/log/log_inspector.h"
#include "engine/log/partition_log.h"
#include "engine/log/tail_cut.h"
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

  void append(bool maintained = true) {
    ModelBatch batch = model_.make_batch(4000);
    const auto number = log_->append(batch.draft());
    REQUIRE(number.has_value());
    REQUIRE(log_->sync());
    log_->publish(*number);
    model_.take(std::move(batch));
    if (maintained) maintain();
    events_ = log_->end().value;
  }

  /// Where it may fail.
  void try_maintain() {
    while (log_->maintenance_due()) {
      if (!log_->maintain()) break;
    }
  }
  void maintain() {
    while (log_->maintenance_due()) REQUIRE(log_->maintain());
  }

  [[nodiscard]] std::vector<std::string> files(std::string_view suffix) {
    auto names = disk.list("log").value();
    std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
    for (std::string& name : names) name = "log/" + name;
    return names;
  }
  [[nodiscard]] std::vector<std::string> segments() { return files(".seg"); }

  [[nodiscard]] log::LogReport verify(const log::LogVerifying& how = {}) {
    return log::verify_log(disk, "log", kIdentity, how);
  }
  /// The bytes of a file.
  [[nodiscard]] std::string bytes_of(const std::string& path) { return disk.image().at(path); }
  void put(const std::string& path, const std::string& bytes) {
    auto image = disk.image();
    image[path] = bytes;
    disk.restore(image);
  }
  /// Where the batches of the last segment begin.
  [[nodiscard]] std::vector<log::BatchInfo> last_batches() {
    const log::LogInspector inspector(disk, "log", kIdentity);
    const BatchNo first = inspector.segments().value().back().start.next_batch;
    return inspector.batches(first, 1'000'000).value();
  }
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

TEST_CASE("verify: bytes after the last batch are undecided, with their place") {
  VerifiedLog log;
  log.close();
  const std::string path = log.segments().back();
  const auto file = log.disk.open(path, io::OpenMode::read_write).value();
  const std::uint64_t end = file->size().value();
  REQUIRE(file->write_at(end - 100, "cut short"));
  const auto report = log.verify();
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == Kind::undecided);
  CHECK(report.findings.front().file == path);
  CHECK(report.verdict() == log::LogVerdict::undecided);
  CHECK(report.events == log.events());
}

TEST_CASE("verify: a last batch that has rotted is never called intact") {
  VerifiedLog log;
  log.append();
  log.append();
  log.close();
  const auto whole = log.verify();
  const auto batches = log.last_batches();
  REQUIRE(batches.size() >= 2);
  const log::BatchInfo& last = batches.back();
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{60}, last.header.length - 1ul}) {
    CAPTURE(at);
    log.disk.flip_bit(last.file, 8 * (last.position + at));
    const auto report = log.verify();
    REQUIRE(report.findings.size() == 1);
    const LogFinding& finding = report.findings.front();
    CHECK(finding.kind == Kind::undecided);
    CHECK(finding.file == last.file);
    CHECK(finding.position == last.position);
    CHECK(report.verdict() == log::LogVerdict::undecided);
    CHECK(report.batches == whole.batches - 1);
    log.disk.flip_bit(last.file, 8 * (last.position + at));
  }
}

TEST_CASE("verify: a write that is under way beside it is no finding") {
  VerifiedLog log;
  log.append();
  const log::BatchInfo last = log.last_batches().back();
  const auto image = log.disk.image();
  log.disk.flip_bit(last.file, 8 * (last.position + 200));
  int pauses = 0;
  const auto report = log.verify({.in_use = [] { return true; },
                                  .pause =
                                      [&] {
                                        if (++pauses == 5) log.disk.restore(image);
                                      }});
  CHECK(pauses == 5);
  CHECK(report.findings.empty());
  CHECK(report.events == log.events());
}

TEST_CASE(
    "verify: what stays amiss beside a server is undecided, and looked at for a bounded time") {
  VerifiedLog log;
  log.append();
  const log::BatchInfo last = log.last_batches().back();
  log.disk.flip_bit(last.file, 8 * (last.position + 200));
  int pauses = 0;
  const auto report = log.verify({.in_use = [] { return true; }, .pause = [&] { ++pauses; }});
  CHECK(pauses > 5);
  CHECK(pauses < 100);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == Kind::undecided);
  CHECK(report.findings.front().what.find("while a server has this folder") != std::string::npos);
}

TEST_CASE("verify: a server that seals segments meanwhile misses no index") {
  VerifiedLog log;
  const std::size_t sealed = log.files(".idx").size();
  const std::size_t segments = log.segments().size();
  while (log.segments().size() < segments + 2) log.append(false);
  REQUIRE(log.files(".idx").size() == sealed);
  SUBCASE("between its looks") {
    const auto report =
        log.verify({.in_use = [] { return true; }, .pause = [&] { log.maintain(); }});
    CHECK(report.findings.empty());
  }
  SUBCASE("while it has cut the rest off and not yet written the index") {
    log.disk.set_fault([](DiskCall call, const std::string& path) {
      const bool index = call == DiskCall::rename && path.ends_with(".idx.tmp");
      return index ? std::optional(Errc::disk_full) : std::nullopt;
    });
    log.try_maintain();
    REQUIRE(log.files(".idx").size() == sealed);
    int pauses = 0;
    const auto report = log.verify({.in_use = [] { return true; },
                                    .pause =
                                        [&] {
                                          if (++pauses < 3) return;
                                          log.disk.set_fault(nullptr);
                                          log.maintain();
                                        }});
    CHECK(pauses >= 3);
    for (const auto& finding : report.findings) CHECK_MESSAGE(false, finding.file, finding.what);
  }
  CHECK(log.verify().segments == log.segments().size());
}

TEST_CASE("verify: a file that cannot be read is a finding, and everything else is verified") {
  VerifiedLog log;
  log.close();
  const auto whole = log.verify();
  const auto refuse = [&](const std::string& refused) {
    log.disk.set_fault([refused](DiskCall call, const std::string& path) {
      const bool it = call == DiskCall::open && path == refused;
      return it ? std::optional(Errc::io_error) : std::nullopt;
    });
  };
  for (const std::string& path : log.segments()) {
    CAPTURE(path);
    refuse(path);
    const auto report = log.verify();
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == Kind::unreadable);
    CHECK(report.findings.front().file == path);
    CHECK(report.verdict() == log::LogVerdict::damaged);
    CHECK(report.segments == whole.segments);
    CHECK(report.events > 0);
  }
  for (const std::string& path : log.files(".idx")) {
    CAPTURE(path);
    refuse(path);
    const auto report = log.verify();
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == Kind::derived);
    CHECK(report.findings.front().file == path);
    CHECK(report.events == whole.events);
  }
}

TEST_CASE("verify: what a newer version has written is unsupported, not lost") {
  VerifiedLog log;
  log.append();
  log.close();
  const auto seed = log::checksum_seed(kIdentity);
  const auto check = [&](const std::string& path) {
    const auto report = log.verify();
    REQUIRE_FALSE(report.findings.empty());
    CHECK(report.findings.front().kind == Kind::unsupported);
    CHECK(report.findings.front().file == path);
    CHECK(report.verdict() == log::LogVerdict::damaged);
    return report.findings.front().position;
  };
  SUBCASE("a segment") {
    for (const std::size_t i : {std::size_t{0}, log.segments().size() - 1}) {
      const std::string path = log.segments()[i];
      const std::string good = log.bytes_of(path);
      std::string bytes = good;
      put<std::uint16_t>(bytes.data() + 8, 2);
      const std::size_t at = log::kSegmentHeaderBytes - 8;
      put(bytes.data() + at, log::checksum(std::string_view(bytes).substr(0, at), 0));
      log.put(path, bytes);
      CHECK(check(path) == 0);
      log.put(path, good);
    }
  }
  SUBCASE("a batch") {
    const log::BatchInfo batch = log.last_batches().front();
    std::string bytes = log.bytes_of(batch.file);
    char* const head = bytes.data() + batch.position;
    put<std::uint16_t>(head + 4, 2);
    put(head + 120, log::checksum({head, 120}, seed));
    log.put(batch.file, bytes);
    CHECK(check(batch.file) == batch.position);
  }
  SUBCASE("a mark") {
    { REQUIRE(log::write_mark(log.disk, "log", kIdentity, BatchNo(1))); }
    REQUIRE(log::place_mark(log.disk, "log"));
    std::string bytes = log.bytes_of("log/tail.cut");
    put<std::uint16_t>(bytes.data() + 8, 2);
    put(bytes.data() + 40, log::checksum(std::string_view(bytes).substr(0, 40), 0));
    log.put("log/tail.cut", bytes);
    check("log/tail.cut");
  }
}

TEST_CASE("verify: a segment of another partition is no newer version") {
  VerifiedLog log;
  log.close();
  const std::string path = log.segments()[0];
  std::string bytes = log.bytes_of(path);
  bytes[16 + 3] ^= 1;
  const std::size_t at = log::kSegmentHeaderBytes - 8;
  put(bytes.data() + at, log::checksum(std::string_view(bytes).substr(0, at), 0));
  log.put(path, bytes);
  CHECK(log.verify().findings.front().kind == Kind::lost);
}

TEST_CASE("verify: a mark that is damaged is lost, and the log beside it is verified") {
  VerifiedLog log;
  log.close();
  const auto whole = log.verify();
  for (const log::Mark which : {log::Mark::cut, log::Mark::install}) {
    { REQUIRE(log::write_mark(log.disk, "log", kIdentity, BatchNo(1'000'000), which)); }
    REQUIRE(log::place_mark(log.disk, "log", which));
    const std::string path = which == log::Mark::cut ? "log/tail.cut" : "log/install.mark";
    log.disk.flip_bit(path, 8 * 33);
    const auto report = log.verify();
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == Kind::lost);
    CHECK(report.findings.front().file == path);
    CHECK(report.events == whole.events);
    REQUIRE(log.disk.remove(path));
  }
}

TEST_CASE("verify: what belongs to nothing is named, and nothing is lost by it") {
  VerifiedLog log;
  log.close();
  const auto check = [&](const std::string& path, std::optional<std::uint64_t> position) {
    const auto report = log.verify();
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings.front().kind == Kind::unknown);
    CHECK(report.findings.front().file == path);
    CHECK(report.findings.front().position == position);
    CHECK(report.verdict() == log::LogVerdict::intact);
    CHECK(report.events == log.events());
  };
  SUBCASE("a file") {
    log.put("log/notes.txt", "junk");
    check("log/notes.txt", std::nullopt);
  }
  SUBCASE("a folder") {
    REQUIRE(log.disk.create_folders("log/old"));
    check("log/old", std::nullopt);
  }
  SUBCASE("an index") {
    log.put("log/00000000000000009999.idx", "junk");
    check("log/00000000000000009999.idx", std::nullopt);
  }
  SUBCASE("bytes behind a sealed segment") {
    const std::string path = log.segments()[1];
    const std::string bytes = log.bytes_of(path);
    log.put(path, bytes + "x");
    check(path, bytes.size());
  }
  SUBCASE("bytes behind the last segment") {
    const std::string path = log.segments().back();
    const std::string bytes = log.bytes_of(path);
    log.put(path, bytes + "x");
    check(path, bytes.size());
  }
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
