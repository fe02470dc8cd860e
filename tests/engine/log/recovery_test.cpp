// What opening makes of damaged files: torn tails are cut and reported, corruption is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/base/coding.h"
#include "engine/log/cut_copies.h"
#include "engine/log/log_format.h"
#include "engine/log/log_inspector.h"
#include "engine/log/partition_log.h"
#include "engine/log/stored_batch.h"
#include "tests/engine/log/log_model.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::test;
using log::BatchHeader;
using log::PartitionLog;

namespace {

const Uuid kIdentity{{std::byte{7}}};
const log::LogOptions kSmall{.segment_bytes = 64u << 10};
const std::string kFirst = "log/00000000000000000000.seg";

/// A log of some batches in one segment, closed, to be damaged and opened.
class Damaged {
 public:
  /// @param durable  every batch is synced before the next is written; else none is.
  Damaged(int batches, bool durable) : disk(1), model(1) {
    const auto log = open().value();
    for (int i = 0; i < batches; ++i) {
      ModelBatch batch = model.make_batch();
      REQUIRE(log->append(batch.draft()));
      if (durable) REQUIRE(log->sync());
      model.take(std::move(batch));
    }
    find_batches();
  }

  Result<std::unique_ptr<PartitionLog>> open(const Uuid& identity = kIdentity) {
    return PartitionLog::open(disk, "log", identity, kSmall);
  }

  /// The error of opening.
  Error refused(const Uuid& identity = kIdentity) {
    const auto log = open(identity);
    REQUIRE_FALSE(log.has_value());
    return log.error();
  }

  /// Opens, and checks that it ends before `batch`, says so, and has kept what it cut. Again: then
  /// all is clean.
  void check_cut_at(std::size_t batch, bool kept = true) {
    model.cut(batch);
    const std::string cut = unwritten_from(batch);
    for (const bool first : {true, false}) {
      const auto log = open();
      REQUIRE_MESSAGE(log.has_value(), (log ? "" : log.error().message()));
      CHECK((*log)->torn_tail().has_value() == first);
      if (first) {
        CHECK((*log)->torn_tail()->file == kFirst);
        CHECK((*log)->torn_tail()->position == starts[batch]);
        CHECK((*log)->torn_tail()->bytes == cut.size());
        CHECK((*log)->torn_tail()->batch == BatchNo(batch));
        CHECK((*log)->torn_tail()->copy.empty() != kept);
        CHECK((*log)->torn_tail()->no_copy.empty() == kept);
        const std::string& copy = (*log)->torn_tail()->copy;
        if (kept) CHECK(read(log::kSegmentHeaderBytes, cut.size(), copy) == cut);
      }
      model.check_equal(**log);
    }
    CHECK(log::list_cuts(disk, "log").value().size() == (kept ? 1 : 0));
  }

  /// What lies from where `batch` begins on, to the last byte that is not zero.
  std::string unwritten_from(std::size_t batch) {
    const std::uint64_t size = disk.open(kFirst, io::OpenMode::read).value()->size().value();
    std::string bytes = read(starts[batch], size - starts[batch]);
    bytes.resize(bytes.find_last_not_of('\0') + 1);
    return bytes;
  }

  void write(std::uint64_t position, std::string_view bytes, const std::string& path = kFirst) {
    REQUIRE(disk.open(path, io::OpenMode::read_write).value()->write_at(position, bytes));
  }
  std::string read(std::uint64_t position, std::size_t length, const std::string& path = kFirst) {
    return disk.open(path, io::OpenMode::read).value()->read_at(position, length).value();
  }
  /// Writes batch `i`'s header anew, as by a writer that meant it.
  void rewrite_header(std::size_t i, const BatchHeader& header) {
    const auto bytes = log::encode_batch_header(header, log::checksum_seed(kIdentity));
    write(starts[i], {bytes.data(), bytes.size()});
  }
  /// Changes a byte of batch `i`'s body.
  void damage_body(std::size_t i) {
    const std::uint64_t at = starts[i] + headers[i].length - 1;
    write(at, std::string(1, static_cast<char>(read(at, 1)[0] ^ 0x10)));
  }

