// Sealed segments in less room: the same log.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/codec.h"
#include "engine/log/compressed_segment.h"
#include "engine/log/log_inspector.h"
#include "engine/log/log_verifier.h"
#include "engine/log/open_segment.h"
#include "engine/log/partition_log.h"
#include "tests/engine/log/modelled_log.h"

using namespace keelson;
using namespace keelson::test;
using log::CompressedSegment;

namespace {

constexpr Uuid kIdentity = ModelledLog::kIdentity;
constexpr std::uint64_t kSegmentBytes = ModelledLog::kSegmentBytes;

/// A log whose sealed segments are compressed, beside its model.
class CompressedLog : public ModelledLog {
 public:
  explicit CompressedLog(std::uint64_t seed = 1) : ModelledLog(seed) {
    options.sealed_codec = log::Codec::zstd;
    open();
  }

  /// Until so many segments are sealed.
  void fill(std::size_t sealed) { ModelledLog::fill(".idx", sealed); }

  [[nodiscard]] std::string bytes_of(const std::string& path) {
    const auto file = disk.open(path, io::OpenMode::read).value();
    return file->read_at(0, file->size().value()).value();
  }

  /// CHECKs that the log answers as its model does, and that nothing on the disk is amiss.
  void check() {
    model.check_equal(**this);
    const auto report = log::verify_log(disk, "log", kIdentity);
    for (const auto& finding : report.findings) {
      CHECK_MESSAGE(false, finding.file, ": ", finding.what);
    }
    CHECK(report.events == model.end().value);
  }
};

/// In memory; of what the `worn`-th write writes a byte is another.
class WornFile final : public io::File {
 public:
  explicit WornFile(std::size_t worn) : worn_(worn) {}
  Result<std::uint64_t> size() const override { return bytes_.size(); }
  Result<std::string> read_at(std::uint64_t position, std::size_t length) const override {
    return bytes_.substr(position, length);
  }
  Result<void> write_at(std::uint64_t position, std::string_view bytes) override {
    bytes_.resize(std::max(bytes_.size(), position + bytes.size()));
    bytes_.replace(position, bytes.size(), bytes);
    if (++writes_ == worn_) bytes_[position + bytes.size() / 2] ^= 1;
    return {};
  }
  Result<void> write_zeros(std::uint64_t, std::uint64_t) override { return {}; }
  Result<void> allocate(std::uint64_t) override { return {}; }
  Result<void> truncate(std::uint64_t) override { return {}; }
  void begin_sync(std::uint64_t, std::uint64_t) override {}
  Result<void> sync() override { return {}; }
  Result<std::string_view> view() override { return bytes_; }

 private:
  const std::size_t worn_;
  std::size_t writes_ = 0;
  std::string bytes_;
};

}  // namespace

TEST_CASE("compression: the log is the same, before and after a start, and takes less room") {
  CompressedLog log;
  log.fill(20);
  CHECK(log.files(".seg.zst").size() == 18);
  CHECK(log.files(".seg").size() == 3);
  std::uint64_t stored = 0;
  for (const auto& file : log.files(".seg.zst")) stored += log.bytes_of(file).size();
  CHECK(stored < 18 * kSegmentBytes / 2);
  log.check();
  log.open();
  CHECK(log->rebuilt_indexes() == 0);
  log.check();
  log.fill(22);
  log.check();
}

TEST_CASE("compression: each segment is what it was, byte by byte") {
  CompressedLog log;
  log.options.sealed_codec = log::Codec::none;
  log.open();
  log.fill(6);
  log.close();
  std::vector<std::string> plain;
  for (const auto& file : log.files(".seg")) plain.push_back(log.bytes_of(file));
  log.options.sealed_codec = log::Codec::zstd;
  log.open();
  log.maintain();
  const auto compressed = log.files(".seg.zst");
  REQUIRE(compressed.size() == 4);
  for (std::size_t i = 0; i < compressed.size(); ++i) {
    const auto opened =
        CompressedSegment::open(log.disk.open(compressed[i], io::OpenMode::read).value()).value();
    REQUIRE(opened->need(0, UINT64_MAX));
    CHECK(opened->bytes() == plain[i]);
  }
}

