// Untrusted bytes through every decoder of the log. No input may crash, read out of bounds or take
// long; what the decoders accept must fit together.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/coding.h"
#include "engine/log/batch.h"
#include "engine/log/index_feed.h"
#include "engine/log/log_format.h"
#include "engine/log/record.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_scan.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson;
using namespace keelson::log;
using keelson::fuzz::within;

/// That of the golden bytes in tests/engine/log/golden_test.cpp, from which the corpus starts.
Uuid golden_identity() {
  Uuid identity;
  for (std::size_t i = 0; i < identity.bytes.size(); ++i) {
    identity.bytes[i] = static_cast<std::byte>(0x10 + i);
  }
  return identity;
}
const Uuid kIdentity = golden_identity();

/// Walks `body`, adding events to `tree`; false when it is malformed. What is well-formed is
/// written in one way only: encoding what was decoded gives the same bytes.
bool walk(std::string_view body, std::uint32_t events, std::uint32_t commits,
          MerkleFrontier& tree) {
  BodyReader reader(body, events, commits);
  BodyWriter writer;
  std::uint32_t seen = 0;
  while (true) {
    const auto commit = reader.next_commit();
    if (!commit) return false;
    if (*commit == nullptr) break;
    KEELSON_ASSERT(within((*commit)->header.key.id, body));
    KEELSON_ASSERT(within((*commit)->header.detail, body));
    writer.begin_commit((*commit)->header);
    while (true) {
      const auto event = reader.next_event();
      if (!event) return false;
      if (*event == nullptr) break;
      KEELSON_ASSERT(within((*event)->leaf, body));
      KEELSON_ASSERT(within((*event)->record.metadata, body));
      tree.add((*event)->leaf);
      writer.add_event((*event)->record);
      ++seen;
    }
    writer.end_commit();
  }
  const BatchBody again = writer.take();
  KEELSON_ASSERT(seen == events && again.event_count() == events);
  KEELSON_ASSERT(again.commit_count == commits);
  KEELSON_ASSERT(body.starts_with(again.bytes));
  KEELSON_ASSERT(body.substr(again.bytes.size()).find_first_not_of('\0') == body.npos);
  return true;
}

/// `input` as the bytes after a segment's header: as they are, checksums and all.
void scan_as_is(std::string_view input) {
  const std::string segment = std::string(kSegmentHeaderBytes, '\0') + std::string(input);
  TailIndex index(64u << 10);
  const KeyHasher hasher(kIdentity);
  const auto scan = scan_tail(segment, {}, checksum_seed(kIdentity), [&](const StoredBatch& batch) {
    return add_to_index(index, hasher, {}, batch);
  });
  if (scan) KEELSON_ASSERT(scan->position <= segment.size());
}

/// `input` as a batch's counts and body, with all that guards them set right: what gets past the
/// checksums must still be taken apart safely.
void scan_as_body(std::string_view input) {
  if (input.size() < 4) return;
  BatchHeader header;
  header.event_count = get<std::uint16_t>(input, 0);
  header.commit_count = get<std::uint16_t>(input, 2);
  std::string body(input.substr(4));
  header.length = static_cast<std::uint32_t>(kBatchHeaderBytes + body.size());
  body.resize(align_batch(body.size()), '\0');
  MerkleFrontier tree;
  const bool good = walk(body, header.event_count, header.commit_count, tree);
  header.tree_root = tree.root();
  header.body_checksum = checksum(body, checksum_seed(kIdentity));
  const auto bytes = encode_batch_header(header, checksum_seed(kIdentity));
  const std::string segment =
      std::string(kSegmentHeaderBytes, '\0') + std::string(bytes.data(), bytes.size()) + body;
  const auto ignore = [](const StoredBatch&) -> Result<void> { return {}; };
  const auto scan = scan_tail(segment, {}, checksum_seed(kIdentity), ignore);
  KEELSON_ASSERT(scan.has_value() == good);
  if (good) KEELSON_ASSERT(scan->end.point.end == Offset(header.event_count));
}

/// `input` as the headers of a batch and of a segment: once with the checksum it has, once with the
/// right one. Which bytes are accepted is what would be written.
void headers(std::string_view input) {
  std::string batch(input.substr(0, std::min(input.size(), kBatchHeaderBytes)));
  batch.resize(kBatchHeaderBytes, '\0');
  static_cast<void>(decode_batch_header(batch, checksum_seed(kIdentity)));
  put(batch.data(), kBatchMagic);
  std::size_t end = kBatchHeaderBytes - 8;
  put(batch.data() + end, checksum(batch.substr(0, end), checksum_seed(kIdentity)));
  if (const auto header = decode_batch_header(batch, checksum_seed(kIdentity))) {
    const auto bytes = encode_batch_header(*header, checksum_seed(kIdentity));
    KEELSON_ASSERT(std::string_view(bytes.data(), bytes.size()) == batch);
    KEELSON_ASSERT(header->length >= kBatchHeaderBytes && header->length <= kBatchBytesMax);
    if (header->kind == BatchKind::control) {
      KEELSON_ASSERT(header->event_count == 0 && header->commit_count == 0);
    }
  }

  std::string segment(input.substr(0, std::min(input.size(), kSegmentHeaderBytes)));
  segment.resize(kSegmentHeaderBytes, '\0');
  static_cast<void>(decode_segment_header(segment, kIdentity));
  end = kSegmentHeaderBytes - 8;
  put(segment.data() + end, checksum(std::string_view(segment).substr(0, end), 0));
  if (const auto header = decode_segment_header(segment, kIdentity)) {
    KEELSON_ASSERT(encode_segment_header(*header) == segment);
  }
}

void segment_names(std::string_view name) {
  if (const auto first = parse_segment_name(name)) KEELSON_ASSERT(segment_name(*first) == name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > (1u << 16)) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: scan_as_body(input); break;
    case 1: scan_as_is(input); break;
    case 2:
      headers(input);
      segment_names(input);
      break;
    default:
      // Frames at any position, as an index might say.
      for (std::size_t at = 0; at <= input.size(); ++at) {
        const auto commit = decode_commit(input, at);
        if (commit) KEELSON_ASSERT(commit->end <= input.size());
        const auto event = decode_event(input, at);
        if (event) KEELSON_ASSERT(event->end <= input.size() && event->commit_position < at);
      }
      break;
  }
  return 0;
}
