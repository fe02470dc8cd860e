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
  std::unique_ptr<SealedIndex> index;
};

}  // namespace

std::string index_path(std::string_view segment_path) {
  segment_path.remove_suffix(kSegmentSuffix.size());
  return std::string(segment_path) + std::string(kIndexSuffix);
}

Result<void> seal_segment(io::FileSystem& files, const std::string& path, const TailIndex& tail,
                          const SegmentId& segment) {
  {
    KEELSON_TRY_ASSIGN(const auto file, files.open(path, io::OpenMode::read_write));
    KEELSON_TRY(file->truncate(segment.used_end));
    KEELSON_TRY(file->sync());
  }
  return io::replace_file(files, index_path(path), seal_index(tail, segment));
}

Result<std::shared_ptr<const SealedIndex>> load_index(io::FileSystem& files,
                                                      const std::string& path,
                                                      const SegmentId& segment) {
  auto mapped = std::make_shared<MappedIndex>();
  KEELSON_TRY_ASSIGN(mapped->file, files.open(index_path(path), io::OpenMode::read));
  KEELSON_TRY_ASSIGN(const std::string_view bytes, mapped->file->view());
  KEELSON_TRY_ASSIGN(mapped->index, SealedIndex::open(bytes, segment));
  const SealedIndex* const index = mapped->index.get();
  return std::shared_ptr<const SealedIndex>(std::move(mapped), index);
}

}  // namespace keelson::log
