// The small records a store keeps beside its log, and positions: what is read is what would be
// written. The first byte says as what the rest is read.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "aggregates/hash.h"
#include "aggregates/snapshot_store.h"
#include "engine/base/check.h"
#include "engine/log/batch.h"
#include "engine/store/group_offset.h"
#include "engine/store/names.h"
#include "engine/store/position.h"
#include "engine/store/topic_record.h"
#include "tests/fuzz/input.h"
#include "tests/support/simulated_file_system.h"

namespace {

using namespace keelson;

/// The last line of a topic's record, as docs/log-format.md has it.
std::string checksum_line(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::uint64_t hash = log::checksum(text, 0);
  std::string line = "checksum ";
  for (int shift = 60; shift >= 0; shift -= 4) line += kDigits[hash >> shift & 15];
  return line + "\n";
}

/// Once with the checksum it has, once with the right one.
void topic_record(std::string_view text) {
  for (const std::string& record : {std::string(text), std::string(text) + checksum_line(text)}) {
    const auto decoded = decode_topic_record(record);
    if (!decoded) continue;
    KEELSON_ASSERT(encode_topic_record(*decoded) == record);
    KEELSON_ASSERT(decoded->options.partitions >= 1 && decoded->options.partitions <= 1024);
    KEELSON_ASSERT(decoded->options.segment_bytes >= 64u << 10);
    KEELSON_ASSERT(decoded->options.segment_bytes <= 1u << 30);
  }
}

void group_offset(std::string_view bytes) {
  if (const auto offset = decode_group_offset(bytes)) {
    KEELSON_ASSERT(encode_group_offset(*offset) == bytes);
  } else {
    KEELSON_ASSERT(bytes.size() != sizeof(std::uint64_t));
  }
}

void position(std::size_t partitions, std::string_view text) {
  const auto parsed = Position::parse(text, partitions);
  if (!parsed) return;
  KEELSON_ASSERT(parsed->partitions() == partitions);
  KEELSON_ASSERT(parsed->covers(*parsed));
  const auto again = Position::parse(parsed->to_string(), partitions);
  KEELSON_ASSERT(again && *again == *parsed);
}

void names(std::string_view text) {
  const Limits limits;
  for (const auto check : {check_stream_name, check_event_type}) {
    if (!check(text, limits)) continue;
    KEELSON_ASSERT(!text.empty() && text.size() <= limits.name_bytes_max && is_utf8(text));
    KEELSON_ASSERT(text.front() != '$' && text.find('\0') == text.npos);
  }
  if (check_topic_name(text, limits)) {
    // It names a folder.
    KEELSON_ASSERT(text != "." && text != ".." && text.find('/') == text.npos);
    KEELSON_ASSERT(check_stream_name(text, limits).has_value());
  }
  KEELSON_ASSERT(fuzz::within(stream_type(text), text) && fuzz::within(stream_id(text), text));
}

/// `body` as a snapshot's file, once with a wrong hash and once with the right one.
void snapshot(std::string_view body) {
  using namespace keelson::aggregates;
  if (body.empty()) return;
  constexpr std::string_view kStream = "s";
  const std::string name = to_hex(hash128({kStream}));
  const std::string path = "f/" + name.substr(0, 2) + "/" + name.substr(2) + ".snapshot";
  test::SimulatedFileSystem files(1);
  KEELSON_ASSERT(files.create_folders("f/" + name.substr(0, 2)).has_value());
  SnapshotStore store(files, "f");

  const auto put = [&](std::string_view bytes) {
    KEELSON_ASSERT(io::replace_file(files, path, bytes).has_value());
    return store.find(kStream);
  };
  // As it is, it would have to name its own hash.
  const std::string_view rest = body.substr(std::min(body.find('\n'), body.size() - 1) + 1);
  if (put(body)) KEELSON_ASSERT(body.find(to_hex(hash128({rest}))) != body.npos);
  const auto found =
      put("keelson-snapshot 1 " + to_hex(hash128({body})) + "\n" + std::string(body));
  if (!found) return;
  KEELSON_ASSERT(found->stream == kStream);
  KEELSON_ASSERT(body.ends_with(found->state));
  KEELSON_ASSERT(store.save(*found).has_value());
  const auto again = store.find(kStream);
  KEELSON_ASSERT(again && again->version == found->version && again->offset == found->offset);
  KEELSON_ASSERT(again->event == found->event && again->code_version == found->code_version);
  KEELSON_ASSERT(again->state == found->state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keelson::fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const std::string_view text = input.rest();
  switch (mode % 5) {
    case 0: topic_record(text); break;
    case 1: group_offset(text); break;
    case 2: position(mode / 5 % 4 + 1u, text); break;
    case 3: names(text); break;
    default: snapshot(text); break;
  }
  return 0;
}
