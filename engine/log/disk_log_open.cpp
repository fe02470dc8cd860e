// Opening: finding the segments, scanning the last one, repairing what a crash left.
#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/log/disk_log.h"
#include "engine/log/index_feed.h"
#include "engine/log/log_format.h"
#include "engine/log/past_segments.h"
#include "engine/log/segment_creation.h"
#include "engine/log/segment_fill.h"
#include "engine/log/segment_grouping.h"
#include "engine/log/segment_scan.h"
#include "engine/log/segment_sealer.h"
#include "engine/log/tail_cut.h"

namespace keelson::log {

namespace {

Error in_file(Error error, const std::string& path) {
  error.context = path + ": " + error.context;
  return error;
}

/// The batches of a segment that none after them knew to be durable.
class UnwitnessedBatches {
 public:
  void take(const StoredBatch& batch) {
    batches_.emplace_back(batch.header.batch_no, batch.position);
    while (!batches_.empty() && batches_.front().first < batch.header.durable_batches) {
      batches_.pop_front();
    }
  }
  /// Where they begin, in a segment whose batches end at `end`.
  [[nodiscard]] std::uint64_t position(std::uint64_t end) const {
    return batches_.empty() ? end : batches_.front().second;
  }

 private:
  std::deque<std::pair<BatchNo, std::uint64_t>> batches_;
};

/// Writes [position, end) once more. A process whose sync has failed leaves pages in the kernel's
/// cache that the disk has not got and that no sync writes any more, unless they are written to.
Result<void> write_again(const SegmentFile& file, std::uint64_t position, std::uint64_t end) {
  constexpr std::uint64_t kPieceBytes = 1u << 20;
  for (; position < end; position += kPieceBytes) {
    const std::string piece(file.bytes.substr(position, std::min(kPieceBytes, end - position)));
    KEELSON_TRY(file.check_read(position, piece.size()));
    KEELSON_TRY(file.file->write_at(position, piece));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<PartitionLog>> PartitionLog::open(io::FileSystem& files, std::string folder,
                                                         const Uuid& identity, LogOptions options) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax) {
    return fail(Errc::bad_request, "segment_bytes of " + std::to_string(options.segment_bytes));
  }
  auto log = std::make_unique<DiskLog>(files, std::move(folder), identity, options);
  KEELSON_TRY(log->open());
  return log;
}

Result<void> DiskLog::open() {
  // Half of what is there may be of another log.
  KEELSON_TRY(finish_install(files_, folder_, identity_));
  // Before anything is written: what is damaged stays as it is.
  KEELSON_TRY_ASSIGN(const Past past, check_not_lost());
  KEELSON_TRY_ASSIGN(const auto mark, read_mark(files_, folder_, identity_));
  KEELSON_TRY(files_.create_folders(folder_));
  KEELSON_TRY(remove_unfinished_segment(files_, folder_));
  KEELSON_TRY(clean_mark(files_, folder_));
  // A segment whose name a killed process left in the kernel's cache only must not vanish later.
  KEELSON_TRY(files_.sync_folder(folder_));
  KEELSON_TRY(remove_leftovers(past));
  take_past(past);
  KEELSON_TRY(install_.resume(past.end));
  KEELSON_TRY(clean_compressed());
  if (mark) KEELSON_TRY(obey_mark(*mark));
  KEELSON_TRY_ASSIGN(const auto all_names, files_.list(folder_));
  const std::vector<SegmentOnDisk> segments = find_segments(all_names);
  if (segments.empty()) {
    KEELSON_TRY_ASSIGN(Opened opened, make_first_segment());
    continue_from(std::move(opened), 1);
    return {};
  }
  KEELSON_TRY_ASSIGN(SegmentHeader header, read_header(segments.front()));
  if (header.start.point.end != past.end.end) {
    return fail(Errc::corruption, folder_ + "/" + segments.front().name + ": it begins at offset " +
                                      std::to_string(header.start.point.end.value) +
                                      ", and what was removed ends at " +
                                      std::to_string(past.end.end.value));
  }
  KEELSON_TRY_ASSIGN(const std::size_t sealed, count_sealed(segments));
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    KEELSON_TRY_ASSIGN(SegmentHeader next, read_header(segments[i + 1]));
    KEELSON_TRY(i < sealed ? open_sealed(segments[i], header, next.start.point)
                           : open_held(segments[i].name, header, next.start.point));
    header = std::move(next);
  }
  if (segments.back().form != SegmentForm::plain) {
    return fail(Errc::corruption, folder_ + ": the segment after " + segments.back().name +
                                      " is missing: only one that another follows is compressed");
  }
  KEELSON_TRY_ASSIGN(Opened opened, open_last(segments.back().name, header));
  KEELSON_TRY(open_groups(log_, folder_, all_names));
  groupable_ = next_group(log_).has_value();
  compressible_ = options_.sealed_codec == Codec::zstd && next_to_compress() != nullptr;
  continue_from(std::move(opened), segments.size() - sealed);
  return {};
}

/// Whether files of the log are gone. Of those at its end see `open_last`, of those between two
/// segments `open_sealed`.
/// @return what retention has removed.
Result<Past> DiskLog::check_not_lost() const {
  const bool expected = options_.opening == Opening::existing;
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(folder_));
  if (!there) {
    if (expected) return fail(Errc::corruption, folder_ + " is missing: the log in it is lost");
    return Past();
  }
  KEELSON_TRY_ASSIGN(const auto all_names, files_.list(folder_));
  KEELSON_TRY_ASSIGN(Past past, read_past(files_, folder_, identity_, all_names));
  std::vector<SegmentOnDisk> segments = find_segments(all_names);
  std::erase_if(segments, [&](const auto& segment) { return past.contains(segment.first_batch); });
  const std::string first = segment_name(past.end.next_batch);
  if (segments.empty() && (expected || !past.segments.empty())) {
    return fail(Errc::corruption,
                folder_ + " has no segment: " + first + " and all after it are lost");
  }
  if (!segments.empty() && segments.front().name != first) {
    return fail(Errc::corruption, folder_ + "/" + first + " is missing: what is left begins with " +
                                      segments.front().name);
  }
  return past;
}

