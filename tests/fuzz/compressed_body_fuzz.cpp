// Untrusted bytes as the compressed body of a batch: what is decompressed keeps its limit, and is
// read as the same body would be that had not been compressed. The first byte says as what the rest
// is read.
#include <zstd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/log/batch.h"
#include "engine/log/codec.h"
#include "engine/log/index_feed.h"
#include "engine/log/log_format.h"
#include "engine/log/segment_scan.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson;
using namespace keelson::log;
using keelson::fuzz::Input;

// That of the golden bytes in tests/engine/log/golden_test.cpp.
constexpr Uuid kIdentity{{std::byte{0x10}, std::byte{0x11}, std::byte{0x12}, std::byte{0x13},
                          std::byte{0x14}, std::byte{0x15}, std::byte{0x16}, std::byte{0x17},
                          std::byte{0x18}, std::byte{0x19}, std::byte{0x1a}, std::byte{0x1b},
                          std::byte{0x1c}, std::byte{0x1d}, std::byte{0x1e}, std::byte{0x1f}}};

/// `text` over and over.
std::string repeated(std::string_view text, std::size_t bytes) {
  std::string all;
  while (!text.empty() && all.size() < bytes) all += text.substr(0, bytes - all.size());
  return all;
}

std::uint32_t word(Input& input, int bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | input.byte();
  return value;
}

/// `stored` as it is.
void decompress(std::string_view stored, std::uint64_t bytes_max) {
  const auto body = decompress_body(stored, bytes_max);
  const auto padded = decompress_body(std::string(stored) + std::string(7, '\0'), bytes_max);
  KEELSON_ASSERT(!body || (padded && *padded == *body));
  if (!body) {
    KEELSON_ASSERT(body.error().code == Errc::corruption);
    return;
  }
  KEELSON_ASSERT(body->size() <= bytes_max);
  if (!body->empty()) KEELSON_ASSERT(!decompress_body(stored, body->size() - 1));
  const std::size_t frame = ZSTD_findFrameCompressedSize(stored.data(), stored.size());
  KEELSON_ASSERT(frame <= stored.size());
  KEELSON_ASSERT(!decompress_body(stored.substr(0, frame - 1), bytes_max));
}

/// What is compressed comes back, and saves what is promised.
void round_trip(std::string_view body) {
  BodyCompressor compressor;
  const auto stored = compressor.compress(body);
  if (!stored) return;
  KEELSON_ASSERT(stored->size() <= body.size() - body.size() / 8);
  const auto back = decompress_body(*stored, body.size());
  KEELSON_ASSERT(back && *back == body);
  decompress(*stored, body.size());
}

/// A segment whose only batch has `body`, compressed or not, under right checksums.
std::string segment(BatchHeader header, std::string_view body) {
  header.length = static_cast<std::uint32_t>(kBatchHeaderBytes + body.size());
  std::string padded(body);
  padded.resize(align_batch(body.size()), '\0');
  header.body_checksum = checksum(padded, checksum_seed(kIdentity));
  const auto bytes = encode_batch_header(header, checksum_seed(kIdentity));
  return std::string(kSegmentHeaderBytes, '\0') + std::string(bytes.data(), bytes.size()) + padded;
}

struct Scanned {
  bool good = false;
  std::array<std::uint32_t, 4> counts{};  ///< of batches, events, streams and commits
  bool operator==(const Scanned&) const = default;
};

Scanned scan(std::string_view segment) {
  TailIndex index(64u << 10);
  const KeyHasher hasher(kIdentity);
  const auto scanned =
      scan_tail(segment, {}, checksum_seed(kIdentity),
                [&](const StoredBatch& batch) { return add_to_index(index, hasher, {}, batch); });
  if (!scanned) return {};
  const auto counts = index.counts();
  return {true, {counts.batches, counts.events, counts.streams, counts.commits}};
}

/// The Merkle root of the events in `body`; that of none when it is malformed.
Hash root_of(std::string_view body, std::uint32_t events, std::uint32_t commits) {
  MerkleFrontier tree;
  BodyReader reader(body, events, commits);
  while (true) {
    const auto commit = reader.next_commit();
    if (!commit || *commit == nullptr) return tree.root();
    while (true) {
      const auto event = reader.next_event();
      if (!event) return tree.root();
      if (*event == nullptr) break;
      tree.add((*event)->leaf);
    }
  }
}

/// A batch with this body, once as it is and once compressed.
void as_batch(Input input) {
  const std::uint8_t flags = input.byte();
  BatchHeader header;
  header.event_count = word(input, 2);
  header.commit_count = word(input, 2);
  // Padded, or the padding could complete what is cut short.
  std::string body(input.rest());
  body.resize(align_batch(body.size()), '\0');
  header.tree_root = root_of(body, header.event_count, header.commit_count);

  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> zstd(ZSTD_createCCtx(), ZSTD_freeCCtx);
  const bool knows_length = (flags & 1) == 0;
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_contentSizeFlag, knows_length ? 1 : 0);
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_checksumFlag, flags >> 1 & 1);
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_compressionLevel, flags / 4 % 8);
  std::string stored(ZSTD_compressBound(body.size()), '\0');
  stored.resize(ZSTD_compress2(zstd.get(), stored.data(), stored.size(), body.data(), body.size()));

  header.codec = Codec::zstd;
  const Scanned compressed = scan(segment(header, stored));
  header.codec = Codec::none;
  const Scanned plain = scan(segment(header, body));
  if (knows_length) {
    KEELSON_ASSERT(compressed == plain);
  } else {
    KEELSON_ASSERT(!compressed.good);
  }
}

/// `stored` as the compressed body of a batch, as it is.
void as_stored(Input input) {
  BatchHeader header;
  header.codec = Codec::zstd;
  header.event_count = word(input, 2);
  header.commit_count = word(input, 2);
  const std::string_view stored = input.rest();
  const auto body = decompress_body(stored, 1 << 20);
  const auto claimed = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (!body && claimed <= kBatchBytesMax && claimed > 1 << 20) return;  // only takes longer
  if (body) header.tree_root = root_of(*body, header.event_count, header.commit_count);
  const Scanned scanned = scan(segment(header, stored));
  if (!body) KEELSON_ASSERT(!scanned.good);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t mode = input.byte();
  switch (mode % 4) {
    case 0: decompress(input.rest(), std::uint64_t{1} << mode / 4 % 21); break;
    case 1: {
      const std::uint32_t bytes = word(input, 2);
      round_trip(repeated(input.rest(), bytes));
      break;
    }
    case 2: as_batch(input); break;
    default: as_stored(input); break;
  }
  return 0;
}
