// A log is given another beginning: what is left of what other replicas have removed.
#include <doctest/doctest.h>

#include <optional>
#include <random>
#include <set>
#include <string>

#include "engine/log/log_install.h"
#include "engine/log/log_verifier.h"
#include "engine/log/retention.h"
#include "tests/engine/log/replica_logs.h"
#include "tests/support/hex.h"
#include "tests/support/seeds.h"

using namespace keelson;
using namespace keelson::test;
using log::InstallPlace;
using log::RemovedPiece;

namespace {

/// A log that has removed its oldest segments, with what it was told.
struct Leader {
  /// @param small  how many small batches come first: the index of their segment is large.
  explicit Leader(std::uint64_t seed = 3, int small = 0) : model(seed), log(seed) {
    log.open();
    for (int i = 0; i < small; ++i) log.append(model, 60, true);
    append(120);
  }

  void append(int batches) {
    for (int i = 0; i < batches; ++i) log.append(model, i % 7 == 3 ? 9'000 : 400, i % 4 != 0);
    REQUIRE(log->sync());
    log.publish_to(log.end().value);
    log.maintain();
  }
  /// Until so many full segments are left.
  void retain(std::uint64_t segments) {
    log->set_retention({.bytes = segments * (64u << 10)});
    REQUIRE(log->retain(TimeUs(0)));
  }
  [[nodiscard]] BatchNo start() const { return log->first_batch(); }

  LogModel model;
  ReplicaLog log;
};

/// The next piece for a follower, as it would come over the network.
RemovedPiece piece_of(const ReplicaLog& leader, const InstallPlace& place,
                      std::uint64_t bytes_max) {
  auto beginning = leader->beginning(place.segment, place.position, bytes_max);
  REQUIRE(beginning);
  REQUIRE(beginning->removed);
  RemovedPiece piece = *std::move(beginning->removed);
  const auto region = std::exchange(piece.region, std::nullopt);
  REQUIRE(region);
  piece.bytes = region->file->read_at(region->position, region->length).value();
  return piece;
}

/// Gives `follower` the beginning that `leader` has, and then the rest.
Result<void> install(const Leader& leader, ReplicaLog& follower, std::uint64_t piece_bytes) {
  while (true) {
    const InstallPlace place = follower->install_place();
    const auto beginning = leader.log->beginning(place.segment, place.position, piece_bytes);
    REQUIRE(beginning);
    if (!beginning->removed) {
      REQUIRE_FALSE(beginning->header.empty());
      return follower->begin_at(beginning->header);
    }
    KEELSON_TRY(follower->take_removed(piece_of(leader.log, place, piece_bytes)));
  }
}

Result<void> feed(const Leader& leader, ReplicaLog& follower) {
  const BatchNo end = leader.log.end();
  while (follower.end() < end) {
    const auto batches = leader.log->read_batches(follower.end(), end, 20'000);
    REQUIRE(batches);
    KEELSON_TRY(follower->append_batches(batches->bytes));
  }
  return {};
}

/// The files of a log, without those that say where there are keys: each log makes them when it
/// comes to it.
SimulatedFileSystem::Image files_of(ReplicaLog& log) {
  log.publish_to(log.end().value);
  log.maintain();
  auto image = log.image();
  std::erase_if(image, [](const auto& file) {
    return file.first.ends_with(".g1") || file.first.ends_with(".g2");
  });
  return image;
}

void check_verified(const ReplicaLog& log) {
  const auto report =
      log::verify_log(const_cast<SimulatedFileSystem&>(log.disk), "log", ReplicaLog::kIdentity);
  for (const auto& finding : report.findings) {
    CHECK_MESSAGE(false, finding.file, ": ", finding.what);
  }
}

/// CHECKs that `log` knows of all that was, and has what is left, as `leader` has.
void check_same_answers(const Leader& leader, const ReplicaLog& log) {
  CHECK(log->start() == leader.log->start());
  CHECK(log->first_batch() == leader.start());
  CHECK(log->end() == leader.log->end());
  std::set<std::string> streams;
  std::uint64_t below = 0;
  for (const auto& batch : leader.model.batches()) {
    for (const auto& commit : batch.commits) {
      for (const auto& event : commit.events) streams.insert(event.stream);
      if (commit.id.empty()) continue;
      const log::CommandKey key{commit.principal, commit.target, commit.id};
      const auto of_leader = leader.log->find_command(key);
      const auto found = log->find_command(key);
      REQUIRE(found.has_value() == of_leader.has_value());
      if (found) {
        REQUIRE(found->has_value());
      } else {
        REQUIRE(found.error().code == Errc::below_start);
        ++below;
      }
    }
  }
  CHECK(below > 10);
  for (const auto& stream : streams) {
    CHECK(log->stream_version(stream, log->end()).value() ==
          leader.log->stream_version(stream, leader.log->end()).value());
  }
  const auto cursor = log->read(log->start()).value();
  const auto of_leader = leader.log->read(leader.log->start()).value();
  while (true) {
    const auto event = cursor->next();
    const auto expected = of_leader->next();
    REQUIRE(event);
    REQUIRE(expected);
    REQUIRE((*event == nullptr) == (*expected == nullptr));
    if (*event == nullptr) break;
    REQUIRE((*event)->offset == (*expected)->offset);
    REQUIRE((*event)->record.data == (*expected)->record.data);
  }
}

}  // namespace

TEST_CASE("install: a new log begins where the others' does, and knows what was before") {
  for (const std::uint64_t piece_bytes : {700u, 4096u, 1u << 20}) {
    CAPTURE(piece_bytes);
    Leader leader;
    leader.retain(3);
    REQUIRE(leader.start() > BatchNo(50));
    ReplicaLog follower(9);
    follower.open();
    CHECK(follower->install_place() == InstallPlace{BatchNo(0), 0});
    REQUIRE(install(leader, follower, piece_bytes));
    CHECK(follower.end() == leader.start());
    CHECK(follower->first_batch() == leader.start());
    CHECK(follower->published() == leader.start());
    CHECK(follower->end() == follower->start());
    REQUIRE(feed(leader, follower));
    CHECK((files_of(follower) == files_of(leader.log)));
    check_same_answers(leader, follower);
    check_verified(follower);

    // It goes on as any other, and removes what the others do.
    leader.append(60);
    REQUIRE(feed(leader, follower));
    leader.retain(2);
    follower.publish_to(follower.end().value);
    follower.maintain();
    follower->set_retention({.bytes = 2 * (64u << 10)});
    REQUIRE(follower->retain(TimeUs(0)));
    CHECK((files_of(follower) == files_of(leader.log)));
    follower.close();
    follower.open();
    follower.publish_to(follower.end().value);
    check_same_answers(leader, follower);
    check_verified(follower);
  }
}

TEST_CASE("install: a log that has fallen behind gets what has been removed since, and no more") {
  Leader leader;
  ReplicaLog follower(9);
  follower.open();
  REQUIRE(feed(leader, follower));
  follower.publish_to(70);
  follower.maintain();
  const auto cursor = follower->read(Offset(0)).value();
  REQUIRE(cursor->next().value() != nullptr);
  const auto at_end = follower->read(Offset(follower->end().value - 1)).value();
  REQUIRE(at_end->next().value() != nullptr);
  REQUIRE(at_end->next().value() == nullptr);

  // It has removed some itself, and has a tail of another leader.
  leader.retain(5);
  follower->set_retention({.bytes = 1});
  REQUIRE(follower->retain(TimeUs(0)));
  const BatchNo own_start = follower->first_batch();
  REQUIRE(own_start > BatchNo(0));
  leader.append(2);
  REQUIRE(feed(leader, follower));
  leader.append(100);
  leader.retain(2);
  const BatchNo old_end = follower.end();
  REQUIRE(leader.start() > old_end);
  CHECK(follower->install_place() == InstallPlace{own_start, 0});
  REQUIRE(install(leader, follower, 3'000));
  // What is not known to be committed is kept aside.
  REQUIRE(follower->last_cut());
  CHECK(follower->last_cut()->first == BatchNo(70));
  CHECK(follower->last_cut()->end == old_end);
  follower.publish_to(1);  // long since
  CHECK(follower.end() == leader.start());

  // Who was reading reads what it was at, and is told then that there is a gap.
  std::optional<Error> error;
  while (!error) {
    const auto event = cursor->next();
    if (!event) error = event.error();
    if (event) REQUIRE(*event != nullptr);
  }
  CHECK(error->code == Errc::below_start);
  CHECK(at_end->next().error().code == Errc::below_start);
  CHECK(follower->read(Offset(0)).error().code == Errc::below_start);

  REQUIRE(feed(leader, follower));
  CHECK((files_of(follower) == files_of(leader.log)));
  check_same_answers(leader, follower);
  check_verified(follower);
}

TEST_CASE("install: the leader's log may begin later while its beginning is fetched") {
  Leader leader;
  leader.retain(4);
  ReplicaLog follower(9);
  follower.open();
  for (int i = 0; i < 3; ++i) {
    REQUIRE(follower->take_removed(piece_of(leader.log, follower->install_place(), 1'000'000)));
  }
  leader.append(40);
  leader.retain(1);
  REQUIRE(install(leader, follower, 1'000'000));
  CHECK(follower->first_batch() == leader.start());
  REQUIRE(feed(leader, follower));
  CHECK((files_of(follower) == files_of(leader.log)));
}

TEST_CASE(
    "install: what has come is gone on with after a restart, and goes when it is not needed") {
  Leader leader;
  leader.retain(3);
  ReplicaLog follower(9);
  follower.open();
  for (int i = 0; i < 2; ++i) {
    REQUIRE(follower->take_removed(piece_of(leader.log, follower->install_place(), 1'000'000)));
  }
  const InstallPlace place = follower->install_place();
  REQUIRE(place.segment > BatchNo(0));
  REQUIRE(follower->take_removed(piece_of(leader.log, place, 100)));
  CHECK(follower->install_place().position == 100);
  follower.close();
  follower.open();
  CHECK(follower->install_place() == place);
  SUBCASE("gone on with") {
    REQUIRE(install(leader, follower, 1'000'000));
    REQUIRE(feed(leader, follower));
    CHECK((files_of(follower) == files_of(leader.log)));
  }
  SUBCASE("not needed") {
    Leader whole;
    REQUIRE(feed(whole, follower));
    CHECK((files_of(follower) == files_of(whole.log)));
    CHECK(follower->install_place() == InstallPlace{BatchNo(0), 0});
  }
  SUBCASE("there is a gap") {
    const std::string first = "log/00000000000000000000.fetched";
    REQUIRE(follower.disk.image().contains(first));
    follower.close();
    REQUIRE(follower.disk.remove(first));
    follower.open();
    CHECK(follower->install_place() == InstallPlace{BatchNo(0), 0});
    for (const auto& [path, bytes] : follower.disk.image()) CHECK_FALSE(path.ends_with(".fetched"));
  }
}

TEST_CASE("install: what is damaged on the way is refused, and can be sent again") {
  Leader leader(3, 400);
  leader.retain(3);
  ReplicaLog follower(9);
  follower.open();
  const InstallPlace at{BatchNo(0), 0};
  const RemovedPiece whole = piece_of(leader.log, at, 1u << 30);
  REQUIRE(whole.bytes.size() > 2 * 4096);  // blocks that nobody looks at to find its ends
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    RemovedPiece damaged = whole;
    const std::size_t position =
        i < 128 ? static_cast<std::size_t>(i) : random() % damaged.bytes.size();
    damaged.bytes[position] = static_cast<char>(damaged.bytes[position] ^ (1 << (i % 8)));
    const auto taken = follower->take_removed(damaged);
    CAPTURE(position);
    REQUIRE_FALSE(taken.has_value());
    const bool refused =
        taken.error().code == Errc::corruption || taken.error().code == Errc::unsupported_format;
    REQUIRE(refused);
    REQUIRE(follower->install_place() == at);
  }
  // Not within its file; or not asked for, which changes nothing.
  RemovedPiece wrong = whole;
  wrong.file_bytes = wrong.bytes.size() - 1;
  CHECK(follower->take_removed(wrong).error().code == Errc::corruption);
  wrong = whole;
  wrong.bytes.clear();
  CHECK(follower->take_removed(wrong).error().code == Errc::corruption);
  wrong = whole;
  wrong.segment = BatchNo(1);
  CHECK(follower->take_removed(wrong).has_value());
  CHECK(follower->install_place() == at);

  const std::string header = leader.log->beginning(leader.start(), 0, 1).value().header;
  REQUIRE_FALSE(header.empty());
  CHECK(follower->begin_at(header).error().code == Errc::corruption);  // there is more before
  REQUIRE(follower->take_removed(whole));
  REQUIRE(install(leader, follower, 5'000));
  REQUIRE(feed(leader, follower));
  CHECK((files_of(follower) == files_of(leader.log)));
}

TEST_CASE("install: a log does not begin below what is published") {
  Leader leader;
  ReplicaLog follower(9);
  follower.open();
  REQUIRE(feed(leader, follower));
  follower.publish_to(follower.end().value);
  follower.maintain();
  leader.retain(3);
  while (true) {
    const InstallPlace place = follower->install_place();
    if (place.segment == leader.start()) break;
    REQUIRE(follower->take_removed(piece_of(leader.log, place, 1u << 20)));
  }
  const std::string header = leader.log->beginning(leader.start(), 0, 1).value().header;
  CHECK(follower->begin_at(header).error().code == Errc::corruption);
  CHECK(follower->first_batch() == BatchNo(0));
}

namespace {

/// A follower that is far behind, with a log of its own or none, and is caught up.
struct Story {
  explicit Story(bool own_log) {
    before.options.segment_bytes = 64u << 10;
    before.open();
    if (own_log) {
      REQUIRE(feed(leader, before));
      before.publish_to(40);
      before.maintain();
      old_end = before.end();
      old_bytes = before.read(0, old_end.value);
      leader.append(120);
    }
    before.close();
    leader.retain(2);
    REQUIRE(leader.start() > old_end);
  }

  Result<void> tell(ReplicaLog& follower) const {
    KEELSON_TRY(follower.try_open());
    return go_on(follower);
  }
  Result<void> go_on(ReplicaLog& follower) const {
    if (follower->first_batch() != leader.start()) {
      KEELSON_TRY(install(leader, follower, 9'000));
    }
    return feed(leader, follower);
  }

  Leader leader;
  ReplicaLog before{11};
  BatchNo old_end;
  std::string old_bytes;
};

}  // namespace

TEST_CASE("install: whatever call to the disk is the last, the log is the old one or the new one") {
  for (const bool own_log : {false, true}) {
    CAPTURE(own_log);
    Story story(own_log);
    const auto before = story.before.disk.image();
    std::uint64_t calls = 0;
    {
      ReplicaLog follower(1);
      follower.disk.restore(before);
      REQUIRE(story.tell(follower));
      calls = follower.disk.calls();
    }
    const auto after = files_of(story.leader.log);
    std::uint64_t marks = 0;
    std::uint64_t fetched = 0;
    for (std::uint64_t last = 1; last <= calls; ++last) {
      for (const std::uint64_t seed : {0u, 1u, 2u}) {
        CAPTURE(last);
        CAPTURE(seed);
        ReplicaLog follower(last * 10 + seed);
        follower.disk.restore(before);
        follower.disk.halt_after(last);
        REQUIRE_FALSE(story.tell(follower).has_value());
        REQUIRE(follower.disk.halted());
        const bool begun = follower.is_open() && follower->first_batch() == story.leader.start();
        follower.close();
        const auto left = follower.disk.image();
        marks += left.contains("log/install.mark") ? 1 : 0;
        seed == 0 ? follower.disk.kill() : follower.disk.cut_power();
        // The next start may be cut short as well.
        follower.disk.halt_after(1 + (last * 7 + seed) % 25);
        if (follower.try_open()) {
          follower.disk.halt_after(0);
        } else {
          REQUIRE(follower.disk.halted());
          (last + seed) % 2 == 0 ? follower.disk.kill() : follower.disk.cut_power();
          follower.open();
        }
        fetched += follower->install_place().segment > follower->first_batch() ? 1 : 0;
        // What was told to be done is.
        if (begun) REQUIRE(follower->first_batch() == story.leader.start());
        if (begun) REQUIRE(follower.end() >= story.leader.start());
        if (follower->first_batch() == BatchNo(0)) {
          REQUIRE(follower.end() == story.old_end);
          if (own_log) {
            REQUIRE((follower.read(0, story.old_end.value) == story.old_bytes));
          }
        }
        const auto done = story.tell(follower);
        REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message()));
        REQUIRE((files_of(follower) == after));
      }
    }
    MESSAGE(calls, " calls, ", marks, " crashes with a mark, ", fetched, " that go on");
    CHECK(marks > 10);
    CHECK(fetched > 10);
  }
}

TEST_CASE("install: whatever call to the disk fails, the log is the old one or the new one") {
  Story story(true);
  const auto before = story.before.disk.image();
  const auto after = files_of(story.leader.log);
  for (std::uint64_t failing = 1;; ++failing) {
    CAPTURE(failing);
    ReplicaLog follower(failing);
    follower.disk.restore(before);
    std::uint64_t calls = 0;
    bool sync_failed = false;
    follower.disk.set_fault([&](DiskCall call, const std::string&) -> std::optional<Errc> {
      if (++calls != failing) return std::nullopt;
      sync_failed = call == DiskCall::sync || call == DiskCall::sync_folder;
      return failing % 2 == 0 && !sync_failed ? Errc::disk_full : Errc::io_error;
    });
    auto done = story.tell(follower);
    if (done) {
      if (calls < failing) break;  // there was no such call
      REQUIRE_FALSE(sync_failed);  // a failure that only costs time
    } else {
      // Where nothing can be known the log says so from then on, and the process ends.
      const bool lost = sync_failed || !follower.is_open() || !follower->sync();
      if (lost) {
        follower.close();
        follower.disk.kill();
        done = story.tell(follower);
      } else {
        done = story.go_on(follower);
      }
    }
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message()));
    REQUIRE((files_of(follower) == after));
  }
}

TEST_CASE("install: the bytes of the mark, version 1") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("log"));
  REQUIRE(log::mark_install(disk, "log", ReplicaLog::kIdentity, BatchNo(0x1234)));
  CHECK(to_hex(disk.image().at("log/install.mark")) ==
        "4b45454c494e530a010000000000000007000000000000000000000000000000"
        "341200000000000002135ee737302350");
  // What it says is done, or it is refused: it is put there as a whole.
  CHECK(log::finish_install(disk, "log", Uuid{}).error().code == Errc::unsupported_format);
  disk.flip_bit("log/install.mark", 8 * 33);
  CHECK(log::finish_install(disk, "log", ReplicaLog::kIdentity).error().code == Errc::corruption);
}

TEST_CASE("install: verify sees what will be, when the mark is there") {
  Leader leader;
  leader.retain(2);
  ReplicaLog follower(4);
  follower.open();
  // The mark is placed, and nothing of the old log has been removed yet.
  follower.disk.set_fault([](DiskCall call, const std::string&) {
    return call == DiskCall::remove ? std::optional(Errc::io_error) : std::nullopt;
  });
  REQUIRE_FALSE(install(leader, follower, 3000));
  follower.disk.set_fault(nullptr);
  follower.close();
  follower.disk.kill();
  REQUIRE(follower.disk.exists("log/install.mark").value());
  const auto report = log::verify_log(follower.disk, "log", ReplicaLog::kIdentity);
  for (const auto& finding : report.findings) {
    CHECK_MESSAGE(finding.kind == log::LogFinding::Kind::unfinished, finding.what);
  }
  CHECK(report.findings.size() == 1);
  CHECK(report.segments == 1);
  CHECK(report.start == leader.log->start());
}
