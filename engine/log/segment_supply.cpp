#include "engine/log/segment_supply.h"

#include <utility>

#include "engine/log/log_format.h"

namespace keelson::log {

std::string SegmentSupply::next_path() const {
  return folder_ + "/" + std::string(kNextSegmentName);
}

Result<void> SegmentSupply::clean() {
  const std::lock_guard lock(mutex_);
  KEELSON_TRY_ASSIGN(const bool left_over, files_.exists(next_path()));
  if (left_over) KEELSON_TRY(files_.remove(next_path()));
  return {};
}

Result<void> SegmentSupply::prepare(std::uint64_t capacity) {
  const std::lock_guard lock(mutex_);
  return ready_bytes_ >= capacity ? Result<void>() : make(capacity);
}

Result<void> SegmentSupply::make(std::uint64_t capacity) {
  discard();
  const auto fill = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto file, files_.open(next_path(), io::OpenMode::create_new));
    KEELSON_TRY(file->write_zeros(0, capacity));
    return file->sync();
  };
  auto filled = fill();
  if (!filled) {
    discard();
    return filled;
  }
  ready_bytes_ = capacity;
  return {};
}

Result<std::shared_ptr<SegmentFile>> SegmentSupply::take(SegmentHeader header) {
  const std::lock_guard lock(mutex_);
  if (ready_bytes_ < header.capacity) KEELSON_TRY(make(header.capacity));
  header.capacity = ready_bytes_;
  auto segment = turn_into(header);
  if (!segment) discard();
  ready_bytes_ = 0;
  return segment;
}

Result<std::shared_ptr<SegmentFile>> SegmentSupply::turn_into(const SegmentHeader& header) {
  KEELSON_TRY_ASSIGN(auto segment,
                     SegmentFile::open(files_, next_path(), io::OpenMode::read_write));
  KEELSON_TRY(segment->file->write_at(0, encode_segment_header(header)));
  KEELSON_TRY(segment->file->sync());
  segment->path = folder_ + "/" + segment_name(header.start.point.next_batch);
  KEELSON_TRY(files_.rename(next_path(), segment->path));
  return segment;
}

/// Best effort: what stays behind is harmless, and removed by the next try or the next `open`.
void SegmentSupply::discard() {
  ready_bytes_ = 0;
  if (const auto there = files_.exists(next_path()); there && *there) {
    [[maybe_unused]] const auto removed = files_.remove(next_path());
  }
}

}  // namespace keelson::log