  SimulatedFileSystem disk;
  LogModel model;
  std::vector<std::uint64_t> starts;  ///< of each batch; and the end
  std::vector<BatchHeader> headers;

 private:
  void find_batches() {
    starts.push_back(log::kSegmentHeaderBytes);
    for (std::size_t i = 0; i < model.batches().size(); ++i) {
      const auto header = log::decode_batch_header(read(starts.back(), log::kBatchHeaderBytes),
                                                   log::checksum_seed(kIdentity));
      REQUIRE(header);
      headers.push_back(*header);
      starts.push_back(starts.back() + header->padded_bytes());
    }
  }
};

/// Index of a batch with events near the end, `n` batches from it.
std::size_t with_events(const Damaged& log, std::size_t n) {
  std::size_t i = log.headers.size() - n;
  while (log.headers[i].event_count == 0) --i;
  return i;
}

void check_corrupt(const Error& error, std::uint64_t position) {
  CHECK(error.code == Errc::corruption);
  CHECK(error.context.find(kFirst) != std::string::npos);
  CAPTURE(error.context);
  CHECK(error.context.find("byte " + std::to_string(position)) != std::string::npos);
}

}  // namespace

TEST_CASE("recovery: a last batch torn at any sector is cut and reported") {
  for (const std::uint64_t kept : {0, 1, 100, 127, 128, 129, 150}) {
    CAPTURE(kept);
    Damaged log(20, true);
    const std::size_t last = log.headers.size() - 1;
    const std::uint64_t length = log.headers[last].padded_bytes();
    if (kept >= length || kept == 0) continue;
    log.write(log.starts[last] + kept, std::string(length - kept, '\0'));
    log.check_cut_at(last);
  }
}

TEST_CASE("recovery: a last batch whose body fails its checksum is cut and reported") {
  Damaged log(20, true);
  log.damage_body(19);
  log.check_cut_at(19);
}

TEST_CASE("recovery: a last batch with any bit of its header flipped is cut and reported") {
  for (std::uint64_t bit = 0; bit < log::kBatchHeaderBytes * 8; bit += 13) {
    CAPTURE(bit);
    Damaged log(5, true);
    log.disk.flip_bit(kFirst, log.starts[4] * 8 + bit);
    log.check_cut_at(4);
  }
}

TEST_CASE("recovery: what is cut and was whole once can be read from its copy") {
  Damaged log(20, true);
  const std::size_t last = with_events(log, 1);
  log.write(log.starts[last + 1], std::string(log.starts.back() - log.starts[last + 1], '\0'));
  const std::string whole = log.unwritten_from(last);
  log.damage_body(last);
  std::string copy;
  {
    const auto opened = log.open();
    REQUIRE(opened);
    REQUIRE((*opened)->torn_tail());
    copy = (*opened)->torn_tail()->copy;
  }
  const std::string folder = copy.substr(0, copy.rfind('/'));
  const log::LogInspector inspector(log.disk, folder, kIdentity);
  const auto segments = inspector.segments();
  REQUIRE(segments);
  REQUIRE(segments->size() == 1);
  CHECK(segments->front().start.next_batch == BatchNo(last));
  CHECK_FALSE(inspector.batches(BatchNo(0), 9).has_value());  // it says where it fails
  // Who knows what has rotted has all of it again.
  log.write(log::kSegmentHeaderBytes, whole, copy);
  const auto batches = inspector.batches(BatchNo(0), 9);
  REQUIRE_MESSAGE(batches.has_value(), (batches ? "" : batches.error().message()));
  REQUIRE(batches->size() == 1);
  CHECK(batches->front().header.batch_no == BatchNo(last));
  CHECK(batches->front().header.tree_root == log.headers[last].tree_root);
}

TEST_CASE("recovery: of what is no batch, as its header never came, nothing is kept") {
  Damaged log(20, true);
  log.write(log.starts[19], std::string(log.headers[19].padded_bytes(), '\0'));
  log.write(log.starts[19] + log::kBatchHeaderBytes, "the end of a body");
  log.check_cut_at(19, false);
}

