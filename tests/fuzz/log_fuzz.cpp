// Untrusted bytes through every decoder of the log. No input may crash, read out of bounds or take
// long; what the decoders accept must fit together.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/log/batch.h"
#include "engine/log/coding.h"
#include "engine/log/index_feed.h"
#include "engine/log/log_format.h"
#include "engine/log/record.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_scan.h"

namespace {

using namespace keelson;
using namespace keelson::log;

/// That of the golden bytes in tests/engine/log/golden_test.cpp, from which the corpus starts.
Uuid golden_identity() {
  Uuid identity;
  for (std::size_t i = 0; i < identity.bytes.size(); ++i) {
    identity.bytes[i] = static_cast<std::byte>(0x10 + i);
  }
  return identity;
}
const Uuid kIdentity = golden_identity();

bool within(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

/// Walks `body`, adding events to `tree`; false when it is malformed.
bool walk(std::string_view body, std::uint32_t events, std::uint32_t commits,
          MerkleFrontier& tree) {
  BodyReader reader(body, events, commits);
  std::uint32_t seen = 0;
  while (true) {
    const auto commit = reader.next_commit();
    if (!commit) return false;
    if (*commit == nullptr) break;
    KEELSON_ASSERT(within((*commit)->header.key.id, body));
    KEELSON_ASSERT(within((*commit)->header.detail, body));
    while (true) {
      const auto event = reader.next_event();
      if (!event) return false;
      if (*event == nullptr) break;
      KEELSON_ASSERT(within((*event)->leaf, body));
      KEELSON_ASSERT(within((*event)->record.metadata, body));
      tree.add((*event)->leaf);
      ++seen;
    }
  }
  KEELSON_ASSERT(seen == events);
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > (1u << 16)) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: scan_as_body(input); break;
    case 1: scan_as_is(input); break;
    case 2: {
      std::string header(input.substr(0, std::min(input.size(), kSegmentHeaderBytes)));
      header.resize(kSegmentHeaderBytes, '\0');
      // Once with its own checksum, once with the right one.
      static_cast<void>(decode_segment_header(header, kIdentity));
      const std::size_t end = kSegmentHeaderBytes - 8;
      put(header.data() + end, checksum(std::string_view(header).substr(0, end), 0));
      static_cast<void>(decode_segment_header(header, kIdentity));
      break;
    }
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
