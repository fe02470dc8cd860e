// What is left when retention has removed the oldest segments: the rest, and that they were there.
#include "engine/log/retention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/log_format.h"
#include "engine/log/log_verifier.h"
#include "engine/log/partition_log.h"
#include "engine/log/sealed_index_format.h"
#include "engine/log/segment_header.h"
#include "tests/engine/log/modelled_log.h"

using namespace keelson;
using namespace keelson::test;
using log::Retention;

namespace {

constexpr Uuid kIdentity = ModelledLog::kIdentity;
constexpr std::uint64_t kSegmentBytes = ModelledLog::kSegmentBytes;

/// A log of many small segments with a retention, beside its model.
class RetainedLog : public ModelledLog {
 public:
  explicit RetainedLog(Retention retention, std::uint64_t seed = 1) : ModelledLog(seed) {
    options.retention = retention;
    open();
  }

  /// Until there are so many segment files.
  void fill(std::size_t segments) { ModelledLog::fill(".seg", segments); }
  void retain() {
    const auto retained = (*this)->retain(now);
    REQUIRE_MESSAGE(retained.has_value(), (retained ? "" : retained.error().message()));
    CHECK_FALSE((*this)->retention_due(now));
  }

  /// CHECKs that all from the start on is read, and all before is known to have been.
  void check() {
    const Offset start = (*this)->start();
    CHECK((*this)->end() == model.end());
    check_cursor(start);
    check_streams(start);
    check_commands(start);
    const auto report = log::verify_log(disk, "log", kIdentity);
    for (const auto& finding : report.findings) {
      CHECK_MESSAGE(false, finding.file, ": ", finding.what);
    }
    CHECK(report.start == start);
    CHECK(report.events == model.end() - start);
  }

  TimeUs now{0};

 private:
  void check_cursor(Offset start) {
    if (start > Offset(0)) {
      const auto below = (*this)->read(Offset(start.value - 1));
      REQUIRE_FALSE(below.has_value());
      CHECK(below.error().code == Errc::below_start);
    }
    const auto cursor = (*this)->read(start).value();
    for (const auto& batch : model.batches()) {
      for (const auto& commit : batch.commits) {
        for (const auto& event : commit.events) {
          if (event.offset < start) continue;
          const auto found = cursor->next();
          REQUIRE_MESSAGE(found.has_value(), (found ? "" : found.error().message()));
          REQUIRE(*found != nullptr);
          check_same(**found, event);
        }
      }
    }
    CHECK(cursor->next().value() == nullptr);
  }

  void check_streams(Offset start) {
    std::map<std::string, std::vector<Event>> streams;
    for (const auto& batch : model.batches()) {
      for (const auto& commit : batch.commits) {
        for (const auto& event : commit.events) streams[event.stream].push_back(event);
      }
    }
    for (const auto& [stream, all] : streams) {
      CAPTURE(stream);
      CHECK((*this)->stream_version(stream, (*this)->end()).value() == all.back().version);
      const auto kept =
          std::ranges::find_if(all, [&](const Event& event) { return event.offset >= start; });
      const Version first_kept = kept == all.end() ? all.back().version + 1 : kept->version;
      std::vector<Version> seen;
      const auto note = [&](const log::FoundEvent& found) {
        seen.push_back(found.record.version);
        return true;
      };
      const auto rest = (*this)->read_stream({.stream = stream, .first = first_kept}, note);
      REQUIRE_MESSAGE(rest.has_value(), (rest ? "" : rest.error().message()));
      CHECK(seen.size() == static_cast<std::size_t>(all.end() - kept));
      if (kept == all.begin()) continue;
      seen.clear();
      const auto whole = (*this)->read_stream({.stream = stream}, note);
      REQUIRE_FALSE(whole.has_value());
      CHECK(whole.error().code == Errc::below_start);
      CHECK(seen.empty());
      // Backward, what is there comes first.
      const auto back = (*this)->read_stream({.stream = stream, .backward = true}, note);
      REQUIRE_FALSE(back.has_value());
      CHECK(back.error().code == Errc::below_start);
      CHECK(seen.size() == static_cast<std::size_t>(all.end() - kept));
    }
  }