Result<DiskLog::Opened> DiskLog::make_first_segment() {
  SegmentHeader header;
  header.identity = identity_;
  header.capacity = first_segment_bytes(options_.segment_bytes);
  KEELSON_TRY_ASSIGN(auto file, create_segment(files_, folder_, header));
  KEELSON_TRY(files_.sync_folder(folder_));
  log_.segments.add(std::make_shared<Segment>(log_.context, LogPoint{}, file));
  return Opened{LogState{}, {std::move(file), kSegmentHeaderBytes, 0}, std::nullopt};
}

Result<SegmentHeader> DiskLog::read_header(const SegmentOnDisk& segment) const {
  const std::string path = folder_ + "/" + segment.name;
  KEELSON_TRY_ASSIGN(const auto file, SegmentFile::open_form(files_, path, segment.form, {}));
  KEELSON_TRY(file->need(0, kSegmentHeaderBytes));
  auto header = decode_segment_header(file->bytes.substr(0, kSegmentHeaderBytes), identity_);
  KEELSON_TRY(file->check_read(0, kSegmentHeaderBytes));
  if (!header) return std::unexpected(in_file(std::move(header).error(), path + " at byte 0"));
  if (header->start.point.next_batch != segment.first_batch) {
    return fail(Errc::corruption, path + ": the header is of a segment that starts with batch " +
                                      std::to_string(header->start.point.next_batch.value));
  }
  return header;
}

Result<void> DiskLog::open_sealed(const SegmentOnDisk& segment, const SegmentHeader& header,
                                  const LogPoint& next) {
  const std::string path = folder_ + "/" + segment.name;
  const LogPoint& start = header.start.point;
  KEELSON_TRY_ASSIGN(const auto file, SegmentFile::open_form(files_, path, segment.form, {}));
  const std::uint64_t bytes = file->bytes.size();
  auto index =
      load_index(files_, index_path(path), {identity_, start.next_batch, start.end, bytes});
  // An index that does not reach the next segment is as good as none: the scan tells what is wrong.
  if (index && start.next_batch + (*index)->batch_count() == next.next_batch &&
      start.end + (*index)->event_count() == next.end) {
    log_.segments.add(std::make_shared<Segment>(log_.context, start, path, bytes, segment.form));
    sealed_bytes_ += bytes;
    return {};
  }
  if (!index && index.error().code == Errc::io_error) return std::unexpected(index.error());
  return segment.form == SegmentForm::plain ? rebuild(path, header, next)
                                            : rebuild_compressed(path, header, next);
}

