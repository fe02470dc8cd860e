// Filters over groups of sealed segments, on a log of many small ones.
#include "engine/log/segment_group.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "engine/base/coding.h"
#include "engine/log/partition_log.h"
#include "tests/support/hex.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::PartitionLog;

namespace {

const Uuid kIdentity{{std::byte{7}}};

/// A log with one batch to each segment. Batch i, which is segment i, has an event of stream `s-i`
/// and one of stream `hot`, committed by command `c-i`.
class ManySegments {
 public:
  explicit ManySegments(std::size_t open_max = 64)
      : open_(std::make_shared<log::OpenSegments>(open_max)) {
    reopen();
  }

  void reopen() {
    log_.reset();
    log_ = PartitionLog::open(disk, "log", kIdentity,
                              {.segment_bytes = 64u << 10, .open_segments = open_})
               .value();
  }

  void append_until(std::uint64_t batches) {
    for (; count_ < batches; ++count_) {
      const std::string number = std::to_string(count_);
      log::CommitHeader header;
      header.key = {"teller", "s", number};
      header.event_count = 2;
      log::BodyWriter writer;
      const std::string data(60'000, 'd');
      writer.begin_commit(header);
      writer.add_event({"s-" + number, Version(1), "t", TimeUs(1), data, ""});
      writer.add_event({"hot", Version(count_ + 1), "t", TimeUs(1), "", ""});
      writer.end_commit();
      log::BatchDraft draft;
      draft.epoch = Epoch(1);
      draft.base_offset = Offset(2 * count_);
      draft.time = TimeUs(1);
      draft.body = writer.take();
      const auto batch = log_->append(draft);
      REQUIRE(batch.has_value());
      REQUIRE(log_->sync());
      log_->publish(*batch);
      maintain();
    }
  }

  void maintain() {
    while (log_->maintenance_due()) REQUIRE(log_->maintain());
  }

  /// CHECKs that everything is found, and nothing that is not there.
  void check_found() {
    for (std::uint64_t i = 0; i < count_; ++i) {
      const std::string number = std::to_string(i);
      CHECK(log_->stream_version("s-" + number, log_->end()).value() == Version(1));
      const auto commit = log_->find_command({"teller", "s", number}).value();
      REQUIRE(commit.has_value());
      CHECK(commit->first == Offset(2 * i));
    }
    CHECK(log_->stream_version("hot", log_->end()).value() == Version(count_));
    std::uint64_t version = 0;
    REQUIRE(log_->read_stream({.stream = "hot"}, [&](const log::FoundEvent& event) {
      ++version;
      return event.record.version == Version(version) &&
             event.command_id == std::to_string(version - 1);
    }));
    CHECK(version == count_);
    check_absent(200);
  }

  void check_absent(int keys) {
    for (int i = 0; i < keys; ++i) {
      const std::string number = "x" + std::to_string(i);
      CHECK(log_->stream_version("s-" + number, log_->end()).value() == Version(0));
      CHECK_FALSE(log_->find_command({"teller", "s", number}).value().has_value());
    }
  }

  [[nodiscard]] std::vector<std::string> groups() {
    auto names = disk.list("log").value();
    std::erase_if(names, [](const std::string& name) { return !log::is_group_name(name); });
    return names;
  }

  [[nodiscard]] std::uint64_t opened_by(const auto& work) {
    std::atomic<std::uint64_t> opened = 0;
    disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
      opened += call == DiskCall::open ? 1 : 0;
      return std::nullopt;
    });
    work();
    disk.set_fault(nullptr);
    return opened;
  }

  SimulatedFileSystem disk{1};

 private:
  std::shared_ptr<log::OpenSegments> open_;
  std::unique_ptr<PartitionLog> log_;
  std::uint64_t count_ = 0;
};

std::string bytes_of_file(SimulatedFileSystem& disk, const std::string& path) {
  const auto file = disk.open(path, io::OpenMode::read).value();
  return file->read_at(0, file->size().value()).value();
}

}  // namespace

TEST_CASE("segment groups: sixteen sealed segments make one, sixteen of those a larger one") {
  ManySegments log;
  log.append_until(16);
  CHECK(log.groups().empty());  // the last segment is still written
  log.append_until(17);
  CHECK(log.groups() == std::vector<std::string>{"00000000000000000000.g1"});
  log.check_found();
  log.append_until(16 * 17 + 1);
  const auto groups = log.groups();
  CHECK(groups.size() == 18);
  CHECK(std::ranges::count(groups, "00000000000000000000.g2") == 1);
  log.check_found();
  log.reopen();
  CHECK(log.groups() == groups);
  log.check_found();
}