TEST_CASE("recovery: on a full disk a log is opened, and says that it has kept nothing") {
  Damaged log(20, true);
  log.damage_body(19);
  log.disk.set_fault([](DiskCall call, const std::string& path) {
    const bool copies = call == DiskCall::write && path.contains("/cut/");
    return copies ? std::optional(Errc::disk_full) : std::nullopt;
  });
  log.check_cut_at(19, false);
}

TEST_CASE("recovery: nothing is cut when its copy cannot be written") {
  Damaged log(20, true);
  log.damage_body(19);
  const std::string before = log.read(0, kSmall.segment_bytes);
  log.disk.set_fault([](DiskCall call, const std::string& path) {
    const bool copies = call == DiskCall::write && path.contains("/cut/");
    return copies ? std::optional(Errc::io_error) : std::nullopt;
  });
  CHECK(log.refused().code == Errc::io_error);
  CHECK(log.read(0, kSmall.segment_bytes) == before);
  log.disk.set_fault(nullptr);
  log.check_cut_at(19);
}

TEST_CASE("recovery: a batch that was durable before a later one was written is corruption") {
  Damaged log(20, true);
  const std::size_t bad = with_events(log, 5);
  log.damage_body(bad);
  const std::string before = log.read(0, kSmall.segment_bytes);
  check_corrupt(log.refused(), log.starts[bad]);
  // Nothing was dropped or changed.
  CHECK(log.read(0, kSmall.segment_bytes) == before);
}

TEST_CASE("recovery: so is one whose header is gone, or all of it") {
  for (const bool all : {false, true}) {
    Damaged log(20, true);
    const std::uint64_t bytes = all ? log.headers[10].padded_bytes() : log::kBatchHeaderBytes;
    log.write(log.starts[10], std::string(bytes, '\0'));
    check_corrupt(log.refused(), log.starts[10]);
  }
}

TEST_CASE("recovery: a bit flipped in any header before the last is corruption") {
  for (std::uint64_t bit = 0; bit < log::kBatchHeaderBytes * 8; bit += 29) {
    CAPTURE(bit);
    Damaged log(8, true);
    log.disk.flip_bit(kFirst, log.starts[3] * 8 + bit);
    check_corrupt(log.refused(), log.starts[3]);
  }
}

TEST_CASE("recovery: of batches in flight together, what follows a torn one goes with it") {
  Damaged log(20, false);
  const std::size_t bad = with_events(log, 8);
  log.damage_body(bad);
  log.check_cut_at(bad);
}

TEST_CASE("recovery: a torn batch leaves nothing behind that a later one could connect to") {
  Damaged log(20, false);
  // Batch 18 never reached the disk, batch 19 did.
  log.write(log.starts[18], std::string(log.headers[18].padded_bytes(), '\0'));
  const std::string rest(kSmall.segment_bytes - log.starts[18], '\0');
  log.check_cut_at(18);
  CHECK(log.read(log.starts[18], rest.size()) == rest);
}

TEST_CASE("recovery: a batch put into an event's data is not taken for a witness of durability") {
  Damaged log(3, true);
  // The writer of the event cannot know the partition's identity, so not the seed of its checksums.
  BatchHeader forged = log.headers[2];
  forged.batch_no = BatchNo(9);
  forged.durable_batches = BatchNo(9);
  const auto bytes = log::encode_batch_header(forged, 0);
  log.write(log.starts[3], std::string(8, 'x') + std::string(bytes.data(), bytes.size()));
  log.check_cut_at(3);
}

TEST_CASE("recovery: a batch kept as data in a torn batch does not testify against it") {
  Damaged log(3, true);
  // An event whose data is a copy of bytes of this very log, from a later time.
  BatchHeader later = log.headers[2];
  later.batch_no = BatchNo(9);
  later.durable_batches = BatchNo(9);
  const auto copy = log::encode_batch_header(later, log::checksum_seed(kIdentity));
  const std::string body = std::string(80, 'x') + std::string(copy.data(), copy.size());
  BatchHeader torn = log.headers[2];
  torn.batch_no = BatchNo(3);
  torn.base_offset = log.headers[2].end_offset();
  torn.length = static_cast<std::uint32_t>(log::kBatchHeaderBytes + body.size());
  const auto header = log::encode_batch_header(torn, log::checksum_seed(kIdentity));
  log.write(log.starts[3], std::string(header.data(), header.size()) + body);
  log.check_cut_at(3);
}