TEST_CASE("compression: a part of a segment is decompressed when it is needed, and no more") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("log"));
  const auto plain = disk.open("log/plain", io::OpenMode::create_new).value();
  std::string bytes;
  for (std::uint64_t i = 0; bytes.size() < (5u << 20) + 77; ++i) bytes += std::to_string(i * i);
  bytes.resize((5u << 20) + 77);
  REQUIRE(plain->write_at(0, bytes));
  REQUIRE(log::compress_segment(*plain, bytes.size(),
                                *disk.open("log/it", io::OpenMode::create_new).value()));
  const auto open = [&] {
    return CompressedSegment::open(disk.open("log/it", io::OpenMode::read).value()).value();
  };
  const auto segment = open();
  CHECK(segment->bytes().size() == bytes.size());
  CHECK(segment->inflated_bytes() == 0);
  REQUIRE(segment->need(0, 4096));
  CHECK(segment->inflated_bytes() == 4096);
  for (const std::uint64_t at : {std::uint64_t{4095}, std::uint64_t{(1u << 20) + 4095},
                                 std::uint64_t{3'000'000}, std::uint64_t{bytes.size() - 2}}) {
    CAPTURE(at);
    const auto part = open();
    REQUIRE(part->need(at, 2));
    CHECK(part->bytes().substr(at, 2) == bytes.substr(at, 2));
    CHECK(part->inflated_bytes() <= (2u << 20));
  }
  REQUIRE(segment->need(bytes.size(), 1));  // nothing is there: nothing is needed
  REQUIRE(segment->need(0, UINT64_MAX));
  CHECK(segment->bytes() == bytes);
}

TEST_CASE("compression: a copy that is not the segment is not taken for it") {
  WornFile plain(0);
  std::string bytes;
  for (std::uint64_t i = 0; bytes.size() < (3u << 20); ++i) bytes += std::to_string(i * i);
  REQUIRE(plain.write_at(0, bytes));
  // Four frames, then the table, which says by itself whether it is whole.
  for (std::size_t worn = 1; worn <= 4; ++worn) {
    CAPTURE(worn);
    WornFile copy(worn);
    const auto done = log::compress_segment(plain, bytes.size(), copy);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == Errc::io_error);
  }
  WornFile copy(0);
  CHECK(log::compress_segment(plain, bytes.size(), copy));
}

TEST_CASE("compression: whichever call of the disk fails or is the last, the log is whole") {
  for (const bool power : {false, true}) {
    for (std::uint64_t nth = 0;; ++nth) {
      CAPTURE(power);
      CAPTURE(nth);
      CompressedLog log(1 + nth);
      log.options.sealed_codec = log::Codec::none;
      log.open();
      log.fill(5);
      log.options.sealed_codec = log::Codec::zstd;
      log.open();
      std::uint64_t calls = 0;
      bool failed = false;
      log.disk.set_fault([&](DiskCall, const std::string&) -> std::optional<Errc> {
        if (calls++ < nth) return std::nullopt;
        failed = true;
        return Errc::disk_full;
      });
      while (log->compression_due() && log->compress()) {
      }
      log.disk.set_fault(nullptr);
      if (power) {
        log.disk.cut_power();
      } else {
        if (failed) log.check();
        log.disk.kill();
      }
      log.open();
      log.check();
      log.maintain();
      log.check();
      CHECK(log.files(".seg.zst").size() == 3);
      CHECK(log.files(".tmp").size() <= 1);  // the next segment
      if (!failed) break;
    }
  }
}

TEST_CASE("compression: a damaged frame is named by whoever reads it, and by verify") {
  CompressedLog log;
  log.fill(6);
  log.close();
  const std::string file = log.files(".seg.zst")[1];
  log.disk.flip_bit(file, 8 * log.bytes_of(file).size() / 2);
  log.open();
  const auto cursor = log->read(Offset(0)).value();
  auto event = cursor->next();
  while (event && *event) event = cursor->next();
  REQUIRE_FALSE(event.has_value());
  CHECK(event.error().code == Errc::corruption);
  CHECK(event.error().context.find(file) != std::string::npos);
  const auto report = log::verify_log(log.disk, "log", kIdentity);
  REQUIRE(report.findings.size() >= 1);
  CHECK(report.findings.front().kind == log::LogFinding::Kind::lost);
  CHECK(report.findings.front().file == file);
}

