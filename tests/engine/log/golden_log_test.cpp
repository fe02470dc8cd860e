// A whole log of format version 1, as files in the tree: batches and segments compressed and not,
// and what is left of removed ones. Every later version must read it, and find what is damaged.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "engine/log/log_verifier.h"
#include "engine/log/partition_log.h"
#include "tests/support/hex.h"
#include "tests/support/seeds.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::PartitionLog;

namespace {

constexpr Uuid kIdentity{{std::byte{0xa1}}};
constexpr std::uint64_t kSegmentBytes = 64u << 10;
constexpr std::uint64_t kEvents = 600;
constexpr std::uint64_t kStart = 155;  ///< retention has removed three segments
constexpr std::uint64_t kStreams = 7;
constexpr std::uint64_t kReadOnAfter = 50;
constexpr std::uint64_t kFirstCompressed = 400;  ///< in a batch; those before are not
constexpr std::string_view kTreeRootV1 =
    "f02fe55051820acaad5c24378c6bd36991c72dbd830f07d10fb16a39db72cbf0";

std::filesystem::path golden_folder() {
  return std::filesystem::path(KEELSON_GOLDEN_FOLDER) / "log_v1";
}

std::string stream_of(std::uint64_t i) { return "account-" + std::to_string(i % kStreams); }
std::string command_of(std::uint64_t i) { return "deposit-" + std::to_string(i); }
TimeUs time_of(std::uint64_t i) {
  return TimeUs(1'700'000'000'000'000 + static_cast<std::int64_t>(i) * 1000);
}
/// Of some length, so that segments fill up.
std::string data_of(std::uint64_t i) {
  const std::string note(900, static_cast<char>('a' + i % 26));
  return R"({"amount":)" + std::to_string(i * i) + R"(,"note":")" + note + "\"}";
}

log::LogOptions options(std::uint64_t i) {
  log::LogOptions options{.segment_bytes = kSegmentBytes};
  options.codec = i < kFirstCompressed ? log::Codec::none : log::Codec::zstd;
  options.sealed_codec = log::Codec::zstd;
  return options;
}

/// One event, by one command.
log::BatchDraft draft_of(std::uint64_t i) {
  log::BodyWriter writer;
  log::CommitHeader header;
  const std::string stream = stream_of(i);
  const std::string command = command_of(i);
  header.key = {"alice", stream, command};
  header.fingerprint.fill(static_cast<std::byte>(i));
  header.event_count = 1;
  writer.begin_commit(header);
  writer.add_event({stream, Version(i / kStreams + 1), "deposited", time_of(i), data_of(i), ""});
  writer.end_commit();
  log::BatchDraft draft;
  draft.epoch = Epoch(1);
  draft.base_offset = Offset(i);
  draft.time = time_of(i);
  draft.body = writer.take();
  return draft;
}

void tidy_up(PartitionLog& log) {
  while (log.maintenance_due()) REQUIRE(log.maintain());
  while (log.compression_due()) REQUIRE(log.compress());
}

SimulatedFileSystem::Image golden_files() {
  SimulatedFileSystem::Image files;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    std::ifstream in(entry.path(), std::ios::binary);
    files["log/" + entry.path().filename().string()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return files;
}

/// FAILs unless the error is damage, and names the file.
void check_named(const Error& error, const std::string& damaged) {
  if (is_damage(error.code) && !damaged.empty() && error.context.contains(damaged)) return;
  FAIL(error.message());
}

void check_event(const log::FoundEvent& event, std::uint64_t i) {
  REQUIRE(event.offset == Offset(i));
  REQUIRE(event.record.stream == stream_of(i));
  REQUIRE(event.record.version == Version(i / kStreams + 1));
  REQUIRE(event.record.type == "deposited");
  REQUIRE(event.record.time == time_of(i));
  REQUIRE(event.record.data == data_of(i));
  REQUIRE(event.command_id == command_of(i));
}

/// Asks for all that the log holds. FAILs on an answer that is wrong.
/// @param damaged  the file that errors must name.
/// @return how many answers were errors.
std::size_t errors_of(const PartitionLog& log, const std::string& damaged) {
  std::size_t errors = 0;
  const std::uint64_t end = log.end().value;
  for (std::uint64_t from = kStart; from < end;) {
    const auto cursor = log.read(Offset(from));
    if (!cursor) {
      check_named(cursor.error(), damaged);
      ++errors;
      ++from;
      continue;
    }
    // After an error reading goes on behind the event that could not be read.
    for (; from < end; ++from) {
      const auto event = (*cursor)->next();
      if (!event) {
        check_named(event.error(), damaged);
        ++errors;
        from += kReadOnAfter;
        break;
      }
      REQUIRE(*event);
      check_event(**event, from);
    }
  }
  for (std::uint64_t i = 0; i < end; ++i) {
    const auto found = log.find_command({"alice", stream_of(i), command_of(i)});
    if (!found && found.error().code == Errc::below_start) {
      REQUIRE(i < kStart);
    } else if (!found) {
      check_named(found.error(), damaged);
      ++errors;
    } else {
      REQUIRE(i >= kStart);
      REQUIRE(*found);
      REQUIRE((*found)->first == Offset(i));
    }
  }
  for (std::uint64_t stream = 0; stream < kStreams; ++stream) {
    const auto version = log.stream_version(stream_of(stream), Offset(end));
    if (!version) check_named(version.error(), damaged);
    if (!version) ++errors;
    if (version) REQUIRE(*version == Version((end - 1 - stream) / kStreams + 1));
  }
  const auto never = log.find_command({"alice", "account-0", "never"});
  if (!never) check_named(never.error(), damaged);
  if (never) REQUIRE_FALSE(*never);
  return errors;
}

/// What became of damages.
struct Verdicts {
  std::size_t refused = 0;   ///< by whoever opens the log
  std::size_t told = 0;      ///< to whoever asks for what is damaged
  std::size_t torn = 0;      ///< cut: the last batch
  std::size_t repaired = 0;  ///< or of no effect on any answer, and found by the verifier
  std::size_t harmless = 0;  ///< and not even found
};

void check_damaged(SimulatedFileSystem& disk, const std::string& path, Verdicts& verdicts) {
  const auto report = log::verify_log(disk, "log", kIdentity);
  const bool verified = report.findings.empty();
  if (!verified) {
    REQUIRE(std::ranges::any_of(report.findings,
                                [&](const auto& finding) { return finding.file == path; }));
  }
  const auto log = PartitionLog::open(disk, "log", kIdentity, options(kEvents));
  if (!log) {
    REQUIRE_FALSE(verified);
    check_named(log.error(), path);
    ++verdicts.refused;
    return;
  }
  REQUIRE((*log)->start() == Offset(kStart));
  if (const auto& torn = (*log)->torn_tail()) {
    REQUIRE_FALSE(verified);
    REQUIRE(torn->file == path);
    // Each of those before was known to be durable by the next.
    REQUIRE((*log)->end() >= Offset(kEvents - 1));
    ++verdicts.torn;
  } else {
    REQUIRE((*log)->end() == Offset(kEvents));
  }
  if (errors_of(**log, path) != 0) {
    REQUIRE_FALSE(verified);
    ++verdicts.told;
  } else if (verified) {
    ++verdicts.harmless;
  } else if (!(*log)->torn_tail()) {
    ++verdicts.repaired;
  }
}

/// Changes one byte of so many of each file with this suffix, and cuts the file there.
Verdicts damage_each(const std::string& suffix, std::uint64_t stride) {
  Verdicts verdicts;
  SimulatedFileSystem disk(1);
  const auto files = golden_files();
  std::uint64_t at = 0;
  for (const auto& [path, bytes] : files) {
    if (!path.ends_with(suffix)) continue;
    for (; at < bytes.size(); at += long_run() ? 1 : stride) {
      for (const bool cut : {false, true}) {
        INFO(path << (cut ? " cut at " : " changed in byte ") << at);
        auto damaged = files;
        std::string& it = damaged.at(path);
        if (cut) it.resize(at);
        if (!cut) it[at] = static_cast<char>(it[at] ^ (1 << at % 8));
        disk.restore(damaged);
        check_damaged(disk, path, verdicts);
      }
    }
    at -= bytes.size();  // other places in the next file
  }
  MESSAGE(suffix << ": " << verdicts.refused << " refused, " << verdicts.told << " told, "
                 << verdicts.torn << " torn, " << verdicts.repaired << " repaired, "
                 << verdicts.harmless << " harmless");
  return verdicts;
}

}  // namespace

// How the files were made: `engine_tests -ns -tc="golden log: make*"`. Never again for version 1.
TEST_CASE("golden log: make the files" * doctest::skip()) {
  REQUIRE_FALSE(std::filesystem::exists(golden_folder()));
  SimulatedFileSystem disk(1);
  std::unique_ptr<PartitionLog> log;
  for (std::uint64_t i = 0; i < kEvents; ++i) {
    if (i % kFirstCompressed == 0) {
      log.reset();
      log = PartitionLog::open(disk, "log", kIdentity, options(i)).value();
    }
    log->publish(log->append(draft_of(i)).value());
    REQUIRE(log->sync());
    tidy_up(*log);
  }
  log->set_retention({.bytes = 4 * kSegmentBytes});
  REQUIRE(log->retain(time_of(kEvents)));
  log.reset();
  std::filesystem::create_directories(golden_folder());
  const auto names = disk.list("log").value();
  for (const std::string& name : names) {
    const auto file = disk.open("log/" + name, io::OpenMode::read).value();
    std::ofstream out(golden_folder() / name, std::ios::binary);
    out << file->read_at(0, file->size().value()).value();
  }
}

TEST_CASE("golden log: all of version 1 is whole, and answers") {
  SimulatedFileSystem disk(1);
  disk.restore(golden_files());
  const auto report = log::verify_log(disk, "log", kIdentity);
  for (const auto& finding : report.findings) {
    CHECK_MESSAGE(false, finding.file, ": ", finding.what);
  }
  CHECK(to_hex(report.tree_root) == kTreeRootV1);
  const auto log = PartitionLog::open(disk, "log", kIdentity, options(kEvents)).value();
  CHECK_FALSE(log->torn_tail());
  CHECK(log->rebuilt_indexes() == 0);
  CHECK(log->end() == Offset(kEvents));
  CHECK(log->start() == Offset(kStart));
  CHECK(errors_of(*log, "") == 0);
}

TEST_CASE("golden log: version 1 goes on with new events") {
  SimulatedFileSystem disk(1);
  disk.restore(golden_files());
  {
    const auto log = PartitionLog::open(disk, "log", kIdentity, options(kEvents)).value();
    for (std::uint64_t i = kEvents; i < kEvents + 200; ++i) {
      log->publish(log->append(draft_of(i)).value());
      REQUIRE(log->sync());
      tidy_up(*log);
    }
  }
  const auto report = log::verify_log(disk, "log", kIdentity);
  CHECK(report.findings.empty());
  CHECK(report.events == kEvents + 200 - report.start.value);
}

TEST_CASE("golden log: damage of what is left of removed segments never lets a command in again") {
  const Verdicts verdicts = damage_each(".past", 29);
  CHECK(verdicts.refused + verdicts.told > 300);
}

TEST_CASE("golden log: damage of compressed segments is told, and never read") {
  const Verdicts verdicts = damage_each(".seg.zst", 53);
  CHECK(verdicts.told > 100);
}

TEST_CASE("golden log: damaged indexes of compressed segments are made again") {
  const Verdicts verdicts = damage_each(".idx", 97);
  CHECK(verdicts.repaired > 100);
  CHECK(verdicts.refused == 0);
  CHECK(verdicts.told == 0);
}

TEST_CASE("golden log: damage of segments with compressed batches is told, and never read") {
  const Verdicts verdicts = damage_each(".seg", 1499);
  CHECK(verdicts.refused > 20);
  CHECK(verdicts.told > 20);
  CHECK(verdicts.torn > 10);
}