TEST_CASE("recovery: a batch that does not follow the one before is corruption") {
  using Change = void (*)(BatchHeader&);
  const Change changes[] = {
      [](BatchHeader& h) { h.batch_no += 1; },
      [](BatchHeader& h) { h.base_offset += 1; },
      [](BatchHeader& h) { h.base_offset = Offset(0); },
      [](BatchHeader& h) { h.epoch = Epoch(0); },
      [](BatchHeader& h) { h.time = TimeUs(1); },
      [](BatchHeader& h) { h.durable_batches = h.batch_no + 1; },
  };
  for (const Change change : changes) {
    Damaged log(10, true);
    const std::size_t last = with_events(log, 1);
    BatchHeader header = log.headers[last];
    change(header);
    log.rewrite_header(last, header);
    check_corrupt(log.refused(), log.starts[last]);
  }
}

TEST_CASE("recovery: a header that lies about its body, with right checksums, is corruption") {
  using Change = void (*)(BatchHeader&);
  const Change changes[] = {
      [](BatchHeader& h) { h.event_count += 1; },
      [](BatchHeader& h) { h.event_count -= 1; },
      [](BatchHeader& h) { h.commit_count += 1; },
      [](BatchHeader& h) { h.commit_count = 0; },
      [](BatchHeader& h) { h.length = 1u << 20; },  // past the segment's end
      [](BatchHeader& h) { h.tree_root[0] ^= std::byte{1}; },
  };
  for (const Change change : changes) {
    Damaged log(10, true);
    const std::size_t last = with_events(log, 1);
    BatchHeader header = log.headers[last];
    change(header);
    log.rewrite_header(last, header);
    check_corrupt(log.refused(), log.starts[last]);
  }
}

TEST_CASE("recovery: an event changed with all checksums set anew is caught by the Merkle root") {
  Damaged log(10, true);
  std::size_t last = with_events(log, 1);
  // Its last byte must be an event's.
  while (log.model.batches()[last].commits.empty() ||
         log.model.batches()[last].commits.back().events.empty()) {
    --last;
  }
  log.damage_body(last);
  BatchHeader header = log.headers[last];
  const std::string body = log.read(log.starts[last] + log::kBatchHeaderBytes,
                                    header.padded_bytes() - log::kBatchHeaderBytes);
  header.body_checksum = log::checksum(body, log::checksum_seed(kIdentity));
  log.rewrite_header(last, header);
  const Error error = log.refused();
  check_corrupt(error, log.starts[last]);
  CHECK(error.context.find("tree_root") != std::string::npos);
}

TEST_CASE("recovery: a batch of a later version is unsupported, and stays") {
  Damaged log(10, true);
  std::string header = log.read(log.starts[9], log::kBatchHeaderBytes);
  put<std::uint16_t>(header.data() + 4, 2);
  put(header.data() + 120,
      log::checksum(std::string_view(header).substr(0, 120), log::checksum_seed(kIdentity)));
  log.write(log.starts[9], header);
  CHECK(log.refused().code == Errc::unsupported_format);
  CHECK(log.read(log.starts[9], log::kBatchHeaderBytes) == header);
}

TEST_CASE("recovery: a folder of another partition is refused") {
  Damaged log(3, true);
  CHECK(log.refused(Uuid{{std::byte{8}}}).code == Errc::unsupported_format);
}

TEST_CASE("recovery: a damaged segment header is corruption") {
  Damaged log(3, true);
  log.disk.flip_bit(kFirst, 300);
  check_corrupt(log.refused(), 0);
}

TEST_CASE("recovery: a last segment cut from outside is corruption, not a torn tail") {
  Damaged log(3, true);
  REQUIRE(log.disk.open(kFirst, io::OpenMode::read_write).value()->truncate(log.starts[3]));
  check_corrupt(log.refused(), log.starts[3]);
}

TEST_CASE("recovery: a segment under another's name is corruption") {
  Damaged log(3, true);
  REQUIRE(log.disk.rename(kFirst, "log/00000000000000000003.seg"));
  CHECK(log.refused().code == Errc::corruption);
}

