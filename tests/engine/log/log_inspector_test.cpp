// Looking into a log as it lies on disk shows what was put into it.
#include "engine/log/log_inspector.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/log/log_format.h"
#include "engine/log/partition_log.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::LogInspector;
using log::PartitionLog;

namespace {

const Uuid kIdentity{{std::byte{7}}};

/// A log of as many published batches in one segment.
std::unique_ptr<PartitionLog> log_of_batches(SimulatedFileSystem& disk, int count) {
  LogModel model(6);
  auto log = PartitionLog::open(disk, "log", kIdentity, {.segment_bytes = 64u << 10}).value();
  for (int i = 0; i < count; ++i) {
    ModelBatch batch = model.make_batch();
    log->publish(log->append(batch.draft()).value());
    model.take(std::move(batch));
  }
  return log;
}

}  // namespace

TEST_CASE("inspect: segments, batches and events are shown as they were written") {
  SimulatedFileSystem disk(5);
  LogModel model(5);
  const auto log = PartitionLog::open(disk, "log", kIdentity, {.segment_bytes = 64u << 10}).value();
  const LogInspector inspector(disk, "log", kIdentity);
  while (inspector.segments().value().size() < 3) {
    ModelBatch batch = model.make_batch(2000);
    const auto number = log->append(batch.draft());
    REQUIRE(number.has_value());
    REQUIRE(log->sync());
    log->publish(*number);
    while (log->maintenance_due()) REQUIRE(log->maintain());
    model.take(std::move(batch));
  }

  const auto segments = inspector.segments().value();
  CHECK(segments[0].start.next_batch == BatchNo(0));
  CHECK(segments[0].indexed);
  CHECK_FALSE(segments.back().indexed);

  const auto& written = model.batches();
  const auto batches = inspector.batches(BatchNo(1), 1'000'000).value();
  REQUIRE(batches.size() == written.size() - 1);
  for (std::size_t i = 1; i < written.size(); ++i) {
    const log::BatchHeader& header = batches[i - 1].header;
    CHECK(header.batch_no == BatchNo(i));
    CHECK(header.base_offset == written[i].base);
    CHECK(header.time == written[i].time);
    CHECK(header.commit_count == written[i].commits.size());
  }
  CHECK(inspector.batches(BatchNo(1), 2).value().size() == 2);
  CHECK(inspector.batches(BatchNo(written.size()), 2).value().empty());

  for (const auto& batch : written) {
    for (const auto& commit : batch.commits) {
      if (commit.events.empty()) continue;
      const Event& event = commit.events.back();
      const auto shown = inspector.event(event.offset).value();
      REQUIRE(shown.has_value());
      CHECK(shown->offset == event.offset);
      CHECK(shown->stream == event.stream);
      CHECK(shown->version == event.version);
      CHECK(shown->type == event.type);
      CHECK(shown->data == event.data);
      CHECK(shown->metadata == event.metadata);
      CHECK(shown->command_id == commit.id);
    }
  }
  CHECK_FALSE(inspector.event(model.end()).value().has_value());
}

TEST_CASE("inspect: a damaged batch is refused, with its file and byte") {
  SimulatedFileSystem disk(6);
  const auto log = log_of_batches(disk, 5);
  const LogInspector inspector(disk, "log", kIdentity);
  const auto batches = inspector.batches(BatchNo(0), 10).value();
  REQUIRE(batches.size() == 5);
  disk.flip_bit(batches[3].file, (batches[3].position + 3) * 8);
  CHECK(inspector.batches(BatchNo(0), 3).value().size() == 3);
  const auto damaged = inspector.batches(BatchNo(0), 10);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == Errc::corruption);
  CHECK(damaged.error().context.find(batches[3].file) != std::string::npos);
  CHECK(damaged.error().context.find("at byte " + std::to_string(batches[3].position)) !=
        std::string::npos);
}

TEST_CASE("inspect: what follows a damaged batch is shown, and the gap is named") {
  SimulatedFileSystem disk(6);
  const auto log = log_of_batches(disk, 6);
  const LogInspector inspector(disk, "log", kIdentity);
  const auto batches = inspector.batches(BatchNo(0), 10).value();
  REQUIRE(batches.size() == 6);
  const auto check = [&](std::size_t damaged, std::optional<std::uint64_t> resumes) {
    const auto list = inspector.list_batches(BatchNo(0), 10).value();
    REQUIRE(list.gaps.size() == 1);
    CHECK(list.gaps.front().file == batches[damaged].file);
    CHECK(list.gaps.front().position == batches[damaged].position);
    CHECK(list.gaps.front().resumes == resumes);
    CHECK(list.batches.size() == 5);
    CHECK(list.start.next_batch == BatchNo(0));
    CHECK_FALSE(inspector.batches(BatchNo(0), 10));
  };
  for (const std::uint64_t byte : {std::uint64_t{3}, batches[3].header.length - std::uint64_t{1}}) {
    CAPTURE(byte);
    disk.flip_bit(batches[3].file, (batches[3].position + byte) * 8);
    check(3, batches[4].position);
    // An event behind it is found, one in it is not, and not said to be past the end.
    const Offset lost = batches[3].header.base_offset;
    CHECK(inspector.event(batches[4].header.base_offset).value().has_value());
    if (batches[3].header.event_count > 0) {
      CHECK(inspector.event(lost).error().code == Errc::corruption);
    }
    disk.flip_bit(batches[3].file, (batches[3].position + byte) * 8);
  }
  disk.flip_bit(batches[5].file, (batches[5].position + 3) * 8);
  check(5, std::nullopt);
}

TEST_CASE("inspect: a segment whose header is damaged hides neither its batches nor the others") {
  SimulatedFileSystem disk(5);
  LogModel model(5);
  const auto log = PartitionLog::open(disk, "log", kIdentity, {.segment_bytes = 64u << 10}).value();
  const LogInspector inspector(disk, "log", kIdentity);
  while (inspector.segments().value().size() < 3) {
    ModelBatch batch = model.make_batch(2000);
    log->publish(log->append(batch.draft()).value());
    while (log->maintenance_due()) REQUIRE(log->maintain());
    model.take(std::move(batch));
  }
  const auto segments = inspector.segments().value();
  const std::size_t all = inspector.batches(BatchNo(0), 10'000).value().size();
  disk.flip_bit(segments[1].file, 8 * 100);
  CHECK_FALSE(inspector.segments());
  const auto list = inspector.list_segments().value();
  CHECK(list.segments.size() == 3);
  REQUIRE(list.gaps.size() == 1);
  CHECK(list.gaps.front().file == segments[1].file);
  const auto batches = inspector.list_batches(BatchNo(0), 10'000).value();
  CHECK(batches.batches.size() == all);
  CHECK(batches.gaps.size() == 1);
}
