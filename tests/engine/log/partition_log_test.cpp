#include "engine/log/partition_log.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/io/posix_file_system.h"
#include "engine/log/open_segment.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/simulated_file_system.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::test;
using log::PartitionLog;

namespace {

const Uuid kIdentity{{std::byte{7}}};
const log::LogOptions kSmall{.segment_bytes = 64u << 10};

std::unique_ptr<PartitionLog> open(io::FileSystem& files, const std::string& folder = "log") {
  auto opened = PartitionLog::open(files, folder, kIdentity, kSmall);
  REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message()));
  return *std::move(opened);
}

/// Closes first: a folder is open once only.
void reopen(std::unique_ptr<PartitionLog>& log, io::FileSystem& files) {
  log.reset();
  log = open(files);
}

void append(PartitionLog& log, LogModel& model, ModelBatch batch) {
  const auto batch_no = log.append(batch.draft());
  REQUIRE_MESSAGE(batch_no.has_value(), (batch_no ? "" : batch_no.error().message()));
  CHECK(*batch_no == BatchNo(model.batches().size()));
  REQUIRE(log.sync());
  log.publish(*batch_no);
  model.take(std::move(batch));
}

}  // namespace

TEST_CASE("partition log: a new one is empty, and still is when opened again") {
  SimulatedFileSystem disk(1);
  LogModel model(1);
  for (int i = 0; i < 2; ++i) {
    const auto log = open(disk);
    CHECK(log->start() == Offset(0));
    CHECK(log->end() == Offset(0));
    CHECK_FALSE(log->torn_tail());
    model.check_equal(*log);
  }
}

TEST_CASE(
    "partition log: answers as the model does, over many segments, before and after reopening") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    CAPTURE(seed);
    SimulatedFileSystem disk(seed);
    LogModel model(seed);
    auto log = open(disk);
    for (int round = 0; round < 4; ++round) {
      for (int i = 0; i < 150; ++i) {
        append(*log, model, model.make_batch());
        if (log->maintenance_due()) REQUIRE(log->maintain());
      }
      CHECK_FALSE(log->maintenance_due());
      model.check_equal(*log);
      reopen(log, disk);
      CHECK_FALSE(log->torn_tail());
      CHECK(log->rebuilt_indexes() == 0);
      model.check_equal(*log);
    }
    CHECK(disk.list("log").value().size() > 3);
  }
}

TEST_CASE("partition log: on the operating system's files it is the same") {
  TemporaryFolder folder;
  io::PosixFileSystem files;
  LogModel model(4);
  for (int round = 0; round < 3; ++round) {
    const auto log = open(files, folder.path() + "/log");
    model.check_equal(*log);
    for (int i = 0; i < 100; ++i) append(*log, model, model.make_batch());
    model.check_equal(*log);
  }
}