TEST_CASE("recovery: leftovers of a segment in the making, and strange files, do no harm") {
  Damaged log(3, true);
  for (const auto* name : {"log/next.tmp", "log/00000000000000000000.idx.tmp", "log/notes.txt"}) {
    REQUIRE(log.disk.open(name, io::OpenMode::create_new).value()->write_at(0, "half"));
  }
  const auto opened = log.open();
  REQUIRE(opened);
  log.model.check_equal(**opened);
  CHECK_FALSE(log.disk.exists("log/next.tmp").value());
}

namespace {

/// A log of several segments.
class DamagedChain {
 public:
  explicit DamagedChain(std::size_t event_bytes_max = 2000) : disk(2), model(2) {
    const auto log = open().value();
    while (segments().size() < 4) {
      ModelBatch batch = model.make_batch(event_bytes_max);
      const auto batch_no = log->append(batch.draft());
      REQUIRE(batch_no);
      REQUIRE(log->sync());
      log->publish(*batch_no);
      REQUIRE(log->maintain());
      model.take(std::move(batch));
    }
  }
  Result<std::unique_ptr<PartitionLog>> open() {
    return PartitionLog::open(disk, "log", kIdentity, kSmall);
  }
  std::vector<std::string> segments() const {
    std::vector<std::string> paths;
    const auto names = disk.list("log").value();
    for (const auto& name : names) {
      if (name.ends_with(".seg")) paths.push_back("log/" + name);
    }
    return paths;
  }
  std::uint64_t size(const std::string& path) {
    return disk.open(path, io::OpenMode::read).value()->size().value();
  }

  SimulatedFileSystem disk;
  LogModel model;
};

}  // namespace

TEST_CASE("recovery: a missing segment is corruption") {
  DamagedChain log;
  REQUIRE(log.disk.remove(log.segments()[1]));
  const auto opened = log.open();
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Errc::corruption);
  CHECK(opened.error().context.find(log.segments()[0]) != std::string::npos);
}

TEST_CASE("recovery: a sealed segment that was cut is corruption, also at a batch's end") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  REQUIRE(log.disk.open(path, io::OpenMode::read_write).value()->truncate(log.size(path) - 8));
  const auto opened = log.open();
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Errc::corruption);
  CHECK(opened.error().context.find(path) != std::string::npos);
}

TEST_CASE("recovery: damage in a sealed segment is found by whoever reads it, with file and byte") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  const std::uint64_t at = log.size(path) - 20;
  log.disk.flip_bit(path, at * 8);
  const auto opened = log.open();
  REQUIRE(opened);  // opening does not read sealed segments
  auto cursor = (*opened)->read(Offset(0)).value();
  std::uint64_t read = 0;
  auto event = cursor->next();
  for (; event && *event; event = cursor->next()) ++read;
  REQUIRE_FALSE(event.has_value());
  CHECK(event.error().code == Errc::corruption);
  CHECK(event.error().context.find(path + " at byte ") != std::string::npos);
  CHECK(cursor->offset() == Offset(read));
  CHECK(cursor->next().error().code == Errc::corruption);  // and it does not go on

  // The rest of the log is served still.
  auto later = (*opened)->read(log.model.end() - 1).value();
  CHECK(later->next().value() != nullptr);
}

TEST_CASE("recovery: with its index gone as well, damage in a sealed segment stops the opening") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  log.disk.flip_bit(path, (log.size(path) - 20) * 8);
  REQUIRE(log.disk.remove(path.substr(0, path.size() - 4) + ".idx"));
  const auto opened = log.open();
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == Errc::corruption);
  CHECK(opened.error().context.find(path) != std::string::npos);
}

TEST_CASE("recovery: a damaged block of an index is made again by the look-up that meets it") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  const std::string index = path.substr(0, path.size() - 4) + ".idx";
  const std::string whole = io::read_file(log.disk, index, 1u << 30).value();
  int met = 0;
  for (std::uint64_t at = 200; at < whole.size(); at += whole.size() / 23) {
    INFO("bit of byte " << at << " of " << whole.size());
    log.disk.flip_bit(index, at * 8);
    const auto opened = log.open();
    REQUIRE(opened);
    if ((*opened)->rebuilt_indexes() == 0) ++met;
    log.model.check_equal(**opened);
    CHECK(io::read_file(log.disk, index, 1u << 30).value() == whole);
  }
  CHECK(met > 10);  // the others were found when it was opened
}

