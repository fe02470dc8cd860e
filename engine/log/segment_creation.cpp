#include "engine/log/segment_creation.h"

#include "engine/log/log_format.h"

namespace keelson::log {

namespace {

std::string unfinished_path(const std::string& folder) {
  return folder + "/" + std::string(kNextSegmentName);
}

Result<std::shared_ptr<SegmentFile>> make(io::FileSystem& files, const std::string& folder,
                                          const SegmentHeader& header) {
  const std::string unfinished = unfinished_path(folder);
  {
    KEELSON_TRY_ASSIGN(const auto file, files.open(unfinished, io::OpenMode::create_new));
    KEELSON_TRY(file->allocate(header.capacity));
    KEELSON_TRY(file->write_at(0, encode_segment_header(header)));
    KEELSON_TRY(file->sync());
  }
  KEELSON_TRY_ASSIGN(auto segment, SegmentFile::open(files, unfinished, io::OpenMode::read_write));
  segment->path = folder + "/" + segment_name(header.start.point.next_batch);
  KEELSON_TRY(files.rename(unfinished, segment->path));
  return segment;
}

}  // namespace

Result<std::shared_ptr<SegmentFile>> create_segment(io::FileSystem& files,
                                                    const std::string& folder,
                                                    const SegmentHeader& header) {
  KEELSON_TRY(remove_unfinished_segment(files, folder));
  auto segment = make(files, folder, header);
  // So that a full disk gets back what there was room for.
  if (!segment) [[maybe_unused]]
    const auto removed = remove_unfinished_segment(files, folder);
  return segment;
}

Result<void> remove_unfinished_segment(io::FileSystem& files, const std::string& folder) {
  const std::string unfinished = unfinished_path(folder);
  KEELSON_TRY_ASSIGN(const bool left_over, files.exists(unfinished));
  if (left_over) KEELSON_TRY(files.remove(unfinished));
  return {};
}

}  // namespace keelson::log
