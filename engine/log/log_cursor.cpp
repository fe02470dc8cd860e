#include "engine/log/log_cursor.h"

#include <utility>

#include "engine/log/indexed_segment.h"
#include "engine/log/log_format.h"

namespace keelson::log {

std::unexpected<Error> DiskCursor::failed(Error error) const {
  return std::unexpected(located(std::move(error), open_->file(), position_));
}

Result<const FoundEvent*> DiskCursor::next() {
  if (failed_) return std::unexpected(*failed_);
  if (next_ >= log_.end()) return nullptr;
  auto event = read_event();
  if (!event) failed_ = event.error();
  return event;
}

Result<const FoundEvent*> DiskCursor::read_event() {
  while (true) {
    if (!batch_) {
      // What it was reading is no part of the log any more; after the end, which it has seen.
      const std::uint64_t beginnings = log_.beginnings.load(std::memory_order_acquire);
      if (beginnings != beginnings_) segment_.reset();
      beginnings_ = beginnings;
      if (segment_ == nullptr) KEELSON_TRY(repairing(log_, [this] { return locate(); }));
      KEELSON_TRY(enter_batch());
    }
    if (commit_ != nullptr) {
      auto event = body_->next_event();
      KEELSON_TRY(check_read());
      if (!event) return failed(std::move(event).error());
      if (*event != nullptr) {
        const Offset offset = event_offset_;
        ++event_offset_;
        if (offset < next_) continue;
        // What lies in a file may turn out unreadable at any time: what is given is a copy.
        event_ = {offset, (*event)->record, command_id_};
        copy_event(event_.record, copy_);
        KEELSON_TRY(check_read());
        ++next_;
        return &event_;
      }
    }
    auto commit = body_->next_commit();
    if (commit && *commit != nullptr) command_id_ = (*commit)->header.key.id;
    KEELSON_TRY(check_read());
    if (!commit) return failed(std::move(commit).error());
    commit_ = *commit;
    if (commit_ == nullptr) {
      position_ += batch_->padded_bytes();
      batch_.reset();
    }
  }
}

/// After bytes of the current batch were read.
Result<void> DiskCursor::check_read() const {
  return open_->file().check_read(position_, batch_->padded_bytes());
}

/// Goes to the batch of `next_`, which is published.
Result<void> DiskCursor::locate() {
  if (next_ < log_.start()) return removed(log_, "offset " + std::to_string(next_.value));
  auto segment = segment_of(*log_.segments.all(), next_);
  KEELSON_TRY_ASSIGN(const auto indexed, IndexedSegment::open(log_, *segment));
  if (indexed.removed()) return removed(log_, "offset " + std::to_string(next_.value));
  KEELSON_TRY_ASSIGN(const auto ordinal, indexed.index().batch_of_offset(indexed.relative(next_)));
  if (!ordinal) {
    return fail(Errc::corruption, segment->path() + ": offset " + std::to_string(next_.value) +
                                      " is missing from its index");
  }
  KEELSON_TRY_ASSIGN(const StoredBatch batch, indexed.batch(*ordinal));
  open_ = indexed.pin();
  segment_ = std::move(segment);
  position_ = batch.position;
  point_ = {batch.header.batch_no, batch.header.base_offset, batch.header.epoch, batch.header.time};
  return {};
}

Result<void> DiskCursor::enter_batch() {
  while (position_ == segment_->used_end()) KEELSON_TRY(next_segment());
  KEELSON_TRY_ASSIGN(const StoredBatch batch, batch_at(open_->file(), position_, log_.seed));
  if (auto follows = check_follows(batch.header, point_); !follows) {
    return failed(std::move(follows).error());
  }
  auto good = check_batch_body(batch.header, batch.bytes, log_.seed);
  KEELSON_TRY(open_->file().check_read(position_, batch.bytes.size()));
  if (!good) return failed(std::move(good).error());
  open_->verified.add(
      static_cast<std::uint32_t>(batch.header.batch_no - segment_->start().next_batch),
      batch.header.codec);
  auto body = open_body(batch);
  KEELSON_TRY(open_->file().check_read(position_, batch.bytes.size()));
  if (!body) return failed(std::move(body).error());
  decompressed_ = std::move(body->decompressed);
  point_.advance(batch.header);
  batch_ = batch.header;
  body_.emplace(body->bytes, batch.header.event_count, batch.header.commit_count);
  commit_ = nullptr;
  event_offset_ = batch.header.base_offset;
  return {};
}

Result<void> DiskCursor::next_segment() {
  auto segment = segment_starting_at(*log_.segments.all(), point_.next_batch);
  if (segment == nullptr && log_.beginnings != beginnings_) {
    return removed(log_, "offset " + std::to_string(next_.value));
  }
  if (segment == nullptr) {
    return failed({Errc::corruption,
                   "no segment follows with batch " + std::to_string(point_.next_batch.value),
                   {}});
  }
  KEELSON_TRY_ASSIGN(auto open, repairing(log_, [&] { return segment->open(); }));
  if (open->removed()) return removed(log_, "offset " + std::to_string(next_.value));
  open_ = std::move(open);
  segment_ = std::move(segment);
  position_ = kSegmentHeaderBytes;
  return {};
}

}  // namespace keelson::log