TEST_CASE("recovery: an index that is removed beside the running log is made again") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  const std::string index = path.substr(0, path.size() - 4) + ".idx";
  const std::string whole = io::read_file(log.disk, index, 1u << 30).value();
  const auto opened = log.open();
  REQUIRE(opened);
  REQUIRE(log.disk.remove(index));
  log.model.check_equal(**opened);
  CHECK(io::read_file(log.disk, index, 1u << 30).value() == whole);
}

TEST_CASE("recovery: a segment that is removed beside the running log is damage, and named") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  const auto opened = log.open();
  REQUIRE(opened);
  REQUIRE(log.disk.remove(path));
  const auto version = (*opened)->stream_version("no-such-stream", Offset(UINT64_MAX));
  REQUIRE_FALSE(version.has_value());
  CHECK(version.error().code == Errc::corruption);
  CHECK(version.error().context.find(path) != std::string::npos);
}

TEST_CASE("recovery: who reads a stream when a damaged block is met sees each event once") {
  DamagedChain log(100);  // an index of several blocks
  const std::string path = log.segments()[1];
  const std::string index = path.substr(0, path.size() - 4) + ".idx";
  const std::uint64_t bytes = io::read_file(log.disk, index, 1u << 30).value().size();
  for (const bool backward : {false, true}) {
    for (std::uint64_t at = 200; at < bytes; at += bytes / 23) {
      INFO("bit of byte " << at << " of " << bytes << (backward ? ", backward" : ", forward"));
      log.disk.flip_bit(index, at * 8);
      const auto opened = log.open();
      REQUIRE(opened);
      std::vector<Version> seen;
      REQUIRE((*opened)->read_stream({.stream = "account-3", .backward = backward},
                                     [&](const auto& event) {
                                       seen.push_back(event.record.version);
                                       return true;
                                     }));
      if (backward) std::ranges::reverse(seen);
      CHECK(Version(seen.size()) ==
            (*opened)->stream_version("account-3", Offset(UINT64_MAX)).value());
      for (std::size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == Version(i + 1));
    }
  }
}

TEST_CASE("recovery: an index that cannot be written again serves from memory") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  const std::string index = path.substr(0, path.size() - 4) + ".idx";
  const std::string whole = io::read_file(log.disk, index, 1u << 30).value();
  for (std::uint64_t at = 200; at < whole.size() / 2; at += 512) log.disk.flip_bit(index, at * 8);
  const auto opened = log.open();
  REQUIRE(opened);
  REQUIRE((*opened)->rebuilt_indexes() == 0);
  log.disk.set_room(0);
  log.model.check_equal(**opened);
}

TEST_CASE("recovery: with its index damaged, damage in a sealed segment is named by the look-up") {
  DamagedChain log;
  const std::string path = log.segments()[1];
  const std::string index = path.substr(0, path.size() - 4) + ".idx";
  const std::uint64_t bytes = io::read_file(log.disk, index, 1u << 30).value().size();
  for (std::uint64_t at = 200; at < bytes / 2; at += 512) log.disk.flip_bit(index, at * 8);
  log.disk.flip_bit(path, (log.size(path) - 20) * 8);
  const auto opened = log.open();
  REQUIRE(opened);
  REQUIRE((*opened)->rebuilt_indexes() == 0);
  auto cursor = (*opened)->read(Offset(0)).value();
  auto event = cursor->next();
  while (event && *event) event = cursor->next();
  REQUIRE_FALSE(event);  // it goes by the segments
  std::optional<Error> found;
  for (std::uint64_t i = 0; i < 100 && !found; ++i) {
    const auto version = (*opened)->stream_version("no-" + std::to_string(i), Offset(UINT64_MAX));
    if (!version) found = version.error();
  }
  REQUIRE(found);
  CHECK(found->code == Errc::corruption);
  CHECK(found->context.find(path + ": ") == 0);
}
