// Logs that are fed by other logs, cut, and fed by others again: replicas must have equal files.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/io/posix_file_system.h"
#include "engine/log/incoming_batches.h"
#include "engine/log/log_inspector.h"
#include "engine/log/log_verifier.h"
#include "tests/engine/log/replica_logs.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::test;
using log::BatchHeader;
using log::Codec;
using log::EpochStart;
using log::LogTail;

namespace {

/// Some batches of all sizes, some of them larger than a segment.
void lead(ReplicaLog& leader, LogModel& model, int batches) {
  for (int i = 0; i < batches; ++i) {
    const std::size_t bytes_max = model.random(30) == 0 ? 12'000 : model.random(4) == 0 ? 900 : 60;
    leader.append(model, bytes_max, model.random(3) != 0);
    if (model.random(4) == 0) leader.maintain();
  }
  REQUIRE(leader->sync());
}

void check_equal_files(ReplicaLog& a, ReplicaLog& b) {
  const auto of_a = a.segments();
  const auto of_b = b.segments();
  REQUIRE(of_a.size() == of_b.size());
  for (std::size_t i = 0; i < of_a.size(); ++i) {
    CAPTURE(of_a[i].first);
    CHECK(of_a[i].first == of_b[i].first);
    CHECK((of_a[i].second == of_b[i].second));
  }
}

/// With all of both published and sealed, down to the indexes.
void check_equal_images(ReplicaLog& a, ReplicaLog& b) {
  for (ReplicaLog* log : {&a, &b}) {
    log->publish_to(log->end().value);
    log->maintain();
  }
  check_equal_files(a, b);
  const auto of_a = a.image();
  const auto of_b = b.image();
  CHECK(of_a.size() == of_b.size());
  for (const auto& [path, bytes] : of_a) {
    CAPTURE(path);
    REQUIRE(of_b.contains(path));
    CHECK((of_b.at(path) == bytes));
  }
}

/// Feeds `to` from `from`.
void feed(ReplicaLog& from, ReplicaLog& to, std::uint64_t end, std::uint64_t bytes_max) {
  while (to.end().value < end) {
    const auto read = from->read_batches(to.end(), BatchNo(end), bytes_max);
    REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message()));
    const auto taken = to->append_batches(read->bytes);
    REQUIRE_MESSAGE(taken.has_value(), (taken ? "" : taken.error().message()));
    REQUIRE(to.end() == read->end);
  }
}

std::vector<Epoch> epochs_of(const ReplicaLog& log) {
  std::vector<Epoch> epochs;
  for (const std::string& batch : log.batches()) {
    const auto header = log::decode_batch_header(batch, log::checksum_seed(ReplicaLog::kIdentity));
    REQUIRE(header.has_value());
    epochs.push_back(header->epoch);
  }
  return epochs;
}

LogTail tail_by_walking(const std::vector<Epoch>& epochs, std::size_t from, std::size_t end) {
  LogTail tail{BatchNo(from), from == 0 ? Epoch(0) : epochs[from - 1], {}, BatchNo(end)};
  for (std::size_t i = from; i < end; ++i) {
    if (tail.epochs.empty() || tail.epochs.back().epoch != epochs[i]) {
      tail.epochs.push_back({epochs[i], BatchNo(i)});
    }
  }
  return tail;
}

void check_tails(const ReplicaLog& log, LogModel& random, std::size_t from_min = 0) {
  const auto epochs = epochs_of(log);
  for (int i = 0; i < 40; ++i) {
    const std::size_t from = from_min + random.random(epochs.size() + 1 - from_min);
    const std::size_t end =
        i % 2 == 0 ? epochs.size() : from + random.random(epochs.size() + 1 - from);
    CAPTURE(from);
    CAPTURE(end);
    const auto tail = log->tail(BatchNo(from), BatchNo(end));
    REQUIRE_MESSAGE(tail.has_value(), (tail ? "" : tail.error().message()));
    CHECK((*tail == tail_by_walking(epochs, from, end)));
  }
}

}  // namespace