  void check_commands(Offset start) {
    std::set<std::array<std::string, 3>> seen;
    const auto& batches = model.batches();
    for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) {
      for (auto commit = batch->commits.rbegin(); commit != batch->commits.rend(); ++commit) {
        const std::array key{commit->principal, commit->target, commit->id};
        if (commit->id.empty() || !seen.insert(key).second) continue;
        const auto found = (*this)->find_command({key[0], key[1], key[2]});
        // A commit without events lies where the next one is.
        const bool certain = batch->base >= start;
        if (batch->end() < start || (batch->end() == start && !found)) {
          REQUIRE_FALSE(found.has_value());
          CHECK(found.error().code == Errc::below_start);
        } else if (certain) {
          REQUIRE_MESSAGE(found.has_value(), (found ? "" : found.error().message()));
          CHECK(found->has_value());
        }
      }
    }
    CHECK_FALSE((*this)->find_command({"bob", "again", "command-0"}).value().has_value());
  }
};

/// A disk on which something happens each time after a folder has been listed.
class ListingDisk final : public io::FileSystem {
 public:
  ListingDisk(io::FileSystem& disk, std::function<void()> listed)
      : disk_(disk), listed_(std::move(listed)) {}

  Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
    return disk_.open(path, mode);
  }
  Result<bool> exists(const std::string& path) const override { return disk_.exists(path); }
  Result<bool> is_folder(const std::string& path) const override { return disk_.is_folder(path); }
  Result<std::vector<std::string>> list(const std::string& folder) const override {
    auto names = disk_.list(folder);
    listed_();
    return names;
  }
  Result<void> create_folders(const std::string& folder) override {
    return disk_.create_folders(folder);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return disk_.rename(from, to);
  }
  Result<void> remove(const std::string& path) override { return disk_.remove(path); }
  Result<void> remove_all(const std::string& folder) override { return disk_.remove_all(folder); }
  Result<void> sync_folder(const std::string& folder) override { return disk_.sync_folder(folder); }
  Result<std::unique_ptr<io::FolderLock>> lock(const std::string& folder,
                                               std::string_view name) override {
    return disk_.lock(folder, name);
  }

 private:
  io::FileSystem& disk_;
  const std::function<void()> listed_;
};

}  // namespace

TEST_CASE(
    "retention: by size, the oldest segments go, and what was in them is known to have been") {
  RetainedLog log({.bytes = 3 * kSegmentBytes});
  log.fill(24);  // filters over groups of sixteen among them
  CHECK(log->start() == Offset(0));
  CHECK(log->retention_due(log.now));
  log.retain();
  CHECK(log->start() > Offset(0));
  CHECK(log.files(".seg").size() <= 6);
  CHECK(log.files(".past").size() >= 18);
  log.check();
  log.open();
  CHECK(log->rebuilt_indexes() == 0);
  log.check();
  // It goes on: versions follow, and more goes.
  const Offset before = log->start();
  log.fill(12);
  log.retain();
  CHECK(log->start() > before);
  log.check();
  log.open();
  log.check();
}

TEST_CASE("retention: by age, what is younger stays, and the segment that is written in any case") {
  RetainedLog log({.age = std::chrono::seconds(100)});
  log.fill(6);
  const TimeUs written = log.model.batches().back().time;
  log.now = written;
  CHECK_FALSE(log->retention_due(log.now));
  log.now = written + 101'000'000;
  CHECK(log->retention_due(log.now));
  log.retain();
  CHECK(log.files(".seg").size() == 1);
  log.check();
}