/// Scans the whole segment and makes its index again. Memory: that of one segment's index.
Result<void> DiskLog::rebuild(const std::string& path, const SegmentHeader& header,
                              const LogPoint& next) {
  const LogPoint& start = header.start.point;
  KEELSON_TRY_ASSIGN(auto file, SegmentFile::open(files_, path, io::OpenMode::read));
  auto segment = std::make_shared<Segment>(log_.context, start, file);
  const auto index = segment->tail_index();
  auto end = scan_sealed(file->bytes, header.start, next, log_.seed, [&](const auto& batch) {
    return add_to_index(*index, log_.hasher, start, batch);
  });
  KEELSON_TRY(file->check_read());
  if (!end) return std::unexpected(in_file(std::move(end).error(), path));
  index->publish(static_cast<std::uint32_t>(next.next_batch - start.next_batch));
  segment->fix_end(*end);
  log_.segments.add(segment);
  ++sealable_;
  ++rebuilt_indexes_;
  // On a full disk the index stays in memory; `maintain` tries again.
  if (auto sealed = seal(*segment); !sealed && sealed.error().code != Errc::disk_full) {
    return sealed;
  }
  return {};
}

/// Makes the index of a compressed segment again. It was sealed before it was compressed.
Result<void> DiskLog::rebuild_compressed(const std::string& path, const SegmentHeader& header,
                                         const LogPoint& next) {
  const LogPoint& start = header.start.point;
  std::uint64_t bytes = 0;
  {
    KEELSON_TRY_ASSIGN(const auto file,
                       SegmentFile::open_form(files_, path, SegmentForm::compressed, {}));
    bytes = file->bytes.size();
  }
  auto segment =
      std::make_shared<Segment>(log_.context, start, path, bytes, SegmentForm::compressed);
  KEELSON_TRY(repair_index(*segment, next));
  log_.segments.add(std::move(segment));
  sealed_bytes_ += bytes;
  ++rebuilt_indexes_;
  return {};
}

/// How many of the segments are sealed, or to be taken as that.
Result<std::size_t> DiskLog::count_sealed(const std::vector<SegmentOnDisk>& segments) const {
  std::size_t count = segments.size() - 1;
  if (options_.found_tail == FoundTail::published) return count;
  // A segment is sealed when the first batch of the next one has been published: so all of it is
  // committed, and of those before it, whatever became of their indexes. What follows the last
  // sealed one may be or not.
  for (; count > 0; --count) {
    const SegmentOnDisk& segment = segments[count - 1];
    KEELSON_TRY_ASSIGN(const SegmentHeader header, read_header(segment));
    KEELSON_TRY_ASSIGN(const bool sealed, was_sealed(segment, header));
    if (sealed) break;
  }
  return count;
}

/// Whether the segment was sealed, or about to be, when the process ended: sealing cuts off the
/// unused rest first.
Result<bool> DiskLog::was_sealed(const SegmentOnDisk& segment, const SegmentHeader& header) const {
  if (segment.form == SegmentForm::compressed) return true;
  const std::string path = folder_ + "/" + segment.name;
  KEELSON_TRY_ASSIGN(const auto file, files_.open(path, io::OpenMode::read));
  KEELSON_TRY_ASSIGN(const std::uint64_t bytes, file->size());
  if (bytes < header.capacity) return true;
  const LogPoint& start = header.start.point;
  const auto index =
      load_index(files_, index_path(path), {identity_, start.next_batch, start.end, bytes});
  if (!index && index.error().code == Errc::io_error) return std::unexpected(index.error());
  return index.has_value();
}

/// Opens a segment that another follows and that is not sealed. It was durable before the next one
/// had its name.
Result<void> DiskLog::open_held(const std::string& name, const SegmentHeader& header,
                                const LogPoint& next) {
  const std::string path = folder_ + "/" + name;
  // It is written again when what follows is cut.
  KEELSON_TRY_ASSIGN(auto file, SegmentFile::open(files_, path, io::OpenMode::read_write));
  const auto ignore = [](const StoredBatch&) -> Result<void> { return {}; };
  auto end = scan_sealed(file->bytes, header.start, next, log_.seed, ignore);
  KEELSON_TRY(file->check_read());
  if (!end) return std::unexpected(in_file(std::move(end).error(), path));
  auto segment = std::make_shared<Segment>(log_.context, header.start.point, std::move(file));
  segment->fix_end(*end);
  log_.segments.add(std::move(segment));
  return {};
}