TEST_CASE("replica log: fed in chunks of any size it has the files of the log that feeds it") {
  for (const Codec codec : {Codec::none, Codec::zstd}) {
    ReplicaLog leader(1, codec);
    LogModel model(codec == Codec::none ? 1 : 2);
    leader.open();
    while (leader.segments().size() < 12) lead(leader, model, 100);
    for (const std::uint64_t bytes_max : {1u, 700u, 5'000u, 40'000u, 400'000u, 1u << 30}) {
      CAPTURE(bytes_max);
      // What it would write itself does not matter.
      ReplicaLog follower(bytes_max);
      follower.open();
      feed(leader, follower, leader.end().value, bytes_max);
      CHECK(follower.read(0, follower.end().value) == leader.read(0, leader.end().value, 9'000));
      CHECK(follower->appended() == leader->appended());
      CHECK(follower->end() == Offset(0));
      check_equal_files(leader, follower);
      // And found again.
      follower.disk.kill();
      follower.open();
      CHECK(follower->appended() == leader->appended());
      check_equal_files(leader, follower);
      ReplicaLog again(1, codec);
      again.disk.restore(leader.disk.image());
      again.open();
      check_equal_images(again, follower);
      model.check_equal(*follower);
    }
  }
}

TEST_CASE("replica log: held batches are not seen before they are published, and all are after") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    ReplicaLog log(seed);
    LogModel model(seed);
    log.open();
    lead(log, model, 200);
    const std::uint64_t committed = model.random(model.batches().size());
    log.publish_to(committed);
    log.maintain();
    const auto files = log.segments();
    log.disk.kill();
    log.open();
    CHECK(log->appended().next_batch == BatchNo(model.batches().size()));
    CHECK(log->published() <= BatchNo(committed));
    CHECK(log.segments().size() == files.size());
    LogModel shown = model;
    shown.cut(log->published().value);
    CHECK(log->end() == shown.end());
    CHECK(log->read(log->end() + 1).error().code == Errc::beyond_end);
    CHECK(log->find_command({"", "again", "command-0"}).has_value());
    for (std::uint64_t end = log->published().value; end <= model.batches().size(); end += 13) {
      log.publish_to(end);
      log.maintain();
      shown = model;
      shown.cut(log->published().value);
      REQUIRE(log->end() == shown.end());
    }
    log.publish_to(model.batches().size());
    model.check_equal(*log);
    // It goes on as a leader does.
    lead(log, model, 30);
    log.publish_to(model.batches().size());
    log.maintain();
    model.check_equal(*log);
  }
}

TEST_CASE("replica log: cut and fed by another leader it has that one's files") {
  std::size_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    auto leader = std::make_unique<ReplicaLog>(seed);
    LogModel model(seed);
    leader->open();
    lead(*leader, model, static_cast<int>(20 + model.random(80)));
    ReplicaLog follower(seed + 1000);
    follower.open();
    std::uint64_t committed = 0;
    for (int round = 0; round < 6; ++round) {
      const std::uint64_t bytes_max = std::uint64_t{1} << model.random(18);
      const std::uint64_t end =
          std::max(committed, model.random(leader->end().value - committed + 1) + committed);
      feed(*leader, follower, end, bytes_max);
      committed += model.random(end - committed + 1);
      follower.publish_to(committed);
      if (model.random(2) == 0) follower.maintain();
      if (model.random(3) == 0) follower.open();
      check_tails(follower, model);
      // Another one leads from somewhere on.
      const std::uint64_t taken = committed + model.random(leader->end().value - committed + 1);
      auto next = std::make_unique<ReplicaLog>(seed * 10 + static_cast<std::uint64_t>(round));
      next->open();
      feed(*leader, *next, taken, bytes_max);
      model.cut(taken);
      ModelBatch start;
      start.kind = log::BatchKind::control;
      start.base = model.end();
      start.epoch = Epoch(1000 * (static_cast<std::uint64_t>(round) + 1));
      start.time = (*next)->last_time();
      next->append(model, std::move(start), true);
      lead(*next, model, static_cast<int>(model.random(120)));
      leader = std::move(next);
      const std::uint64_t common = std::min(taken, end);
      if (common < follower.end().value) ++cuts;
      follower.publish_to(std::min(committed, follower.end().value));
      // Where reading has come to is not where the same number is afterwards.
      const std::uint64_t read_to = follower.end().value;
      CHECK(split(follower.read(0, read_to, 3'000)).size() == read_to);
      const auto cut = follower->cut(BatchNo(common));
      REQUIRE_MESSAGE(cut.has_value(), (cut ? "" : cut.error().message()));
      CHECK(follower.end() == BatchNo(common));
      CHECK_FALSE(follower.disk.image().contains("log/tail.cut"));
      if (read_to < leader->end().value && model.random(2) == 0) {
        feed(*leader, follower, (*leader).end().value, bytes_max);
        CHECK(follower.read(read_to, follower.end().value) ==
              (*leader).read(read_to, follower.end().value));
        REQUIRE(follower->cut(BatchNo(common)));
      }
      CHECK(follower.read(0, common, 5'000) == (*leader).read(0, common));
      if (model.random(3) == 0) follower.open();
    }
    feed(*leader, follower, leader->end().value, 3'000);
    check_equal_files(*leader, follower);
    check_tails(follower, model);
    follower.publish_to(follower.end().value);
    follower.maintain();
    model.check_equal(*follower);
    ReplicaLog same(1);
    same.disk.restore(leader->disk.image());
    same.open();
    check_equal_images(same, follower);
    check_tails(follower, model);
  }
  CHECK(cuts > 60);
}

TEST_CASE("replica log: what is cut is kept aside, and can be looked into") {
  ReplicaLog leader(1);
  LogModel model(1);
  leader.open();
  lead(leader, model, 150);
  const Batches all = leader.batches();
  ReplicaLog follower(2);
  follower.open();
  REQUIRE(follower->append_batches(joined(all, 0, all.size())));
  // Over several segments, within one, of a single batch, and of nothing.
  std::size_t kept = 0;
  for (const std::size_t to : {std::size_t{20}, all.size() - 3, all.size() - 1, all.size()}) {
    CAPTURE(to);
    REQUIRE(follower->cut(BatchNo(to)));
    if (to == all.size()) {
      CHECK_FALSE(follower->last_cut());
      break;
    }
    REQUIRE(follower->last_cut());
    const log::CutCopy copy = *follower->last_cut();
    CHECK(copy.first == BatchNo(to));
    CHECK(copy.end == BatchNo(all.size()));
    CHECK(copy.cut_end == copy.end);
    const auto names = log::list_cuts(follower.disk, "log").value();
    REQUIRE(names.size() == ++kept);
    const std::string folder = log::cut_folder("log") + "/" + names.back();
    CHECK(copy.file.starts_with(folder + "/"));
    const log::LogInspector inspector(follower.disk, folder, ReplicaLog::kIdentity);
    const auto batches = inspector.batches(BatchNo(0), 1'000);
    REQUIRE_MESSAGE(batches.has_value(), (batches ? "" : batches.error().message()));
    CHECK(batches->size() == all.size() - to);
    CHECK(batches->front().header.batch_no == BatchNo(to));
    const std::string bytes = follower.disk.image().at(copy.file);
    CHECK(bytes.substr(log::kSegmentHeaderBytes) == joined(all, to, all.size()));
    const Offset first = inspector.segments().value().front().start.end;
    const auto event = inspector.event(first);
    REQUIRE_MESSAGE(event.has_value(), (event ? "" : event.error().message()));
    REQUIRE(follower->append_batches(joined(all, to, all.size())));
  }
  // The newest stay.
  for (std::size_t i = 0; i < log::kCutsKeptMax + 5; ++i) {
    REQUIRE(follower->cut(BatchNo(all.size() - 1)));
    REQUIRE(follower->append_batches(all.back()));
  }
  const auto names = log::list_cuts(follower.disk, "log").value();
  CHECK(names.size() == log::kCutsKeptMax);
  CHECK(names.back() == "00000072");
  CHECK(names.front() == "00000009");
}

TEST_CASE("replica log: nothing is cut while there is no room for a copy of it") {
  ReplicaLog leader(1);
  LogModel model(1);
  leader.open();
  lead(leader, model, 30);
  const Batches all = leader.batches();
  ReplicaLog follower(2);
  follower.open();
  REQUIRE(follower->append_batches(joined(all, 0, all.size())));
  follower.disk.set_fault([](DiskCall call, const std::string& path) {
    const bool copies = call == DiskCall::write && path.contains("/cut/");
    return copies ? std::optional(Errc::disk_full) : std::nullopt;
  });
  CHECK(follower->cut(BatchNo(10)).error().code == Errc::disk_full);
  CHECK(follower.end() == BatchNo(all.size()));
  CHECK(log::list_cuts(follower.disk, "log").value().empty());
  follower.disk.set_fault(nullptr);
  REQUIRE(follower->cut(BatchNo(10)));
  CHECK(follower.end() == BatchNo(10));
}

TEST_CASE("replica log: a leader's failed batch leaves no trace in the layout") {
  int failures = 0;  // after a segment was made for the batch
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    ReplicaLog leader(seed);
    LogModel model(seed);
    leader.open();
    for (int i = 0; i < 150; ++i) {
      if (i % 7 == 3) {
        // Often too large for the segment: the next one is made for it, and it does not come.
        std::uint64_t writes = 1 + model.random(2);
        leader.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
          if (call != DiskCall::write || writes == 0 || --writes > 0) return std::nullopt;
          return Errc::disk_full;
        });
        LogModel aside = model;
        ModelBatch batch = aside.make_batch(20'000);
        const std::size_t before = leader.segments().size();
        if (leader->append(batch.draft())) {
          model.take(std::move(batch));
        } else if (leader.segments().size() > before) {
          ++failures;
        }
        leader.disk.set_fault(nullptr);
      }
      if (i % 20 == 19) {
        REQUIRE(leader->sync());
        leader.publish_to(leader.end().value);
        leader.maintain();
      }
      if (i % 40 == 11) leader.open();
      leader.append(model, 2'000, true);
    }
    ReplicaLog follower(seed + 1);
    follower.open();
    feed(leader, follower, leader.end().value, 30'000);
    leader.open();
    check_equal_images(leader, follower);
    model.check_equal(*leader);
  }
  CHECK(failures > 60);
}

TEST_CASE("replica log: what a leader had not synced is durable when what follows is cut") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    ReplicaLog log(seed);
    LogModel model(seed);
    log.open();
    for (int i = 0; i < 60; ++i) log.append(model, 300, i < 10);
    const std::uint64_t to = 10 + model.random(51);
    const std::string kept = log.read(0, to);
    REQUIRE(log->cut(BatchNo(to)));
    log.disk.cut_power();
    log.open();
    CHECK(log.end() == BatchNo(to));
    CHECK(log.read(0, to) == kept);
  }
}

TEST_CASE("replica log: a crash while batches are cut that were never synced is no corruption") {
  std::uint64_t cut = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    ReplicaLog log(seed);
    LogModel model(seed);
    log.open();
    for (int i = 0; i < 40; ++i) log.append(model, 300, i < 10);
    const std::uint64_t to = 10 + model.random(31);
    const Batches all = log.batches();
    log.disk.halt_after(1 + seed % 24);
    const auto done = log->cut(BatchNo(to));
    log.disk.halt();
    log.disk.cut_power();
    log.open();
    const std::uint64_t end = log.end().value;
    CHECK(end >= 10);
    if (done) CHECK(end == to);
    if (end == to) ++cut;
    CHECK(log.read(0, end) == joined(all, 0, end));
  }
  CHECK(cut > 100);
}

TEST_CASE("replica log: segments grow as they do without a cut") {
  ReplicaLog leader(1);
  LogModel model(1);
  leader.options.segment_bytes = 8u << 20;
  leader.open();
  while (leader.segments().size() < 3) leader.append(model, 40'000, false);
  for (int i = 0; i < 8; ++i) leader.append(model, 40'000, false);
  ReplicaLog follower(2);
  follower.options = leader.options;
  follower.open();
  feed(leader, follower, leader.end().value, 1u << 20);
  REQUIRE(follower.segments().size() == 3);
  REQUIRE(follower->cut(BatchNo(2)));
  feed(leader, follower, leader.end().value, 1u << 20);
  for (ReplicaLog* log : {&leader, &follower}) log->disk.kill();
  leader.open();
  follower.open();
  while (leader.segments().size() < 5) leader.append(model, 40'000, false);
  feed(leader, follower, leader.end().value, 1u << 20);
  CHECK((leader.image() == follower.image()));
}

TEST_CASE("replica log: batches that were verified ahead, in any pieces, make the same files") {
  ReplicaLog leader(1);
  LogModel model(3);
  leader.open();
  while (leader.segments().size() < 12) lead(leader, model, 100);
  const Batches batches = leader.batches();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    LogModel random(seed);
    ReplicaLog follower(seed);
    follower.open();
    std::vector<log::Incoming> ahead;
    log::Incoming last;  // nullptr: nothing but what is appended
    for (std::size_t sent = 0; follower.end() < leader.end();) {
      if (sent < batches.size() && (ahead.empty() || random.random(2) == 0)) {
        const std::size_t end = std::min(batches.size(), sent + 1 + random.random(30));
        auto verified = follower->verify_batches(joined(batches, sent, end), last.get());
        REQUIRE(verified.has_value());
        ahead.push_back(last = *std::move(verified));
        sent = end;
        continue;
      }
      const std::size_t count = 1 + random.random(ahead.size());
      const auto written = std::span(ahead).first(count);
      REQUIRE(follower->append_batches(written));
      ahead.erase(ahead.begin(), ahead.begin() + static_cast<std::ptrdiff_t>(count));
      if (ahead.empty() && random.random(2) == 0) last = nullptr;
    }
    check_equal_files(leader, follower);
  }
}

TEST_CASE("replica log: what follows something that does not is refused") {
  ReplicaLog leader(1);
  LogModel model(3);
  leader.open();
  for (int i = 0; i < 9; ++i) leader.append(model, 100, true);
  const Batches batches = leader.batches();
  ReplicaLog follower(2);
  follower.open();
  const auto first = follower->verify_batches(joined(batches, 0, 3), nullptr);
  REQUIRE(first.has_value());
  CHECK_FALSE(follower->verify_batches(joined(batches, 0, 3), first->get()));
  CHECK_FALSE(follower->verify_batches(joined(batches, 4, 9), first->get()));
  CHECK_FALSE(follower->verify_batches(joined(batches, 3, 9), nullptr));
  CHECK(follower.end() == BatchNo(0));
  const auto rest = follower->verify_batches(joined(batches, 3, 9), first->get());
  REQUIRE(rest.has_value());
  REQUIRE(follower->append_batches(std::vector{*first, *rest}));
  check_equal_files(leader, follower);
}

TEST_CASE("replica log: a segment made in vain does not stay for what was verified meanwhile") {
  ReplicaLog leader(1);
  LogModel model(3);
  leader.open();
  lead(leader, model, 100);
  const std::size_t before = leader.end().value;
  const std::size_t segments = leader.segments().size();
  while (leader.segments().size() == segments) leader.append(model, 9'000, true);
  const std::size_t rolls = leader.end().value - 1;
  REQUIRE(rolls >= before);
  lead(leader, model, 30);
  const Batches batches = leader.batches();
  ReplicaLog follower(2);
  follower.open();
  REQUIRE(follower->append_batches(joined(batches, 0, rolls)));
  bool named = false;
  follower.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
    if (call == DiskCall::rename) named = true;
    return named && call == DiskCall::write ? std::optional(Errc::io_error) : std::nullopt;
  });
  // The segment is there, the batch it was made for is not.
  REQUIRE_FALSE(follower->append_batches(batches[rolls]));
  follower.disk.set_fault({});
  REQUIRE(follower.end() == BatchNo(rolls));
  const auto first = follower->verify_batches(batches[rolls], nullptr);
  REQUIRE(first.has_value());
  const auto rest =
      follower->verify_batches(joined(batches, rolls + 1, batches.size()), first->get());
  REQUIRE(rest.has_value());
  REQUIRE(follower->append_batches(std::vector{*first, *rest}));
  check_equal_files(leader, follower);
}

TEST_CASE("replica log: small events that are compressed fill a segment by their number") {
  ReplicaLog leader(1, Codec::zstd);
  LogModel model(1);
  leader.open();
  std::uint64_t version = 0;
  const auto append = [&] {
    ModelBatch batch;
    batch.epoch = Epoch(1);
    batch.time = TimeUs(1);
    batch.base = model.end();
    ModelCommit commit;
    commit.target = "s";
    commit.first = batch.base;
    for (std::uint64_t i = 0; i < 400; ++i) {
      Event event;
      event.stream = "s";
      event.version = Version(++version);
      event.time = batch.time;
      event.offset = batch.base + i;
      commit.events.push_back(std::move(event));
    }
    batch.commits.push_back(std::move(commit));
    leader.append(model, std::move(batch), true);
  };
  while (leader.segments().size() < 4) append();
  REQUIRE(leader.segments().front().second.size() < 40'000);
  for (std::uint64_t to = 1; to < leader.end().value; ++to) {
    CAPTURE(to);
    ReplicaLog follower(to);
    follower.open();
    feed(leader, follower, leader.end().value, 1);
    REQUIRE(follower->cut(BatchNo(to)));
    feed(leader, follower, leader.end().value, 1u << 20);
    check_equal_files(leader, follower);
  }
}

TEST_CASE("replica log: any bit flipped in what is sent is refused, and changes nothing") {
  ReplicaLog leader(1);
  LogModel model(5);
  leader.open();
  for (int i = 0; i < 30; ++i) leader.append(model, 100, true);
  const Batches batches = leader.batches();
  ReplicaLog follower(2);
  follower.open();
  REQUIRE(follower->append_batches(joined(batches, 0, 10)));
  const auto before = follower.disk.image();
  for (const std::size_t end : {11u, 14u, 30u}) {
    const std::string sent = joined(batches, 10, end);
    for (std::size_t bit = 0; bit < sent.size() * 8; bit += end == 11 ? 1 : 97) {
      std::string flipped = sent;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const auto taken = follower->append_batches(flipped);
      CAPTURE(bit);
      REQUIRE_FALSE(taken.has_value());
      CHECK(taken.error().code == Errc::corruption);
    }
    // Cut short, or with something behind.
    CHECK_FALSE(follower->append_batches(sent.substr(0, sent.size() - 8)));
    CHECK_FALSE(follower->append_batches(sent + std::string(8, '\0')));
  }
  // Batches that do not follow.
  CHECK_FALSE(follower->append_batches(joined(batches, 9, 12)));
  CHECK_FALSE(follower->append_batches(joined(batches, 11, 12)));
  CHECK(follower->append_batches("").has_value());
  CHECK(follower.end() == BatchNo(10));
  CHECK(follower.disk.image() == before);
  REQUIRE(follower->append_batches(joined(batches, 10, 30)));
  check_equal_files(leader, follower);
}

TEST_CASE("replica log: what retention has removed is below the start, the rest is read") {
  ReplicaLog log(1);
  LogModel model(3);
  log.options.sealed_codec = Codec::zstd;
  log.open();
  lead(log, model, 400);
  const std::uint64_t end = model.batches().size();
  log.publish_to(end - 5);
  log.maintain();
  const std::string all = log.read(0, end);
  const auto epochs = epochs_of(log);
  while (log->compression_due()) REQUIRE(log->compress());
  CHECK(log.read(0, end, 20'000) == all);
  check_tails(log, model);
  log::Retention retention;
  retention.bytes = 500'000;
  log->set_retention(retention);
  REQUIRE(log->retain(TimeUs(0)));
  REQUIRE(log->start() > Offset(0));
  std::uint64_t first = 0;
  while (!log->read_batches(BatchNo(first), BatchNo(end), 1)) {
    CHECK(log->read_batches(BatchNo(first), BatchNo(end), 1).error().code == Errc::below_start);
    CHECK(log->tail(BatchNo(first), BatchNo(end)).error().code == Errc::below_start);
    CHECK(log->offset_of(BatchNo(first)).error().code == Errc::below_start);
    ++first;
  }
  REQUIRE(first > 0);
  const Batches batches = split(all);
  for (const bool reopened : {false, true}) {
    if (reopened) log.open();
    CHECK(log.read(first, end, 20'000) == joined(batches, first, end));
    CHECK(log->offset_of(BatchNo(first)) == log->start());
    for (std::uint64_t from = first; from < end; from += 7) {
      CHECK((log->tail(BatchNo(from), BatchNo(end)).value() == tail_by_walking(epochs, from, end)));
    }
  }
}

TEST_CASE("replica log: a mark that is damaged is corruption, and nothing is changed") {
  ReplicaLog log(1);
  LogModel model(3);
  log.open();
  lead(log, model, 40);
  // The mark is there when the process ends before the mark is lifted.
  log.disk.set_fault([](DiskCall call, const std::string& path) -> std::optional<Errc> {
    const bool lifted = call == DiskCall::remove && path == "log/tail.cut";
    return lifted ? std::optional(Errc::io_error) : std::nullopt;
  });
  REQUIRE_FALSE(log->cut(BatchNo(20)));
  CHECK(log.end() == BatchNo(20));
  log.disk.set_fault(nullptr);
  log.disk.kill();
  const auto image = log.disk.image();
  REQUIRE(image.contains("log/tail.cut"));
  for (std::uint64_t bit = 0; bit < image.at("log/tail.cut").size() * 8; ++bit) {
    CAPTURE(bit);
    log.disk.restore(image);
    log.disk.flip_bit("log/tail.cut", bit);
    const auto damaged = log.disk.image();
    const auto opened = log.try_open();
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == Errc::corruption);
    CHECK(opened.error().context.find("log/tail.cut") != std::string::npos);
    CHECK(log.disk.image() == damaged);
  }
  log.disk.restore(image);
  log.open();
  CHECK(log.end() == BatchNo(20));
  CHECK_FALSE(log.disk.image().contains("log/tail.cut"));
}

TEST_CASE("replica log: what a mark removes is not shown, and noted when the log is verified") {
  ReplicaLog log(1);
  LogModel model(3);
  log.open();
  lead(log, model, 200);
  const auto all = log.batches();
  const std::size_t segments = log.segments().size();
  for (const std::uint64_t to : {std::uint64_t{150}, std::uint64_t{20}}) {
    CAPTURE(to);
    // All that goes is there still, and some of it is damaged.
    log.disk.set_fault([](DiskCall call, const std::string& path) -> std::optional<Errc> {
      const bool removed = call == DiskCall::remove && !path.ends_with(".tmp");
      return removed || call == DiskCall::allocate ? std::optional(Errc::io_error) : std::nullopt;
    });
    REQUIRE_FALSE(log->cut(BatchNo(to)));
    log.disk.set_fault(nullptr);
    log.disk.kill();
    REQUIRE(log.segments().size() == segments);
    auto image = log.disk.image();
    for (auto& [path, bytes] : image) {
      if (const auto at = bytes.find(all[to]); at != bytes.npos) bytes[at] = 'x';
    }
    log.disk.restore(image);
    const auto report = log::verify_log(log.disk, "log", ReplicaLog::kIdentity);
    CHECK(report.batches == to);
    REQUIRE(report.findings.size() >= 1);
    for (const auto& finding : report.findings) {
      CAPTURE(finding.file);
      CAPTURE(finding.what);
      CHECK(finding.kind != log::LogFinding::Kind::lost);
    }
    CHECK(report.findings.front().kind == log::LogFinding::Kind::unfinished);
    CHECK(report.findings.front().file == "log/tail.cut");
    const log::LogInspector inspector(log.disk, "log", ReplicaLog::kIdentity);
    CHECK(inspector.batches(BatchNo(0), 10'000).value().size() == to);
    log.open();
    CHECK(log.end() == BatchNo(to));
    CHECK(log.read(0, to) == joined(all, 0, to));
    REQUIRE(log->append_batches(joined(all, to, all.size())));
  }
}

TEST_CASE("replica log: on a real disk as on the simulated one") {
  ReplicaLog leader(1);
  LogModel model(1);
  leader.open();
  lead(leader, model, 150);
  const Batches all = leader.batches();
  const TemporaryFolder folder;
  io::PosixFileSystem files;
  const auto open = [&] {
    auto opened = log::PartitionLog::open(files, folder.path() + "/log", ReplicaLog::kIdentity,
                                          leader.options);
    REQUIRE_MESSAGE(opened.has_value(), (opened ? "" : opened.error().message()));
    return *std::move(opened);
  };
  auto log = open();
  REQUIRE(log->append_batches(joined(all, 0, 140)));
  for (const std::uint64_t to : {std::uint64_t{120}, std::uint64_t{31}, std::uint64_t{0}}) {
    REQUIRE(log->cut(BatchNo(to)));
    CHECK(log->appended().next_batch == BatchNo(to));
    log.reset();
    log = open();
    CHECK(log->appended().next_batch == BatchNo(to));
    for (std::size_t i = to; i < 130; ++i) REQUIRE(log->append_batches(all[i]));
    REQUIRE(log->append_batches(joined(all, 130, all.size())));
  }
  CHECK(log->read_batches(BatchNo(0), BatchNo(all.size()), UINT64_MAX)->bytes ==
        joined(all, 0, all.size()));
  for (const auto& [path, bytes] : leader.image()) {
    CAPTURE(path);
    const auto found = io::read_file(files, folder.path() + "/" + path, UINT64_MAX);
    REQUIRE(found.has_value());
    CHECK((*found == bytes));
  }
  log->publish(BatchNo(all.size() - 1));
  model.check_equal(*log);
}