TEST_CASE("retention: what a reader has yet to read stays, and so does the event before that") {
  RetainedLog log({.bytes = kSegmentBytes});
  log->keep_from(Offset(0));
  log.fill(6);
  CHECK_FALSE(log->retention_due(log.now));
  log.retain();
  CHECK(log->start() == Offset(0));
  const auto keeps = [&](Offset offset) {
    log->keep_from(offset);
    log.retain();
    return log->start();
  };
  std::vector<Offset> starts;
  for (const std::string& path : log.files(".seg")) {
    const auto file = log.disk.open(path, io::OpenMode::read).value();
    const std::string head = file->read_at(0, log::kSegmentHeaderBytes).value();
    starts.push_back(log::decode_segment_header(head, kIdentity)->start.point.end);
  }
  REQUIRE(starts.size() >= 6);
  CHECK(keeps(starts[1]) == Offset(0));
  CHECK(keeps(starts[1] + 1) == starts[1]);
  CHECK(keeps(starts[2]) == starts[1]);
  CHECK(keeps(starts[3]) == starts[2]);
  CHECK(keeps(Offset(0)) == starts[2]);
  log.check();
  CHECK(keeps(Offset(UINT64_MAX)) > starts[2]);
  log.check();
}

TEST_CASE("retention: without limits nothing goes, ever") {
  RetainedLog log({});
  log.fill(5);
  CHECK_FALSE(log->retention_due(TimeUs(INT64_MAX)));
  REQUIRE(log->retain(TimeUs(INT64_MAX)));
  CHECK(log->start() == Offset(0));
  CHECK(log.files(".past").empty());
}

TEST_CASE("retention: a limit is a floor: at least so much is kept") {
  CHECK_FALSE(Retention{.bytes = 100}.expires({60, TimeUs(0), TimeUs(0)}, 159));
  CHECK(Retention{.bytes = 100}.expires({60, TimeUs(0), TimeUs(0)}, 160));
  const Retention second{.age = std::chrono::seconds(1)};
  CHECK_FALSE(second.expires({60, TimeUs(5), TimeUs(1'000'005)}, 160));
  CHECK(second.expires({60, TimeUs(5), TimeUs(1'000'006)}, 160));
}

TEST_CASE("retention: whichever call of the disk fails or is the last, nothing kept is lost") {
  for (const bool power : {false, true}) {
    for (std::uint64_t nth = 0;; ++nth) {
      CAPTURE(power);
      CAPTURE(nth);
      RetainedLog log({.bytes = 2 * kSegmentBytes}, 1 + nth);
      log.fill(7);
      std::uint64_t calls = 0;
      bool failed = false;
      log.disk.set_fault([&](DiskCall, const std::string&) -> std::optional<Errc> {
        if (calls++ < nth) return std::nullopt;
        failed = true;
        return Errc::io_error;
      });
      const auto retained = log->retain(log.now);
      log.disk.set_fault(nullptr);
      CHECK(retained.has_value() == !failed);
      if (power) {
        log.disk.cut_power();
      } else if (failed) {
        // The process goes on: what it serves must hold, and the next try must come through.
        log.check();
        log.retain();
        log.check();
        log.disk.kill();
      } else {
        log.disk.kill();
      }
      log.open();
      log.check();
      log.retain();
      log.check();
      if (!failed) break;
    }
  }
}

TEST_CASE("retention: a segment whose file could not be deleted is due until it is") {
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  log.retain();
  while (!log->retention_due(log.now)) {  // for one more segment
    REQUIRE(log.try_append());
    log.maintain();
  }
  const std::string oldest = log.files(".seg").front();
  log.disk.set_fault([](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call == DiskCall::remove) return Errc::io_error;
    return std::nullopt;
  });
  CHECK(log->retain(log.now).error().code == Errc::io_error);
  log.disk.set_fault(nullptr);
  CHECK(log->retention_due(log.now));
  CHECK(log.files(".seg").front() == oldest);
  log.retain();
  CHECK(log.files(".seg").front() != oldest);
  log.check();
}

TEST_CASE("retention: frees a disk that is full") {
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  log.disk.set_room(0);
  while (log.try_append()) {
  }
  log.retain();
  log.disk.set_room(4 * kSegmentBytes);
  CHECK(log.try_append());
  log.check();
}

TEST_CASE(
    "retention: an index that is damaged is made again while there is something to make it of") {
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  log.disk.flip_bit(log.files(".idx").front(), 8 * 300);
  log.retain();
  log.open();
  log.check();
}