TEST_CASE("compression: every flipped bit of the table, and every cut, is damage or does no harm") {
  SimulatedFileSystem disk(1);
  REQUIRE(disk.create_folders("log"));
  CompressedLog log;
  log.fill(4);
  const std::string good = log.bytes_of(log.files(".seg.zst").front());
  const auto whole = [&](const std::string& bytes) -> Result<std::string> {
    [[maybe_unused]] const auto removed = disk.remove("log/it");
    const auto file = disk.open("log/it", io::OpenMode::create_new).value();
    REQUIRE(file->write_at(0, bytes));
    KEELSON_TRY_ASSIGN(const auto opened,
                       CompressedSegment::open(disk.open("log/it", io::OpenMode::read).value()));
    KEELSON_TRY(opened->need(0, UINT64_MAX));
    return std::string(opened->bytes());
  };
  const std::string plain = whole(good).value();
  for (std::size_t bit = 8 * (good.size() - 200); bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    const auto read = whole(bytes);
    if (read) CHECK(*read == plain);
  }
  for (std::size_t length = 0; length < good.size(); length += 1 + length / 50) {
    CHECK_FALSE(whole(good.substr(0, length)).has_value());
  }
}

TEST_CASE(
    "compression: an index of a compressed segment is made again when it is gone or damaged") {
  CompressedLog log;
  log.fill(6);
  SUBCASE("gone") {
    log.close();
    REQUIRE(log.disk.remove(log.files(".idx").front()));
    log.open();
    CHECK(log->rebuilt_indexes() == 1);
  }
  SUBCASE("damaged, found by a look-up") {
    log.close();
    log.disk.flip_bit(log.files(".idx").front(), 8 * 300);
    log.open();
  }
  log.check();
  log.open();
  CHECK(log->rebuilt_indexes() == 0);
  log.check();
}

TEST_CASE("compression: retention removes compressed segments as well") {
  CompressedLog log;
  log.options.retention.bytes = 4 * kSegmentBytes;
  log.open();
  log.fill(10);
  REQUIRE(log->retain(TimeUs(0)));
  CHECK(log->start() > Offset(0));
  CHECK(log.files(".seg.zst").size() <= 4);
  log.open();
  CHECK(log->read(log->start()).value()->next().value() != nullptr);
  CHECK(log::verify_log(log.disk, "log", kIdentity).findings.empty());
}

TEST_CASE("compression: the memory that decompressed segments take is bounded") {
  CompressedLog log;
  const auto bound = std::make_shared<log::OpenSegments>(256, 3 * kSegmentBytes);
  log.options.open_segments = bound;
  log.open();
  log.fill(12);
  log.check();
  CHECK(bound->memory_bytes() > 0);
  CHECK(bound->memory_bytes() <= 3 * kSegmentBytes);
}

TEST_CASE("compression: what is compressed can be inspected") {
  CompressedLog log;
  log.fill(5);
  const log::LogInspector inspector(log.disk, "log", kIdentity);
  const auto segments = inspector.segments().value();
  REQUIRE(segments.size() == 6);
  CHECK(segments.front().file.ends_with(".seg.zst"));
  CHECK(inspector.batches(BatchNo(0), 3).value().size() == 3);
  CHECK(inspector.event(Offset(0)).value()->version == Version(1));
}

// --- batches ---

TEST_CASE("compression: a log of compressed batches answers as its model does") {
  for (const bool sealed : {false, true}) {
    CAPTURE(sealed);
    CompressedLog log(7);
    log.options.codec = log::Codec::zstd;
    log.options.sealed_codec = sealed ? log::Codec::zstd : log::Codec::none;
    log.open();
    log.fill(8);
    const log::LogInspector inspector(log.disk, "log", kIdentity);
    const auto batches = inspector.batches(BatchNo(0), 200).value();
    const auto compressed = std::ranges::count_if(batches, [](const log::BatchInfo& batch) {
      return batch.header.codec == log::Codec::zstd;
    });
    CHECK(compressed > 10);
    CHECK(compressed < std::ssize(batches));  // small ones and control batches are left alone
    log.check();
    log.open();
    log.check();
    // The codec can be another one with each batch.
    log.options.codec = log::Codec::none;
    log.open();
    log.fill(11);
    log.check();
  }
}

TEST_CASE("compression: a bit flipped in a compressed batch is found as in any other") {
  CompressedLog log(7);
  log.options.codec = log::Codec::zstd;
  log.options.sealed_codec = log::Codec::none;
  log.open();
  log.fill(3);
  const log::LogInspector inspector(log.disk, "log", kIdentity);
  const auto batches = inspector.batches(BatchNo(0), 50).value();
  const auto batch = std::ranges::find_if(
      batches, [](const log::BatchInfo& found) { return found.header.codec == log::Codec::zstd; });
  REQUIRE(batch != batches.end());
  log.close();
  log.disk.flip_bit(batch->file, 8 * (batch->position + batch->header.length - 10));
  log.open();
  const auto cursor = log->read(Offset(0)).value();
  auto event = cursor->next();
  while (event && *event != nullptr) event = cursor->next();
  REQUIRE_FALSE(event.has_value());
  CHECK(event.error().code == Errc::corruption);
  CHECK(event.error().context.find("at byte " + std::to_string(batch->position)) !=
        std::string::npos);
}

