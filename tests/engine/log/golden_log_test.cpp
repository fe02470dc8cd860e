// A whole log of format version 1, as files in the tree: batches and segments compressed and not,
// and what is left of removed ones. Every later version must read it.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "engine/log/log_verifier.h"
#include "engine/log/partition_log.h"
#include "tests/support/hex.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::PartitionLog;

namespace {

constexpr Uuid kIdentity{{std::byte{0xa1}}};
constexpr std::uint64_t kSegmentBytes = 64u << 10;
constexpr std::uint64_t kEvents = 600;
constexpr std::uint64_t kFirstCompressed = 400;  ///< in a batch; those before are not
constexpr std::string_view kTreeRootV1 =
    "f02fe55051820acaad5c24378c6bd36991c72dbd830f07d10fb16a39db72cbf0";

std::filesystem::path golden_folder() {
  return std::filesystem::path(KEELSON_GOLDEN_FOLDER) / "log_v1";
}

std::string stream_of(std::uint64_t i) { return "account-" + std::to_string(i % 7); }
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
  header.key = {"alice", stream_of(i), command_of(i)};
  header.fingerprint.fill(static_cast<std::byte>(i));
  header.event_count = 1;
  writer.begin_commit(header);
  writer.add_event({stream_of(i), Version(i / 7 + 1), "deposited", time_of(i), data_of(i), ""});
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

void load(SimulatedFileSystem& disk) {
  REQUIRE(disk.create_folders("log"));
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    const auto file =
        disk.open("log/" + entry.path().filename().string(), io::OpenMode::create_new).value();
    REQUIRE(file->write_at(0, bytes));
    REQUIRE(file->sync());
  }
  REQUIRE(disk.sync_folder("log"));
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
  load(disk);
  const auto report = log::verify_log(disk, "log", kIdentity);
  for (const auto& finding : report.findings) {
    CHECK_MESSAGE(false, finding.file, ": ", finding.what);
  }
  CHECK(to_hex(report.tree_root) == kTreeRootV1);
  const auto log = PartitionLog::open(disk, "log", kIdentity, options(kEvents)).value();
  CHECK_FALSE(log->torn_tail());
  CHECK(log->rebuilt_indexes() == 0);
  REQUIRE(log->end() == Offset(kEvents));
  const std::uint64_t start = log->start().value;
  CHECK(start > 0);
  CHECK(start < kFirstCompressed);

  const auto cursor = log->read(log->start()).value();
  for (std::uint64_t i = start; i < kEvents; ++i) {
    CAPTURE(i);
    const auto event = cursor->next().value();
    REQUIRE(event);
    CHECK(event->offset == Offset(i));
    CHECK(event->record.stream == stream_of(i));
    CHECK(event->record.version == Version(i / 7 + 1));
    CHECK(event->record.type == "deposited");
    CHECK(event->record.time == time_of(i));
    CHECK(event->record.data == data_of(i));
    CHECK(event->command_id == command_of(i));
  }
  for (std::uint64_t i = 0; i < kEvents; ++i) {
    CAPTURE(i);
    const auto found = log->find_command({"alice", stream_of(i), command_of(i)});
    if (i < start) {
      REQUIRE_FALSE(found);
      CHECK(found.error().code == Errc::below_start);
    } else {
      REQUIRE(found.value());
      CHECK((*found)->first == Offset(i));
      CHECK(log->end_at(time_of(i)).value() == Offset(i + 1));
    }
  }
  CHECK_FALSE(log->find_command({"alice", "account-0", "never"}).value());
  const Version last((kEvents - 4) / 7 + 1);
  CHECK(log->stream_version("account-3", Offset(kEvents)).value() == last);
}

TEST_CASE("golden log: version 1 goes on with new events") {
  SimulatedFileSystem disk(1);
  load(disk);
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