TEST_CASE(
    "retention: what is left of a removed segment cannot be made again: damage is corruption") {
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  log.retain();
  const auto past = log.files(".past");
  REQUIRE(past.size() >= 3);
  log.close();
  SUBCASE("missing") { REQUIRE(log.disk.remove(past[1])); }
  SUBCASE("the first one missing") { REQUIRE(log.disk.remove(past[0])); }
  SUBCASE("the last one missing") { REQUIRE(log.disk.remove(past.back())); }
  SUBCASE("header damaged") { log.disk.flip_bit(past[1], 8 * 50); }
  SUBCASE("under another name") { REQUIRE(log.disk.rename(past[1], past[0])); }
  SUBCASE("the oldest kept segment missing") {
    REQUIRE(log.disk.remove(log.files(".seg").front()));
  }
  const auto opened = log.try_open();
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Errc::corruption);
  CHECK(opened.error().context.find("log/") == 0);
}

TEST_CASE("retention: verify names what is damaged of what is left") {
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  log.retain();
  const std::string past = log.files(".past").front();
  log.close();
  log.disk.flip_bit(past, 8 * 300);
  const auto report = log::verify_log(log.disk, "log", kIdentity);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings.front().kind == log::LogFinding::Kind::lost);
  CHECK(report.findings.front().file == past);
}

TEST_CASE("retention: verify tells what a newer version left from what is damaged") {
  using Kind = log::LogFinding::Kind;
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  log.retain();
  const std::string past = log.files(".past").front();
  log.close();
  auto image = log.disk.image();
  std::string& bytes = image.at(past);
  put<std::uint32_t>(bytes.data() + log::index_header::kVersion, 2);
  log.disk.restore(image);
  // As a bit that has rotted leaves it: the checksum is still that of version 1.
  CHECK(log::verify_log(log.disk, "log", kIdentity).findings.front().kind == Kind::lost);
  const std::size_t at = log::index_header::kHeaderChecksum;
  put(bytes.data() + at,
      log::checksum(std::string_view(bytes).substr(0, at), log::checksum_seed(kIdentity)));
  log.disk.restore(image);
  auto report = log::verify_log(log.disk, "log", kIdentity);
  CHECK(report.findings.front().kind == Kind::unsupported);
  CHECK(report.findings.front().file == past);
  CHECK(report.segments == log.files(".seg").size());
  log.disk.set_fault([&](DiskCall call, const std::string& path) {
    return call == DiskCall::open && path == past ? std::optional(Errc::io_error) : std::nullopt;
  });
  report = log::verify_log(log.disk, "log", kIdentity);
  CHECK(report.findings.front().kind == Kind::unreadable);
  CHECK(report.segments == log.files(".seg").size());
}

TEST_CASE("retention: verify beside it sees a whole log, wherever it removes") {
  for (int when = 0; when < 8; ++when) {
    CAPTURE(when);
    RetainedLog log({.bytes = 2 * kSegmentBytes});
    log.fill(8);
    int segments = 0;
    // First of all when the segments have been listed, and none has been read.
    ListingDisk disk(log.disk, [&] {
      if (when == 0) log.retain();
    });
    const auto report = log::verify_log(disk, "log", kIdentity, {.read_bytes = [&](std::uint64_t) {
                                          if (++segments == when) log.retain();
                                        }});
    for (const auto& finding : report.findings) {
      CHECK_MESSAGE(false, finding.file, ": ", finding.what);
    }
  }
}

TEST_CASE("retention: who reads a segment when it goes reads on to its end") {
  RetainedLog log({.bytes = 2 * kSegmentBytes});
  log.fill(8);
  const auto cursor = log->read(Offset(0)).value();
  REQUIRE(cursor->next().value() != nullptr);
  log.retain();
  std::uint64_t seen = 1;
  auto event = cursor->next();
  for (; event && *event; event = cursor->next()) ++seen;
  REQUIRE_FALSE(event.has_value());
  CHECK(event.error().code == Errc::below_start);
  CHECK(seen > 1);
  CHECK(seen < log->start().value);
}