TEST_CASE("compression: a body is decompressed to what it was, and nothing else is taken for one") {
  log::BodyCompressor compressor;
  std::string body;
  for (int i = 0; i < 500; ++i) body += "event number " + std::to_string(i);
  const std::string good(compressor.compress(body).value());
  CHECK(good.size() < body.size() / 3);
  CHECK(log::decompress_body(good, body.size()).value() == body);
  CHECK(log::decompress_body(good + std::string(7, '\0'), body.size()).value() == body);
  CHECK(log::decompress_body(good, body.size() - 1).error().code == Errc::corruption);
  CHECK(log::decompress_body("", 1000).error().code == Errc::corruption);
  CHECK(log::decompress_body(body, 1000).error().code == Errc::corruption);
  for (std::size_t length = 0; length < good.size(); length += 7) {
    CHECK_FALSE(log::decompress_body(good.substr(0, length), body.size()).has_value());
  }
  CHECK_FALSE(compressor.compress("short").has_value());
  std::mt19937_64 random(1);
  std::string noise(4096, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  CHECK_FALSE(compressor.compress(noise).has_value());
}

TEST_CASE("compression: a segment holds no more events than would fit uncompressed") {
  CompressedLog log(8);
  log.options.codec = log::Codec::zstd;
  log.options.sealed_codec = log::Codec::none;
  log.open();
  // As compressible as can be.
  Offset end;
  for (int i = 0; i < 60; ++i) {
    log::BodyWriter body;
    log::CommitHeader header;
    header.event_count = 100;
    body.begin_commit(header);
    for (std::uint64_t n = 1; n <= 100; ++n) {
      body.add_event({"s", Version(end.value + n), "t", TimeUs(1), "{}", ""});
    }
    body.end_commit();
    log::BatchDraft draft;
    draft.epoch = Epoch(1);
    draft.base_offset = end;
    draft.time = TimeUs(1);
    draft.body = body.take();
    const auto number = log->append(draft);
    REQUIRE_MESSAGE(number.has_value(), (number ? "" : number.error().message()));
    REQUIRE(log->sync());
    log->publish(*number);
    end = Offset(end.value + 100);
  }
  CHECK(log.files(".seg").size() >= 1 + 6060 / (kSegmentBytes / 36));
  CHECK(log->stream_version("s", log->end()).value() == Version(6000));
  log.open();
  CHECK(log->stream_version("s", log->end()).value() == Version(6000));
}

TEST_CASE("compression: what is replaced or removed is not held open") {
  CompressedLog log;
  const auto bound = std::make_shared<log::OpenSegments>();
  log.options.open_segments = bound;
  log.options.sealed_codec = log::Codec::none;
  log.options.retention.bytes = 4 * kSegmentBytes;
  log.open();
  log.fill(10);
  log.model.check_equal(*log);
  CHECK(bound->size() >= 10);
  REQUIRE(log->retain(TimeUs(0)));
  CHECK(bound->size() <= 5);
}

TEST_CASE("compression: verify and inspect see a whole log while it is compressed and shortened") {
  CompressedLog log;
  log.options.sealed_codec = log::Codec::none;
  log.open();
  log.fill(12);
  log.options.sealed_codec = log::Codec::zstd;
  log.options.retention.bytes = 8 * kSegmentBytes;
  log.open();
  // As a server does it, between what verify reads.
  int segments = 0;
  const auto report =
      log::verify_log(log.disk, "log", kIdentity, {.read_bytes = [&](std::uint64_t) {
                        ++segments;
                        REQUIRE(log->compress());
                        if (segments == 2) REQUIRE(log->retain(TimeUs(0)));
                      }});
  CHECK(log->start() > Offset(0));
  for (const auto& finding : report.findings) CHECK_MESSAGE(false, finding.file, finding.what);
  const log::LogInspector inspector(log.disk, "log", kIdentity);
  CHECK(inspector.segments().value().front().start.end == log->start());
}
