// Compressing sealed segments, the oldest first.
//
// The compressed file is written beside the segment under a name that counts for nothing, made
// durable, and renamed; then the segment is deleted. A crash leaves the segment, or both, or the
// compressed file; of both the segment counts. Its bytes are the same in either form, so nothing
// else changes: not the index, not the tree, not what replicas compare.
#include <memory>
#include <mutex>
#include <string>

#include "engine/log/compressed_segment.h"
#include "engine/log/disk_log.h"
#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

/// The newest sealed segments stay as they are: they are read most.
constexpr std::size_t kLeftPlain = 2;
constexpr std::string_view kUnfinishedSuffix = ".tmp";

}  // namespace

std::shared_ptr<Segment> DiskLog::next_to_compress() const {
  const auto segments = log_.segments.all();
  for (std::size_t i = removed_; i + 1 + kLeftPlain < segments->size(); ++i) {
    const auto& segment = (*segments)[i];
    if (segment->form() == SegmentForm::plain) return segment->sealed() ? segment : nullptr;
  }
  return nullptr;
}

/// Compresses one segment if there is one to be compressed. Without it more room is taken, no more.
Result<void> DiskLog::compress_sealed() {
  if (!compressible_) return {};
  // Neither is its index repaired meanwhile, nor is it removed.
  const std::lock_guard lock(repair_mutex_);
  // First, and for good if anything fails: the next sealed segment gives the next try.
  compressible_ = false;
  const auto segment = next_to_compress();
  if (!segment) return {};
  const std::string compressed = segment_file(segment->path(), SegmentForm::compressed);
  const std::string unfinished = compressed + std::string(kUnfinishedSuffix);
  KEELSON_TRY_ASSIGN(const bool left_over, files_.exists(unfinished));
  if (left_over) KEELSON_TRY(files_.remove(unfinished));
  const auto write = [&]() -> Result<void> {
    KEELSON_TRY_ASSIGN(const auto from, files_.open(segment->path(), io::OpenMode::read));
    KEELSON_TRY_ASSIGN(const auto to, files_.open(unfinished, io::OpenMode::create_new));
    return compress_segment(*from, segment->used_end(), *to);
  };
  if (auto written = write(); !written) {
    // Best effort: what stays is removed by the next try or the next start.
    [[maybe_unused]] const auto removed = files_.remove(unfinished);
    return written;
  }
  KEELSON_TRY(files_.rename(unfinished, compressed));
  KEELSON_TRY(files_.sync_folder(folder_));
  segment->change(SegmentForm::compressed);
  KEELSON_TRY(files_.remove(segment->path()));
  compressible_ = next_to_compress() != nullptr;
  return {};
}

/// Removes what a crash left of a segment that was being compressed.
Result<void> DiskLog::clean_compressed() {
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  for (const SegmentOnDisk& segment : find_segments(names)) {
    if (segment.form != SegmentForm::plain) continue;
    const std::string compressed =
        segment_file(folder_ + "/" + segment.name, SegmentForm::compressed);
    for (const std::string& file : {compressed, compressed + std::string(kUnfinishedSuffix)}) {
      KEELSON_TRY_ASSIGN(const bool there, files_.exists(file));
      if (there) KEELSON_TRY(files_.remove(file));
    }
  }
  return {};
}

}  // namespace keelson::log