Result<DiskLog::Opened> DiskLog::open_last(const std::string& name, const SegmentHeader& header) {
  const std::string path = folder_ + "/" + name;
  KEELSON_TRY_ASSIGN(auto file, SegmentFile::open(files_, path, io::OpenMode::read_write));
  if (file->bytes.size() < header.capacity) {
    // No crash does this: the file was whole and durable before it had its name.
    return fail(Errc::corruption, path + " has been cut at byte " +
                                      std::to_string(file->bytes.size()) + " of " +
                                      std::to_string(header.capacity));
  }
  const LogPoint& start = header.start.point;
  auto segment = std::make_shared<Segment>(log_.context, start, file);
  const auto index = segment->tail_index();
  const bool published = options_.found_tail == FoundTail::published;
  std::uint64_t entries = 0;
  UnwitnessedBatches unwitnessed;
  const auto take = [&](const StoredBatch& batch) {
    unwitnessed.take(batch);
    entries += std::uint64_t{batch.header.event_count} + batch.header.commit_count;
    return published ? add_to_index(*index, log_.hasher, start, batch) : Result<void>();
  };
  auto scanned = scan_tail(file->bytes, header.start, log_.seed, take);
  // Before anything is taken for torn: zeros are shown for what cannot be read.
  KEELSON_TRY(file->check_read());
  if (!scanned) return std::unexpected(in_file(std::move(scanned).error(), path));
  Opened opened{std::move(scanned->end), {file, scanned->position, entries}, std::nullopt};
  if (const auto& torn = scanned->torn) {
    KEELSON_TRY_ASSIGN(opened.torn_tail, keep_torn(*file, opened.state, *torn));
    KEELSON_TRY(file->file->write_zeros(torn->position, torn->bytes));
  }
  // A killed process may have left all of this in the kernel's cache only: it counts when durable.
  const std::uint64_t end = scanned->position;
  KEELSON_TRY(write_again(*file, unwitnessed.position(end), end));
  KEELSON_TRY(file->file->sync());
  if (published) {
    index->publish(static_cast<std::uint32_t>(opened.state.point.next_batch - start.next_batch));
  }
  log_.segments.add(std::move(segment));
  return opened;
}

/// Copies what is to be cut aside: it may have been acknowledged, and have rotted since. Where
/// there is no room for that it is cut all the same, as a node must start on a full disk.
Result<TornTail> DiskLog::keep_torn(const SegmentFile& file, const LogState& at,
                                    const TornBytes& torn) {
  TornTail tail{file.path, torn.position, torn.bytes, at.point.next_batch, {}, {}};
  const std::string_view bytes = file.bytes.substr(torn.position, torn.extent);
  if (!may_be_batch(bytes)) {
    tail.no_copy = "it has no header of a batch";
    return tail;
  }
  auto copy = copy_torn(files_, folder_, identity_, at, bytes);
  if (copy) {
    tail.copy = *std::move(copy);
  } else if (copy.error().code == Errc::disk_full) {
    tail.no_copy = "there is no room for a copy";
  } else {
    return std::unexpected(std::move(copy).error());
  }
  return tail;
}

/// @param held  how many segments at the end are not sealed.
void DiskLog::continue_from(Opened opened, std::size_t held) {
  const auto segments = log_.segments.all();
  const auto& first = (*segments)[segments->size() - held];
  const LogPoint floor = first->start();
  const bool published = options_.found_tail == FoundTail::published;
  publishing_.segment = first;
  publishing_.open = first->open().value();  // not sealed, so held
  publishing_.index = first->tail_index();
  publishing_.end = published ? opened.state.point.end : floor.end;
  publishing_.position = published ? opened.place.position : kSegmentHeaderBytes;
  publishing_.next_batch = published ? opened.state.point.next_batch : floor.next_batch;
  published_ = publishing_.next_batch.value;
  log_.end_offset = publishing_.end.value;
  torn_tail_ = std::move(opened.torn_tail);
  writer_ = std::make_unique<LogWriter>(
      log_.context, folder_, LogWriter::Options{options_.segment_bytes, options_.codec},
      log_.segments, std::move(opened.state), std::move(opened.place), floor.next_batch);
}

}  // namespace keelson::log
