#include "engine/log/segment_scan.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace keelson::log {

namespace {

std::unexpected<Error> at_byte(Error error, std::uint64_t position) {
  error.context += ", in the batch at byte " + std::to_string(position);
  return std::unexpected(std::move(error));
}

constexpr std::size_t kZeroBlock = 4096;

/// Position of the first byte at or after `from` that is not zero; the size when there is none. By
/// blocks: nearly all that is searched is the unused rest of a segment.
std::uint64_t first_nonzero(std::string_view bytes, std::uint64_t from) {
  static const std::string zeros(kZeroBlock, '\0');
  while (bytes.size() - from >= kZeroBlock &&
         std::memcmp(bytes.data() + from, zeros.data(), kZeroBlock) == 0) {
    from += kZeroBlock;
  }
  return std::min(bytes.find_first_not_of('\0', from), bytes.size());
}

/// Looks after `from` for a batch that was written when `batch` was durable already.
std::optional<std::uint64_t> find_later_witness(std::string_view segment, std::uint64_t from,
                                                BatchNo batch, ChecksumSeed seed) {
  std::uint64_t at = from;
  while (at + kBatchHeaderBytes <= segment.size()) {
    const std::uint64_t next = first_nonzero(segment, at) / kBatchAlignment * kBatchAlignment;
    at = std::max(at, next);
    const auto header = decode_batch_header(segment.substr(at), seed);
    if (header && header->batch_no > batch && header->durable_batches > batch) return at;
    at += kBatchAlignment;
  }
  return std::nullopt;
}

}  // namespace

Result<FoundBatch> BatchScan::look() {
  const std::string_view rest = bytes_.substr(std::min<std::size_t>(position_, bytes_.size()));
  auto header = decode_batch_header(rest, seed_);
  if (!header) {
    if (header.error().code == Errc::corruption) return FoundBatch::bad_header;
    return at_byte(header.error(), position_);
  }
  if (auto follows = check_follows(*header, state_.point); !follows) {
    return at_byte(follows.error(), position_);
  }
  if (header->padded_bytes() > rest.size()) {
    return at_byte({Errc::corruption, "batch is longer than the segment's rest", {}}, position_);
  }
  batch_ = {*header, position_, rest.substr(0, header->padded_bytes())};
  return check_batch_body(*header, batch_.bytes, seed_) ? FoundBatch::whole : FoundBatch::bad_body;
}

Result<void> BatchScan::take() {
  if (auto verified = verify(); !verified) return at_byte(verified.error(), position_);
  position_ += batch_.header.padded_bytes();
  return {};
}

/// The frames and the Merkle root of a batch that passed its checksum.
Result<void> BatchScan::verify() {
  KEELSON_TRY_ASSIGN(const OpenBody body, open_body(batch_));
  BodyReader reader(body.bytes, batch_.header.event_count, batch_.header.commit_count);
  while (true) {
    KEELSON_TRY_ASSIGN(const DecodedCommit* const commit, reader.next_commit());
    if (commit == nullptr) break;
    while (true) {
      KEELSON_TRY_ASSIGN(const DecodedEvent* const event, reader.next_event());
      if (event == nullptr) break;
      state_.tree.add(event->leaf);
    }
  }
  if (state_.tree.root() != batch_.header.tree_root) {
    return fail(Errc::corruption, "tree_root is not that of the events");
  }
  state_.point.advance(batch_.header);
  return {};
}

Result<FoundBatch> BatchScan::run(const BatchVisitor& visit) {
  while (true) {
    KEELSON_TRY_ASSIGN(const FoundBatch found, look());
    if (found != FoundBatch::whole) return found;
    KEELSON_TRY(take());
    if (auto seen = visit(batch_); !seen) return std::unexpected(seen.error());
  }
}

Result<SegmentPlace> scan_until(std::string_view segment, const LogState& start, BatchNo to,
                                ChecksumSeed seed) {
  BatchScan scan(segment, start, seed);
  std::uint64_t entries = 0;
  while (scan.state().point.next_batch < to) {
    KEELSON_TRY_ASSIGN(const FoundBatch found, scan.look());
    if (found != FoundBatch::whole) {
      return fail(Errc::corruption,
                  "batch " + std::to_string(scan.state().point.next_batch.value) + " at byte " +
                      std::to_string(scan.position()) +
                      " fails its checksum or is missing; the log ends at batch " +
                      std::to_string(to.value));
    }
    KEELSON_TRY(scan.take());
    entries += std::uint64_t{scan.batch().header.event_count} + scan.batch().header.commit_count;
  }
  const std::uint64_t position = scan.position();
  return SegmentPlace{std::move(scan.state()), position, entries};
}

Result<SegmentScan> scan_tail(std::string_view segment, const LogState& start, ChecksumSeed seed,
                              const BatchVisitor& visit) {
  BatchScan scan(segment, start, seed);
  KEELSON_TRY_ASSIGN(const FoundBatch found, scan.run(visit));
  const std::uint64_t end = scan.position();
  if (first_nonzero(segment, end) == segment.size()) {
    return SegmentScan{std::move(scan.state()), end, std::nullopt};
  }
  // A whole header tells where the next batch begins; its body may hold anything, a copy of a batch
  // included.
  const std::uint64_t search =
      end + (found == FoundBatch::bad_body ? scan.batch().header.padded_bytes() : kBatchAlignment);
  const BatchNo failed = scan.state().point.next_batch;
  if (const auto witness = find_later_witness(segment, search, failed, seed)) {
    return fail(Errc::corruption, "batch " + std::to_string(failed.value) + " at byte " +
                                      std::to_string(end) +
                                      " fails its checksum, but the batch at byte " +
                                      std::to_string(*witness) + " knew it to be durable");
  }
  TornBytes torn{end, segment.find_last_not_of('\0') + 1 - end};
  torn.extent = (torn.bytes + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment;
  if (found == FoundBatch::bad_body) {
    torn.extent = std::max<std::uint64_t>(torn.extent, scan.batch().header.padded_bytes());
  }
  torn.extent = std::min(torn.extent, segment.size() - end);
  return SegmentScan{std::move(scan.state()), end, torn};
}

Result<std::uint64_t> scan_sealed(std::string_view segment, const LogState& start,
                                  const LogPoint& next, ChecksumSeed seed,
                                  const BatchVisitor& visit) {
  BatchScan scan(segment, start, seed);
  // Stop where the next segment takes over: what follows is the zeros of an unused rest.
  KEELSON_TRY_ASSIGN([[maybe_unused]] const FoundBatch found, scan.run(visit));
  const LogPoint& end = scan.state().point;
  if (end != next) {
    return fail(Errc::corruption,
                "batch " + std::to_string(end.next_batch.value) + " at byte " +
                    std::to_string(scan.position()) +
                    " fails its checksum or is missing; the next segment starts with batch " +
                    std::to_string(next.next_batch.value));
  }
  return scan.position();
}

}  // namespace keelson::log
