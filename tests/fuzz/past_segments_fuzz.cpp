// Untrusted bytes as the indexes of segments that retention has removed. Nothing can make them
// again, so what they say is all there is: they are read in order and without a gap, or refused;
// and what is still in the log is found whatever they say. The first byte says as what the rest is
// read.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/io/file_system.h"
#include "engine/log/partition_log.h"
#include "engine/log/past_segments.h"
#include "engine/log/sealed_index_format.h"
#include "engine/log/sealed_index_writer.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_sealer.h"
#include "tests/fuzz/input.h"
#include "tests/support/simulated_file_system.h"

namespace {

using namespace keelson;
using namespace keelson::log;
using keelson::fuzz::Input;

constexpr Uuid kIdentity{{std::byte{7}}};
constexpr std::uint32_t kSegmentsMax = 4;

std::uint32_t word(Input& input) { return std::uint32_t{input.byte()} << 8 | input.byte(); }

/// A log of `kBatches` segments with a batch each, of which the first `kRemoved` are removed. Batch
/// i has an event of stream `s-i` and one of stream `hot`, committed by command i.
class RetainedLog {
 public:
  static constexpr std::uint64_t kBatches = 6;
  static constexpr std::uint64_t kRemoved = 3;
  static constexpr std::uint64_t kSegmentBytes = 64u << 10;

  RetainedLog() {
    const auto log = open(disk_, Opening::make_if_missing);
    KEELSON_ASSERT(log.has_value());
    for (std::uint64_t i = 0; i < kBatches; ++i) append(**log, i);
    Retention retention;
    retention.bytes = (kBatches - kRemoved - 1) * 60'000;
    (*log)->set_retention(retention);
    KEELSON_ASSERT((*log)->retain(TimeUs(2)).has_value());
    KEELSON_ASSERT((*log)->start() == Offset(2 * kRemoved));
  }

  [[nodiscard]] static Result<std::unique_ptr<PartitionLog>> open(io::FileSystem& files,
                                                                  Opening opening) {
    return PartitionLog::open(files, "log", kIdentity,
                              {.segment_bytes = kSegmentBytes, .opening = opening});
  }
  [[nodiscard]] static CommandKey command(const std::string& number) { return {"p", "s", number}; }
  [[nodiscard]] test::SimulatedFileSystem::Image image() const { return disk_.image(); }

