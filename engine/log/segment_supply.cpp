#include "engine/log/segment_supply.h"

#include <algorithm>
#include <utility>

#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

/// Written and synced at a time: a fraction of a millisecond on an SSD.
constexpr std::uint64_t kSliceBytes = 256u << 10;

}  // namespace

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
  if (bytes_ < capacity) KEELSON_TRY(grow_to(std::min(bytes_ + kSliceBytes, capacity)));
  ready_ = bytes_ >= capacity;
  return {};
}

Result<void> SegmentSupply::grow_to(std::uint64_t bytes) {
  const auto grow = [&]() -> Result<void> {
    if (file_ == nullptr) {
      KEELSON_TRY_ASSIGN(file_, files_.open(next_path(), io::OpenMode::create_new));
    }
    KEELSON_TRY(file_->write_zeros(bytes_, bytes - bytes_));
    return file_->sync();
  };
  auto grown = grow();
  if (!grown) {
    discard();
    return grown;
  }
  bytes_ = bytes;
  return {};
}

Result<std::shared_ptr<SegmentFile>> SegmentSupply::take(const SegmentHeader& header) {
  const std::lock_guard lock(mutex_);
  if (bytes_ < header.capacity) KEELSON_TRY(grow_to(header.capacity));
  auto segment = turn_into(header);
  if (!segment) {
    discard();
    return segment;
  }
  forget();
  return segment;
}

Result<std::shared_ptr<SegmentFile>> SegmentSupply::turn_into(const SegmentHeader& header) {
  // It was prepared for another place: after a cut the log goes on where segments are smaller.
  if (bytes_ > header.capacity) KEELSON_TRY(file_->truncate(header.capacity));
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
  forget();
  if (const auto there = files_.exists(next_path()); there && *there) {
    [[maybe_unused]] const auto removed = files_.remove(next_path());
  }
}

void SegmentSupply::forget() {
  file_ = nullptr;
  bytes_ = 0;
  ready_ = false;
}

}  // namespace keelson::log