TEST_CASE("partition log: a batch larger than a segment gets one of its own size") {
  SimulatedFileSystem disk(5);
  LogModel model(5);
  auto log = open(disk);
  for (int i = 0; i < 10; ++i) {
    append(*log, model, model.make_batch(200'000));
    append(*log, model, model.make_batch());
    if (i % 3 == 0) REQUIRE(log->maintain());
  }
  model.check_equal(*log);
  reopen(log, disk);
  model.check_equal(*log);
}

TEST_CASE("partition log: what is not published is not seen") {
  SimulatedFileSystem disk(6);
  LogModel model(6);
  const auto log = open(disk);
  for (int i = 0; i < 5; ++i) append(*log, model, model.make_batch());
  std::vector<ModelBatch> ahead;
  LogModel writer(6);
  for (const auto& batch : model.batches()) writer.take(batch);
  for (int i = 0; i < 300; ++i) {
    ahead.push_back(writer.make_batch());
    REQUIRE(log->append(ahead.back().draft()));
    writer.take(ahead.back());
  }
  REQUIRE(log->end() == model.end());
  auto cursor = log->read(model.end()).value();
  CHECK(cursor->next().value() == nullptr);
  for (auto& batch : ahead) {
    log->publish(BatchNo(model.batches().size()));
    model.take(std::move(batch));
  }
  model.check_equal(*log);
}

TEST_CASE("partition log: reading past the end is an error, at the end it is not") {
  SimulatedFileSystem disk(7);
  const auto log = open(disk);
  CHECK(log->read(Offset(0)));
  CHECK(log->read(Offset(1)).error().code == Errc::beyond_end);
}

TEST_CASE("partition log: zeros are written ahead of small batches, and of few of them") {
  SimulatedFileSystem disk(15);
  LogModel model(15);
  log::LogOptions options;
  options.segment_bytes = 16u << 20;
  auto log = PartitionLog::open(disk, "log", kIdentity, options).value();
  std::size_t writes = 0;
  disk.set_fault([&writes](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call == DiskCall::write) ++writes;
    return {};
  });
  constexpr std::size_t kAhead = 256u << 10;
  SUBCASE("once for each 256 KiB, a start between or not") {
    std::size_t batches = 0;
    std::size_t bytes = log::kSegmentHeaderBytes;
    while (bytes < 3 * kAhead - 10'000) {
      ModelBatch batch = model.make_batch(1000);
      bytes += log::align_batch(log::kBatchHeaderBytes + batch.draft().body.bytes.size());
      append(*log, model, std::move(batch));
      ++batches;
      if (batches == 50) log = PartitionLog::open(disk, "log", kIdentity, options).value();
    }
    CHECK(batches > 100);
    CHECK(writes == batches + 3 + 1);  // and the last batch once more by the start
  }
  SUBCASE("never of large ones") {
    std::size_t batches = 0;
    while (batches < 3) {  // so few that the first segment, of 1 MiB, holds them
      ModelBatch batch = model.make_batch(300'000);
      const std::size_t bytes = batch.draft().body.bytes.size();
      if (bytes < kAhead / 2 || bytes > 330'000) continue;
      append(*log, model, std::move(batch));
      ++batches;
    }
    CHECK(writes == 2 * batches);  // the body of each, then its header
  }
  model.check_equal(*log);
}

TEST_CASE("partition log: a large batch, whose body is written first, is there or is not") {
  std::size_t there = 0;
  std::size_t torn = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    CAPTURE(seed);
    SimulatedFileSystem disk(seed);
    LogModel model(seed);
    auto log = open(disk);
    append(*log, model, model.make_batch());
    const auto make_large = [&] {
      ModelBatch batch = model.make_batch(30'000);
      while (batch.draft().body.bytes.size() < 150'000) batch = model.make_batch(30'000);
      return batch;
    };
    ModelBatch large = make_large();
    // The process ends in one of the calls that make a segment, write the body, write the header
    // and sync, or after them.
    disk.halt_after(1 + seed % 15);
    const auto appended = log->append(large.draft());
    const bool synced = appended && log->sync();
    REQUIRE(synced == !disk.halted());
    seed % 2 == 0 ? disk.cut_power() : disk.kill();
    log = open(disk);
    torn += log->torn_tail() ? 1 : 0;
    const bool found = log->end() > model.end();
    CHECK((found || !synced));
    if (found) {
      model.take(std::move(large));
      ++there;
    }
    model.check_equal(*log);
    append(*log, model, make_large());
    model.check_equal(*log);
  }
  CHECK(there > 5);
  CHECK(torn > 5);
}

TEST_CASE("partition log: a large batch of which a write fails leaves nothing behind") {
  for (std::uint64_t failing = 1; failing <= 3; ++failing) {
    CAPTURE(failing);
    SimulatedFileSystem disk(failing);
    LogModel model(failing);
    auto log = open(disk);
    append(*log, model, model.make_batch());
    const auto make_large = [&] {
      ModelBatch batch = model.make_batch(30'000);
      while (batch.draft().body.bytes.size() < 150'000) batch = model.make_batch(30'000);
      return batch;
    };
    std::uint64_t writes = 0;  // of the segment's header, the body, the batch's header
    disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
      const bool fails = call == DiskCall::write && ++writes == failing;
      return fails ? std::optional(Errc::disk_full) : std::nullopt;
    });
    const auto appended = log->append(make_large().draft());
    REQUIRE_FALSE(appended.has_value());
    CHECK(appended.error().code == Errc::disk_full);
    disk.kill();
    log = open(disk);
    CHECK_FALSE(log->torn_tail());
    append(*log, model, make_large());
    model.check_equal(*log);
  }
}

TEST_CASE("partition log: when zeros cannot be written ahead nothing changes") {
  SimulatedFileSystem disk(16);
  LogModel model(16);
  const auto log = open(disk);
  int failures = 1;
  disk.set_fault([&failures](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call != DiskCall::write || failures == 0) return {};
    --failures;
    return Errc::disk_full;
  });
  CHECK(log->append(model.make_batch().draft()).error().code == Errc::disk_full);
  CHECK(failures == 0);
  for (int i = 0; i < 10; ++i) append(*log, model, model.make_batch());
  model.check_equal(*log);
}

TEST_CASE("partition log: a missing or damaged index is made again, and answers the same") {
  SimulatedFileSystem disk(8);
  LogModel model(8);
  auto log = open(disk);
  for (int i = 0; i < 400; ++i) append(*log, model, model.make_batch());
  REQUIRE(log->maintain());
  std::vector<std::string> indexes;
  const auto names = disk.list("log").value();
  for (const auto& name : names) {
    if (name.ends_with(".idx")) indexes.push_back("log/" + name);
  }
  REQUIRE(indexes.size() >= 3);
  REQUIRE(disk.remove(indexes[0]));
  disk.flip_bit(indexes[1], 100);
  {
    const auto file = disk.open(indexes[2], io::OpenMode::read_write).value();
    REQUIRE(file->truncate(file->size().value() / 2));
  }
  reopen(log, disk);
  CHECK(log->rebuilt_indexes() == 3);
  model.check_equal(*log);
  reopen(log, disk);
  CHECK(log->rebuilt_indexes() == 0);
  model.check_equal(*log);
}

TEST_CASE("partition log: what the index says of an event must be so") {
  SimulatedFileSystem disk(15);
  const std::string index = "/00000000000000000000.idx";
  // Two streams take turns, and which of them begins is all that differs.
  const auto make = [&](const std::string& folder, std::uint64_t first) {
    const auto log = open(disk, folder);
    for (std::uint64_t n = 0; !disk.exists(folder + index).value(); ++n) {
      const TimeUs time(static_cast<std::int64_t>(n + 1));
      log::CommitHeader header;
      header.event_count = 1;
      log::BodyWriter writer;
      writer.begin_commit(header);
      writer.add_event({"s-" + std::to_string((first + n) % 2), Version(n / 2 + 1), "t", time,
                        std::string(2000, 'x'), ""});
      writer.end_commit();
      log::BatchDraft draft;
      draft.epoch = Epoch(1);
      draft.base_offset = Offset(n);
      draft.time = time;
      draft.body = writer.take();
      const auto batch_no = log->append(draft);
      REQUIRE(batch_no);
      REQUIRE(log->sync());
      log->publish(*batch_no);
      REQUIRE(log->maintain());
    }
  };
  make("one", 0);
  make("other", 1);
  const std::string wrong = io::read_file(disk, "other" + index, 1u << 20).value();
  REQUIRE(disk.open("one" + index, io::OpenMode::read_write).value()->write_at(0, wrong));
  const auto log = open(disk, "one");
  CHECK(log->rebuilt_indexes() == 0);
  const auto read = log->read_stream({.stream = "s-0"}, [](const auto&) { return true; });
  REQUIRE_FALSE(read);
  CHECK(read.error().code == Errc::corruption);
  CHECK(read.error().context.find("the index says version 1 of 's-0' is here") !=
        std::string::npos);
}

TEST_CASE("partition log: with two segments open at most it answers as with all of them") {
  SimulatedFileSystem disk(14);
  LogModel model(14);
  const auto segments = std::make_shared<log::OpenSegments>(2);
  log::LogOptions options = kSmall;
  options.open_segments = segments;
  auto log = PartitionLog::open(disk, "log", kIdentity, options).value();
  for (int i = 0; i < 600; ++i) {
    append(*log, model, model.make_batch());
    REQUIRE(log->maintain());
  }
  model.check_equal(*log);
  CHECK(segments->size() == 2);
  log.reset();
  log = PartitionLog::open(disk, "log", kIdentity, options).value();
  model.check_equal(*log);
  CHECK(segments->size() == 2);
}

TEST_CASE("partition log: what was read last stays open, what was read first is closed") {
  const auto file = std::make_shared<log::SegmentFile>();
  const auto make = [&] { return std::make_shared<log::OpenSegment>(file, nullptr, 1); };
  log::OpenSegments segments(2);
  const auto first = make();
  std::weak_ptr<log::OpenSegment> second;
  segments.keep(first);
  {
    const auto kept = make();
    second = kept;
    segments.keep(kept);
  }
  segments.touch(*first);
  CHECK_FALSE(second.expired());
  segments.keep(make());
  CHECK(first.use_count() == 2);
  CHECK(second.expired());
  CHECK(segments.size() == 2);
}

TEST_CASE("partition log: a full segment is cut to what it uses when it is sealed") {
  SimulatedFileSystem disk(9);
  LogModel model(9);
  const auto log = open(disk);
  while (!disk.exists("log/00000000000000000000.idx").value()) {
    append(*log, model, model.make_batch(2000));
    REQUIRE(log->maintain());
  }
  const auto file = disk.open("log/00000000000000000000.seg", io::OpenMode::read).value();
  CHECK(file->size().value() < kSmall.segment_bytes);
  model.check_equal(*log);
}

TEST_CASE(
    "partition log: readers beside the writer see a beginning of the log, whole and in order") {
  TemporaryFolder folder;
  io::PosixFileSystem files;
  const auto log = open(files, folder.path() + "/log");
  constexpr std::uint64_t kBatches = 400;
  std::atomic<bool> done = false;

  // Stream s-N gets version V in batch V * 8 + N: what must be there follows from the end alone.
  const auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!done) {
      const Offset end = log->end();
      Offset next(random() % (end.value + 1));
      const auto cursor = log->read(next).value();
      while (true) {
        const auto event = cursor->next().value();
        if (!event) break;
        if (event->offset != next) return false;
        ++next;
      }
      if (next < end) return false;
      const std::uint64_t stream = random() % 8;
      const std::uint64_t versions = (end.value + 7 - stream) / 8;
      const std::string name = "s-" + std::to_string(stream);
      if (log->stream_version(name, end).value() != Version(versions)) return false;
      std::uint64_t seen = 0;
      const auto visit = [&](const log::FoundEvent& found) {
        return found.record.version == Version(++seen);
      };
      if (!log->read_stream({.stream = name, .before = end}, visit)) return false;
      if (seen != versions) return false;
      if (end == Offset(0)) continue;
      const std::string id = "id-" + std::to_string(random() % end.value);
      const auto commit = log->find_command({"", "", id}).value();
      if (!commit || commit->events.size() != 1 || commit->header.key.id != id) return false;
      if (log->end_at(TimeUs(0)).value() != Offset(0)) return false;
    }
    return true;
  };
  std::vector<std::future<bool>> readers;
  for (std::uint64_t i = 0; i < 3; ++i) {
    readers.push_back(std::async(std::launch::async, read, i));
  }
  auto maintainer = std::async(std::launch::async, [&] {
    while (!done) {
      if (log->maintenance_due() && !log->maintain()) return false;
      std::this_thread::yield();
    }
    return true;
  });
  for (std::uint64_t n = 0; n < kBatches; ++n) {
    log::BodyWriter writer;
    log::CommitHeader header;
    const std::string id = "id-" + std::to_string(n);
    header.key.id = id;
    header.event_count = 1;
    writer.begin_commit(header);
    const TimeUs time(static_cast<std::int64_t>(n + 1));
    writer.add_event(
        {"s-" + std::to_string(n % 8), Version(n / 8 + 1), "t", time, std::string(2000, 'x'), ""});
    writer.end_commit();
    log::BatchDraft draft;
    draft.epoch = Epoch(1);
    draft.base_offset = Offset(n);
    draft.time = time;
    draft.body = writer.take();
    const auto batch_no = log->append(draft);
    REQUIRE(batch_no);
    if (n % 16 == 15) REQUIRE(log->sync());
    log->publish(*batch_no);
  }
  done = true;
  for (auto& reader : readers) CHECK(reader.get());
  CHECK(maintainer.get());
}