TEST_CASE("segment groups: what is absent touches few segments, however many there are") {
  ManySegments log;
  log.append_until(16 * 20 + 1);
  log.check_absent(1);
  // All that an absent key must touch is open by now. One key in 200 passes a column by chance, and
  // the large group has sixteen of them: a few of 2,000 look-ups read a small group, hardly any a
  // segment.
  CHECK(log.opened_by([&] { log.check_absent(1000); }) < 200);
  // Without groups each would open nearly all.
  for (const auto& name : log.groups()) REQUIRE(log.disk.remove("log/" + name));
  log.reopen();
  CHECK(log.opened_by([&] { log.check_absent(1); }) > 400);
}

TEST_CASE("segment groups: a missing filter, or one that does not fit, is made again") {
  ManySegments log;
  log.append_until(40);
  const std::string first = "log/" + log.groups().at(0);
  const std::string second = "log/" + log.groups().at(1);
  const std::string good = bytes_of_file(log.disk, first);
  REQUIRE(log.disk.remove(first));
  SUBCASE("missing") {}
  SUBCASE("another group's") { REQUIRE(log.disk.rename(second, first)); }
  SUBCASE("cut short") {
    const auto file = log.disk.open(first, io::OpenMode::create_new).value();
    REQUIRE(file->write_at(0, good.substr(0, good.size() - 8)));
  }
  SUBCASE("of another version") {
    auto bytes = good;
    bytes[8] = 2;
    const auto file = log.disk.open(first, io::OpenMode::create_new).value();
    REQUIRE(file->write_at(0, bytes));
  }
  SUBCASE("half made") {
    const auto file = log.disk.open(first + ".tmp", io::OpenMode::create_new).value();
    REQUIRE(file->write_at(0, good.substr(0, 4096)));
  }
  log.reopen();
  log.check_found();
  log.maintain();
  CHECK(log.groups().size() == 2);
  CHECK(bytes_of_file(log.disk, first) == good);
  CHECK_FALSE(log.disk.exists(first + ".tmp").value());
  log.check_found();
}

TEST_CASE("segment groups: a flipped bit anywhere in a filter never hides what is there") {
  ManySegments log;
  log.append_until(17);
  const std::string path = "log/" + log.groups().at(0);
  const std::string good = bytes_of_file(log.disk, path);
  for (std::uint64_t bit = 3; bit < good.size() * 8; bit += 1231) {
    log.disk.flip_bit(path, bit);
    log.reopen();
    log.check_found();
    // Found damaged by a look-up: made again when the next segment is sealed; by opening: at once.
    log.maintain();
    if (bytes_of_file(log.disk, path) != good) log.disk.flip_bit(path, bit);
    REQUIRE(bytes_of_file(log.disk, path) == good);
  }
}

TEST_CASE("segment groups: a damaged filter is made again when the next segment is sealed") {
  ManySegments log;
  log.append_until(17);
  const std::string path = "log/" + log.groups().at(0);
  const std::string good = bytes_of_file(log.disk, path);
  log.disk.flip_bit(path, (4096 + 77) * 8);
  log.reopen();
  log.check_found();
  log.append_until(18);
  CHECK(bytes_of_file(log.disk, path) == good);
}

TEST_CASE("segment groups: version 1 is these bytes") {
  ManySegments log;
  log.append_until(17);
  const std::string bytes = bytes_of_file(log.disk, "log/00000000000000000000.g1");
  CHECK(bytes.size() == 4096 + 4096 + 8);
  CHECK(to_hex(std::string_view(bytes).substr(0, 64)) ==
        "4b45454c4752500a0100000001000000010000000000000007000000000000000000000000000000"
        "100000000000000000000000000000000100000000000000");
  std::uint64_t rows = 0;
  std::uint64_t sum = 0;
  for (std::size_t at = 4096; at < 8192; at += 2) {
    const auto row = get<std::uint16_t>(bytes, at);
    rows += row != 0 ? 1 : 0;
    sum += std::uint64_t{row} * at;
  }
  CHECK(rows == 160);
  CHECK(sum == 5922250664);
}
