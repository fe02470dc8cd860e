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

Result<void> DiskLog::compress() {
  const std::lock_guard one_at_a_time(compressing_mutex_);
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
  auto done = write();
  if (done) done = put_compressed(*segment, unfinished, compressed);
  if (!done) {
    // Best effort: what stays is removed by the next try or the next start.
    [[maybe_unused]] const auto removed = files_.remove(unfinished);
    return done;
  }
  compressible_ = next_to_compress() != nullptr;
  return {};
}

/// Puts the compressed file in the segment's place, unless retention has removed that meanwhile.
Result<void> DiskLog::put_compressed(Segment& segment, const std::string& unfinished,
                                     const std::string& compressed) {
  // Its index is not repaired meanwhile, and it is not removed.
  const std::lock_guard lock(repair_mutex_);
  if (segment.removed()) return files_.remove(unfinished);
  KEELSON_TRY(files_.rename(unfinished, compressed));
  KEELSON_TRY(files_.sync_folder(folder_));
  KEELSON_TRY(segment.change(SegmentForm::compressed, [] { return Result<void>(); }));
  return files_.remove(segment.path());
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
