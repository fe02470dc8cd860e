#include "engine/log/log_install.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/log/log_format.h"
#include "engine/log/past_segments.h"
#include "engine/log/segment_files.h"
#include "engine/log/segment_sealer.h"
#include "engine/log/tail_cut.h"

namespace keelson::log {

namespace {

std::string with_suffix(BatchNo first, std::string_view suffix) {
  std::string name = segment_name(first);
  name.resize(kSegmentNameDigits);
  return name += suffix;
}

/// The first batch of the segment of which `name` is the index that has come.
std::optional<BatchNo> parse_fetched_name(const std::string& name) {
  if (!name.ends_with(kFetchedSuffix)) return std::nullopt;
  std::string segment = name.substr(0, name.size() - kFetchedSuffix.size());
  return parse_segment_name(segment += kSegmentSuffix);
}

/// Whether `name` belongs to a log that another is to take the place of: not what is left of its
/// own removed segments, which are the beginning of the other one as well.
bool is_of_old_log(std::string_view name) {
  constexpr std::string_view kUnfinished = ".tmp";
  std::string_view whole = name;
  if (whole.ends_with(kUnfinished)) whole.remove_suffix(kUnfinished.size());
  if (whole == kMarkName) return true;
  for (const std::string_view suffix : {kSegmentSuffix, kCompressedSuffix, kIndexSuffix}) {
    if (!whole.ends_with(suffix)) continue;
    std::string segment(whole.substr(0, whole.size() - suffix.size()));
    if (parse_segment_name(segment += kSegmentSuffix)) return true;
  }
  return false;
}

Result<void> remove_if_there(io::FileSystem& files, const std::string& path) {
  KEELSON_TRY_ASSIGN(const bool there, files.exists(path));
  return there ? files.remove(path) : Result<void>();
}

}  // namespace

LogInstall::LogInstall(io::FileSystem& files, std::string folder, const Uuid& identity)
    : files_(files), folder_(std::move(folder)), identity_(identity) {}

Result<void> LogInstall::resume(const LogPoint& start) {
  from_ = next_ = start;
  position_ = 0;
  file_.reset();
  KEELSON_TRY(remove_if_there(files_, folder_ + "/" + std::string(kFetchName)));
  KEELSON_TRY(remove_if_there(files_, folder_ + "/" + std::string(kStartName)));
  KEELSON_TRY(clean_mark(files_, folder_, Mark::install));
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));  // in the order of their numbers
  for (const std::string& name : names) {
    const auto first = parse_fetched_name(name);
    if (!first) continue;
    const std::string path = folder_ + "/" + name;
    auto past = *first == next_.next_batch
                    ? look_at_past(files_, path, identity_, next_)
                    : Result<LogPoint>(fail(Errc::corruption, "it does not follow"));
    if (!past && past.error().code == Errc::io_error) return std::unexpected(past.error());
    if (past) {
      next_ = *past;
    } else {
      KEELSON_TRY(files_.remove(path));
    }
  }
  return {};
}

Result<void> LogInstall::sync(io::File& file) {
  auto synced = file.sync();
  if (!synced) failure_ = synced.error();
  return synced;
}

Result<void> LogInstall::begin_file() {
  const std::string path = folder_ + "/" + std::string(kFetchName);
  file_.reset();
  position_ = 0;
  KEELSON_TRY(remove_if_there(files_, path));
  KEELSON_TRY_ASSIGN(file_, files_.open(path, io::OpenMode::create_new));
  return {};
}

Result<void> LogInstall::take(const RemovedPiece& piece) {
  // It may be an answer to what was asked before a failure.
  if (piece.segment != next_.next_batch) return {};
  if (piece.position != position_ && piece.position != 0) return {};
  if (piece.bytes.empty() || piece.bytes.size() > piece.file_bytes ||
      piece.position > piece.file_bytes - piece.bytes.size()) {
    return fail(Errc::corruption, "a piece of the index of batch " +
                                      std::to_string(piece.segment.value) +
                                      " is not within its file");
  }
  if (piece.position == 0) KEELSON_TRY(begin_file());
  if (auto written = file_->write_at(position_, piece.bytes); !written) {
    position_ = 0;
    return written;
  }
  position_ += piece.bytes.size();
  return position_ == piece.file_bytes ? end_file() : Result<void>();
}

