#include "engine/log/segment_sealer.h"

#include <string_view>
#include <utility>

#include "engine/log/log_format.h"
#include "engine/log/sealed_index_writer.h"

namespace keelson::log {

namespace {

/// Keeps the file mapped as long as its index is used.
struct MappedIndex {
  std::unique_ptr<io::File> file;
  std::string_view bytes;
  std::unique_ptr<SealedIndex> index;
};

std::string with_suffix(std::string_view segment_path, std::string_view suffix) {
  segment_path.remove_suffix(kSegmentSuffix.size());
  return std::string(segment_path) + std::string(suffix);
}

Result<std::shared_ptr<MappedIndex>> map_index(io::FileSystem& files, const std::string& path) {
  auto mapped = std::make_shared<MappedIndex>();
  KEELSON_TRY_ASSIGN(mapped->file, files.open(path, io::OpenMode::read));
  KEELSON_TRY_ASSIGN(mapped->bytes, mapped->file->view());
  return mapped;
}

/// @error corruption, unsupported_format  context has the file.
Result<std::shared_ptr<const SealedIndex>> open_mapped(std::shared_ptr<MappedIndex> mapped,
                                                       const std::string& path,
                                                       const SegmentId& segment) {
  auto opened = SealedIndex::open(mapped->bytes, segment, &mapped->file->faults());
  if (!opened) return fail(opened.error().code, path + ": " + opened.error().context);
  mapped->index = *std::move(opened);
  const SealedIndex* const index = mapped->index.get();
  return std::shared_ptr<const SealedIndex>(std::move(mapped), index);
}

}  // namespace

std::string index_path(std::string_view segment_path) {
  return with_suffix(segment_path, kIndexSuffix);
}

std::string past_path(std::string_view segment_path) {
  return with_suffix(segment_path, kPastSuffix);
}

Result<void> seal_segment(io::FileSystem& files, const std::string& path, const TailIndex& tail,
                          const SegmentId& segment) {
  {
    KEELSON_TRY_ASSIGN(const auto file, files.open(path, io::OpenMode::read_write));
    KEELSON_TRY(file->truncate(segment.used_end));
    KEELSON_TRY(file->sync());
  }
  return write_index(files, path, tail, segment);
}

Result<void> write_index(io::FileSystem& files, const std::string& path, const TailIndex& tail,
                         const SegmentId& segment) {
  return io::replace_file(files, index_path(path), seal_index(tail, segment));
}

Result<std::shared_ptr<const SealedIndex>> load_index(io::FileSystem& files,
                                                      const std::string& path,
                                                      const SegmentId& segment) {
  KEELSON_TRY_ASSIGN(auto mapped, map_index(files, path));
  return open_mapped(std::move(mapped), path, segment);
}

Result<std::pair<SegmentId, std::shared_ptr<const SealedIndex>>> load_past_index(
    io::FileSystem& files, const std::string& path) {
  KEELSON_TRY_ASSIGN(auto mapped, map_index(files, path));
  const auto owner = SealedIndex::owner_of(mapped->bytes);
  if (!owner) return fail(owner.error().code, path + ": " + owner.error().context);
  KEELSON_TRY_ASSIGN(auto index, open_mapped(std::move(mapped), path, *owner));
  return std::pair(*owner, std::move(index));
}

}  // namespace keelson::log