 private:
  static void append(PartitionLog& log, std::uint64_t i) {
    const std::string number = std::to_string(i);
    const std::string data(60'000, 'd');
    CommitHeader header;
    header.key = command(number);
    header.event_count = 2;
    BodyWriter writer;
    writer.begin_commit(header);
    writer.add_event({"s-" + number, Version(1), "t", TimeUs(1), data, ""});
    writer.add_event({"hot", Version(i + 1), "t", TimeUs(1), "", ""});
    writer.end_commit();
    BatchDraft draft;
    draft.epoch = Epoch(1);
    draft.base_offset = Offset(2 * i);
    draft.time = TimeUs(1);
    draft.body = writer.take();
    const auto batch = log.append(draft);
    KEELSON_ASSERT(batch.has_value() && log.sync().has_value());
    log.publish(*batch);
    while (log.maintenance_due()) KEELSON_ASSERT(log.maintain().has_value());
  }

  test::SimulatedFileSystem disk_{1};
};

/// Indexes made of the bytes of `input`, each following the one before where `input` does not say
/// otherwise.
void read_chain(Input input) {
  test::SimulatedFileSystem disk(1);
  KEELSON_ASSERT(disk.create_folders("log").has_value());
  BatchNo batch;
  Offset offset;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kSegmentsMax && !input.empty(); ++i) {
    const std::uint8_t wrong = input.byte();
    std::string bytes(input.bytes(word(input)));
    if (bytes.size() >= index_header::kBytes) {
      Uuid owner = kIdentity;
      owner.bytes[0] ^= static_cast<std::byte>(wrong & 1);
      bytes_of(owner.bytes).copy(bytes.data() + index_header::kPartition, owner.bytes.size());
      put(bytes.data() + index_header::kFirstBatch, batch.value + (wrong >> 1 & 1));
      put(bytes.data() + index_header::kBaseOffset, offset.value + (wrong >> 2 & 1));
      set_index_checksums(bytes);
    }
    const std::string name = past_path(segment_name(batch + (wrong >> 3 & 1)));
    KEELSON_ASSERT(io::replace_file(disk, "log/" + name, bytes).has_value());
    names.push_back(name);
    if (bytes.size() >= index_header::kBytes) {
      const IndexCounts counts = read_index_counts(bytes);
      batch = batch + counts.batches;
      offset = offset + counts.events;
    }
  }
  // In whatever order a folder lists them.
  std::ranges::reverse(names);
  names.push_back("00000000000000000000.seg");
  names.push_back("1.past");
  const auto past = read_past(disk, "log", kIdentity, names);
  if (!past) {
    KEELSON_ASSERT(past.error().code == Errc::corruption ||
                   past.error().code == Errc::unsupported_format);
    return;
  }
  BatchNo next;
  Offset end;
  for (std::size_t i = 0; i < past->segments.size(); ++i) {
    const PastSegment& segment = past->segments[i];
    KEELSON_ASSERT(segment.start.next_batch >= next && segment.start.end >= end);
    KEELSON_ASSERT(past->contains(segment.start.next_batch));
    KEELSON_ASSERT(i > 0 || segment.start.next_batch == BatchNo(0));
    next = segment.start.next_batch;
    end = segment.start.end;
  }
  KEELSON_ASSERT(past->end.next_batch >= next && past->end.end >= end);
}

/// Whether a look-up in `log` gives one of what it may give.
void look_up(const PartitionLog& log) {
  for (std::uint64_t i = 0; i < RetainedLog::kBatches; ++i) {
    const std::string number = std::to_string(i);
    const auto commit = log.find_command(RetainedLog::command(number));
    const auto version = log.stream_version("s-" + number, log.end());
    if (i >= RetainedLog::kRemoved) {
      // The newest segments are searched first: what is removed cannot hide them.
      KEELSON_ASSERT(commit && *commit && (*commit)->first == Offset(2 * i));
      KEELSON_ASSERT(version && *version == Version(1));
    } else {
      // Of what is removed no outcome is made up.
      KEELSON_ASSERT(!commit || !*commit);
    }
    static_cast<void>(log.end_at(TimeUs(static_cast<std::int64_t>(i))));
  }
  static_cast<void>(log.stream_version("hot", Offset(2)));
  std::uint64_t events = 0;
  static_cast<void>(
      log.read_stream({.stream = "hot", .backward = true}, [&](const FoundEvent& event) {
        ++events;
        return event.record.stream == "hot";
      }));
  KEELSON_ASSERT(events == RetainedLog::kBatches - RetainedLog::kRemoved);
  KEELSON_ASSERT(!log.read(Offset(0)));
  const auto cursor = log.read(log.start());
  KEELSON_ASSERT(cursor.has_value());
}

/// A log whose removed segments' indexes are changed as `input` says.
void open_log(Input input) {
  static const RetainedLog log;
  static const auto image = log.image();
  auto changed = image;
  std::vector<std::string*> indexes;
  for (auto& [path, bytes] : changed) {
    if (path.ends_with(".past")) indexes.push_back(&bytes);
  }
  KEELSON_ASSERT(indexes.size() == RetainedLog::kRemoved);
  const std::uint8_t flags = input.byte();
  while (!input.empty()) {
    std::string& bytes = *indexes[input.byte() % indexes.size()];
    const std::uint32_t at = word(input);
    if (at < bytes.size()) bytes[at] = static_cast<char>(input.byte());
  }
  for (std::string* bytes : indexes) {
    if ((flags & 1) == 0) set_index_checksums(*bytes);
  }
  const bool as_before = changed == image;
  test::SimulatedFileSystem disk(1);
  disk.restore(changed);
  const auto opened = RetainedLog::open(disk, Opening::existing);
  if (!opened) {
    KEELSON_ASSERT(!as_before);
    KEELSON_ASSERT(opened.error().code == Errc::corruption ||
                   opened.error().code == Errc::unsupported_format);
    KEELSON_ASSERT(disk.image() == changed);  // what is damaged stays as it is
    return;
  }
  KEELSON_ASSERT((*opened)->start() == Offset(2 * RetainedLog::kRemoved));
  KEELSON_ASSERT((*opened)->end() == Offset(2 * RetainedLog::kBatches));
  look_up(**opened);
  const bool right_checksums = (flags & 1) == 0;
  for (std::uint64_t i = 0; i < RetainedLog::kRemoved; ++i) {
    // Damage that a checksum shows never makes a command that was decided look new.
    const auto commit = (*opened)->find_command(RetainedLog::command(std::to_string(i)));
    if (as_before || !right_checksums) KEELSON_ASSERT(!commit);
    if (as_before) KEELSON_ASSERT(commit.error().code == Errc::below_start);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  if (input.byte() % 2 == 0) {
    read_chain(input);
  } else {
    open_log(input);
  }
  return 0;
}