/// All of it is there: it gets its name if it is what belongs there.
Result<void> LogInstall::end_file() {
  const std::string path = folder_ + "/" + std::string(kFetchName);
  position_ = 0;
  KEELSON_TRY(sync(*std::exchange(file_, nullptr)));
  KEELSON_TRY_ASSIGN(const auto loaded, load_past_index(files_, path));
  KEELSON_TRY(loaded.second->check_all());
  KEELSON_TRY_ASSIGN(const LogPoint end, look_at_past(files_, path, identity_, next_));
  if (end.next_batch == next_.next_batch) {
    return fail(Errc::corruption, path + ": an index without a batch");
  }
  KEELSON_TRY(files_.rename(path, folder_ + "/" + with_suffix(next_.next_batch, kFetchedSuffix)));
  next_ = end;
  return {};
}

Result<SegmentHeader> LogInstall::make_start(std::string_view header) {
  KEELSON_TRY_ASSIGN(SegmentHeader decoded, decode_segment_header(header, identity_));
  const LogPoint& start = decoded.start.point;
  const bool fits = header.size() == kSegmentHeaderBytes && position_ == 0 &&
                    start.next_batch == next_.next_batch && start.end == next_.end &&
                    start.last_time == next_.last_time &&
                    decoded.capacity > kSegmentHeaderBytes + kBatchHeaderBytes &&
                    decoded.capacity <= kSegmentHeaderBytes + std::uint64_t{kBatchBytesMax};
  if (!fits) {
    return fail(Errc::corruption, "the segment with which the log is to begin at batch " +
                                      std::to_string(next_.next_batch.value) +
                                      " does not follow on what is before");
  }
  if (auto written = write_start(header, decoded.capacity); !written) {
    // Best effort: it is in the way of nothing, and may be what has filled the disk.
    [[maybe_unused]] const auto removed =
        remove_if_there(files_, folder_ + "/" + std::string(kStartName));
    return std::unexpected(written.error());
  }
  return decoded;
}

Result<void> LogInstall::write_start(std::string_view header, std::uint64_t capacity) {
  const std::string path = folder_ + "/" + std::string(kStartName);
  KEELSON_TRY(remove_if_there(files_, path));
  KEELSON_TRY_ASSIGN(const auto file, files_.open(path, io::OpenMode::create_new));
  KEELSON_TRY(file->allocate(capacity));
  KEELSON_TRY(file->write_at(0, header));
  return sync(*file);
}

Result<void> LogInstall::discard() {
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  for (const std::string& name : names) {
    if (!parse_fetched_name(name) && name != kFetchName && name != kStartName) continue;
    KEELSON_TRY(files_.remove(folder_ + "/" + name));
  }
  next_ = from_;
  position_ = 0;
  file_.reset();
  return {};
}

Result<void> mark_install(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                          BatchNo start) {
  // The names of all that is to count are durable before the mark's is.
  KEELSON_TRY(files.sync_folder(folder));
  {
    KEELSON_TRY_ASSIGN(const auto file, write_mark(files, folder, identity, start, Mark::install));
    KEELSON_TRY(file->sync());
  }
  KEELSON_TRY(place_mark(files, folder, Mark::install));
  return files.sync_folder(folder);
}

Result<bool> has_install_mark(const io::FileSystem& files, const std::string& folder) {
  return files.exists(folder + "/" + std::string(kInstallMarkName));
}

Result<void> finish_install(io::FileSystem& files, const std::string& folder,
                            const Uuid& identity) {
  KEELSON_TRY_ASSIGN(const auto start, read_mark(files, folder, identity, Mark::install));
  if (!start) return {};
  const std::string unnamed = folder + "/" + std::string(kStartName);
  KEELSON_TRY_ASSIGN(const bool to_do, files.exists(unnamed));
  // It gets its name last: with that, all before has been done, durably.
  if (to_do) {
    KEELSON_TRY_ASSIGN(const auto names, files.list(folder));
    for (const std::string& name : names) {
      if (is_of_old_log(name)) KEELSON_TRY(files.remove(folder + "/" + name));
    }
    KEELSON_TRY(files.sync_folder(folder));
    for (const std::string& name : names) {
      const auto first = parse_fetched_name(name);
      if (!first) continue;
      KEELSON_TRY(
          files.rename(folder + "/" + name, folder + "/" + with_suffix(*first, kPastSuffix)));
    }
    KEELSON_TRY(files.sync_folder(folder));
    KEELSON_TRY(files.rename(unnamed, folder + "/" + segment_name(*start)));
    KEELSON_TRY(files.sync_folder(folder));
  }
  KEELSON_TRY(lift_mark(files, folder, Mark::install));
  return files.sync_folder(folder);
}

}  // namespace keelson::log
