// Batches as such: those of another replica taken, removed, and read for others, published or not.
#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/log/disk_log.h"
#include "engine/log/log_format.h"
#include "engine/log/segment_creation.h"
#include "engine/log/segment_fill.h"
#include "engine/log/segment_scan.h"
#include "engine/log/segment_sealer.h"
#include "engine/log/tail_cut.h"

namespace keelson::log {

namespace {

/// Of what is cut, read at a time.
constexpr std::uint64_t kCopiedBytes = 4u << 20;

}  // namespace

Result<void> PartitionLog::append_batches(std::string_view batches) {
  KEELSON_TRY_ASSIGN(const Incoming verified, verify_batches(std::string(batches), nullptr));
  return append_batches(std::span(&verified, 1));
}

Result<void> DiskLog::append_batches(std::span<const Incoming> batches) {
  seal_overdue();
  // This log follows as it is, and needs no other beginning.
  if (install_.begun()) KEELSON_TRY(install_.discard());
  install_.begin_after((*log_.segments.all())[removed_]->start());
  return writer_->append_batches(batches);
}

Result<void> DiskLog::cut(BatchNo to) {
  const BatchNo end = writer_->point().next_batch;
  KEELSON_ASSERT(to >= publishing_.next_batch && to <= end);
  // First, and without it not at all.
  KEELSON_TRY(copy_from(to));
  return writer_->cut(to);
}

/// Copies what is to be removed from `batch` on: nobody else may have it.
Result<void> DiskLog::copy_from(BatchNo batch) {
  last_cut_.reset();
  const BatchNo end = writer_->point().next_batch;
  if (batch == end) return {};
  const auto batches = [&](BatchNo from) { return read_batches(from, end, kCopiedBytes); };
  KEELSON_TRY_ASSIGN(const LogState at, state_at(batch));
  KEELSON_TRY_ASSIGN(last_cut_, copy_cut(files_, folder_, identity_, at, end, batches));
  return {};
}

/// What the log is before `batch`, which has been appended and is not in a sealed segment.
Result<LogState> DiskLog::state_at(BatchNo batch) const {
  const auto segments = log_.segments.all();
  const auto after = std::ranges::upper_bound(
      *segments, batch, {},
      [](const std::shared_ptr<Segment>& segment) { return segment->start().next_batch; });
  KEELSON_ASSERT(after != segments->begin());
  const Segment& segment = **std::prev(after);
  KEELSON_TRY_ASSIGN(const auto open, segment.open());
  const auto header = decode_segment_header(open->file().bytes, identity_);
  KEELSON_TRY(open->file().check_read(0, kSegmentHeaderBytes));
  if (!header) return std::unexpected(header.error());
  auto place = scan_until(open->file().bytes, header->start, batch, log_.seed);
  KEELSON_TRY(open->file().check_read());
  if (!place) return fail(place.error().code, segment.path() + ": " + place.error().context);
  return std::move(place->state);
}

/// Removes all batches from `end` on, as a process was about to when it ended, or would have had
/// to: what is there may be torn, or of two leaders. Before anything of it is read.
/// @error corruption  what stays is damaged, or sealed although it was to go. Nothing is changed.
Result<void> DiskLog::obey_mark(BatchNo end) {
  KEELSON_TRY_ASSIGN(const auto names, files_.list(folder_));
  const std::vector<SegmentOnDisk> segments = find_segments(names);
  const auto contradicts = [&](const std::string& file) {
    return fail(Errc::corruption, folder_ + "/" + std::string(kMarkName) +
                                      ": it ends the log at batch " + std::to_string(end.value) +
                                      ", and " + file + " contradicts that");
  };
  // As `LogWriter::go_back` chooses it.
  auto last = static_cast<std::size_t>(
      std::ranges::lower_bound(segments, end, {}, &SegmentOnDisk::first_batch) - segments.begin());
  bool sealed_before = last == 0;
  if (last > 0) {
    KEELSON_TRY_ASSIGN(const SegmentHeader before, read_header(segments[last - 1]));
    KEELSON_TRY_ASSIGN(sealed_before, was_sealed(segments[last - 1], before));
    if (!sealed_before) --last;
  }
  if (last == segments.size()) return contradicts(segments.empty() ? "" : segments.back().name);
  if (sealed_before && segments[last].first_batch != end) return contradicts(segments[last].name);
  for (std::size_t i = last; i < segments.size(); ++i) {
    KEELSON_TRY_ASSIGN(const bool indexed,
                       files_.exists(index_path(folder_ + "/" + segments[i].name)));
    // Those that go have never been sealed.
    if (segments[i].form != SegmentForm::plain || (indexed && i > last)) {
      return contradicts(segments[i].name);
    }
  }
  KEELSON_TRY_ASSIGN(SegmentHeader header, read_header(segments[last]));
  const std::string path = folder_ + "/" + segments[last].name;
  KEELSON_TRY_ASSIGN(const auto file, SegmentFile::open(files_, path, io::OpenMode::read_write));
  const auto place = scan_until(file->bytes, header.start, end, log_.seed);
  KEELSON_TRY(file->check_read());
  if (!place) return fail(place.error().code, path + ": " + place.error().context);
  KEELSON_TRY(remove_segments_after(files_, folder_, segments[last].first_batch));
  const std::uint64_t usual = first_segment_bytes(options_.segment_bytes);
  if (end == BatchNo(0) && header.capacity != usual) {
    header.capacity = usual;
    KEELSON_TRY(create_segment(files_, folder_, header));
  } else {
    KEELSON_TRY(zero_rest(*file->file, file->bytes, place->position));
    KEELSON_TRY(file->check_read());
    KEELSON_TRY(file->file->sync());
  }
  KEELSON_TRY(files_.sync_folder(folder_));
  KEELSON_TRY(lift_mark(files_, folder_));
  return files_.sync_folder(folder_);
}

/// Where `batch` lies, which is below the appended end, or where it will.
/// @error below_start, io_error, corruption
Result<DiskLog::ReadPlace> DiskLog::find_batch(BatchNo batch) const {
  // First: a place that was found before a cut is then not taken for one found after it.
  const std::uint64_t cuts = writer_->cuts();
  const auto segments = log_.segments.all();
  const auto after = std::ranges::upper_bound(
      *segments, batch, {},
      [](const std::shared_ptr<Segment>& segment) { return segment->start().next_batch; });
  KEELSON_ASSERT(after != segments->begin());
  const auto& segment = *std::prev(after);
  KEELSON_TRY_ASSIGN(auto open, segment->open());
  if (open->removed()) return removed(log_, "batch " + std::to_string(batch.value));
  const BatchNo first = segment->start().next_batch;
  ReadPlace place{segment, std::move(open), kSegmentHeaderBytes, first, cuts};
  // The index knows what is published; from there on, by the headers.
  if (const std::uint32_t indexed = place.open->index().batch_count(); indexed > 0) {
    const auto nearest =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(batch - first, indexed - 1));
    KEELSON_TRY_ASSIGN(const BatchEntry entry, place.open->index().batch(nearest));
    place.position = entry.file_position;
    place.next_batch = first + nearest;
  }
  const ReadPlace& known = read_on_;
  if (known.segment == segment && known.cuts == cuts && known.next_batch <= batch &&
      known.next_batch > place.next_batch) {
    place.position = known.position;
    place.next_batch = known.next_batch;
  }
  while (place.next_batch < batch) KEELSON_TRY(next_batch(place));
  return place;
}

/// The batch at `place`, which moves past it.
Result<StoredBatch> DiskLog::next_batch(ReadPlace& place) const {
  while (place.position == place.segment->used_end()) {
    auto segment = segment_starting_at(*log_.segments.all(), place.next_batch);
    if (segment == nullptr) {
      return fail(Errc::corruption, place.segment->path() + ": no segment follows with batch " +
                                        std::to_string(place.next_batch.value));
    }
    KEELSON_TRY_ASSIGN(place.open, segment->open());
    if (place.open->removed()) {
      return removed(log_, "batch " + std::to_string(place.next_batch.value));
    }
    place.segment = std::move(segment);
    place.position = kSegmentHeaderBytes;
  }
  KEELSON_TRY_ASSIGN(StoredBatch batch, batch_at(place.open->file(), place.position, log_.seed));
  if (batch.header.batch_no != place.next_batch) {
    return std::unexpected(
        located({Errc::corruption, "expected batch " + std::to_string(place.next_batch.value), {}},
                place.open->file(), place.position));
  }
  place.position += batch.header.padded_bytes();
  ++place.next_batch;
  return batch;
}

Result<EncodedBatches> DiskLog::read_batches(BatchNo from, BatchNo end,
                                             std::uint64_t bytes_max) const {
  KEELSON_ASSERT(from < end);
  const auto read = [&]() -> Result<EncodedBatches> {
    KEELSON_TRY_ASSIGN(ReadPlace place, find_batch(from));
    EncodedBatches found{from, from, {}};
    while (found.end < end) {
      ReadPlace next = place;
      KEELSON_TRY_ASSIGN(const StoredBatch batch, next_batch(next));
      if (found.end > from && found.bytes.size() + batch.bytes.size() > bytes_max) break;
      found.bytes += batch.bytes;
      KEELSON_TRY(next.open->file().check_read(batch.position, batch.bytes.size()));
      place = std::move(next);
      found.end = place.next_batch;
    }
    read_on_ = std::move(place);
    read_on_.open.reset();  // nobody reads it until the next call
    return found;
  };
  return repairing(log_, read);
}

std::optional<BatchRegion> DiskLog::region_of(BatchNo from, BatchNo end,
                                              std::uint64_t bytes_max) const {
  const auto segments = log_.segments.all();
  const auto after = std::ranges::upper_bound(
      *segments, from, {},
      [](const std::shared_ptr<Segment>& segment) { return segment->start().next_batch; });
  KEELSON_ASSERT(after != segments->begin());
  const Segment& segment = **std::prev(after);
  if (!segment.sealed()) return std::nullopt;
  const auto open = segment.open();
  if (!open || (*open)->removed() || (*open)->file().compressed) return std::nullopt;
  const SegmentIndex& index = (*open)->index();
  const BatchNo start = segment.start().next_batch;
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(index.batch_count(), end - start));
  const auto first = static_cast<std::uint32_t>(from - start);
  const auto position_of = [&](std::uint32_t batch) -> std::optional<std::uint64_t> {
    if (batch == index.batch_count()) return segment.used_end();
    const auto entry = index.batch(batch);
    if (!entry) return std::nullopt;
    return entry->file_position;
  };
  const auto begin = position_of(first);
  // The most that fit: batches [first, low) do, [first, high) do not.
  std::uint32_t low = first;
  std::uint32_t high = count + 1;
  while (begin && high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    const auto position = position_of(middle);
    if (!position) return std::nullopt;
    (*position - *begin <= bytes_max ? low : high) = middle;
  }
  const auto stop = position_of(low);
  if (!begin || !stop || low == first) return std::nullopt;
  const auto& file = (*open)->shared_file();
  return BatchRegion{from,
                     start + low,
                     {std::shared_ptr<const io::File>(file, file->file.get()), *begin,
                      static_cast<std::uint32_t>(*stop - *begin)}};
}

/// The epoch of the batch before `batch`.
Result<Epoch> DiskLog::epoch_before(BatchNo batch) const {
  if (batch == BatchNo(0)) return Epoch(0);
  const auto segments = log_.segments.all();
  if (const auto next = segment_starting_at(*segments, batch); next && !next->removed()) {
    return next->start().last_epoch;
  }
  KEELSON_TRY_ASSIGN(ReadPlace place, find_batch(BatchNo(batch.value - 1)));
  KEELSON_TRY_ASSIGN(const StoredBatch before, next_batch(place));
  return before.header.epoch;
}

Result<LogTail> DiskLog::tail(BatchNo from, BatchNo end) const {
  KEELSON_ASSERT(from <= end);
  const auto find = [&]() -> Result<LogTail> {
    KEELSON_TRY_ASSIGN(const Epoch before, epoch_before(from));
    LogTail tail{from, before, {}, end};
    const auto segments = log_.segments.all();
    for (BatchNo at = from; at < end;) {
      KEELSON_TRY_ASSIGN(ReadPlace place, find_batch(at));
      KEELSON_TRY_ASSIGN(const StoredBatch first, next_batch(place));
      const auto add = [&](const StoredBatch& batch) {
        const Epoch epoch = batch.header.epoch;
        if (!tail.epochs.empty() && tail.epochs.back().epoch == epoch) return;
        tail.epochs.push_back({epoch, batch.header.batch_no});
      };
      add(first);
      const auto following = std::ranges::upper_bound(
          *segments, at, {},
          [](const std::shared_ptr<Segment>& segment) { return segment->start().next_batch; });
      const bool last = following == segments->end() || (*following)->start().next_batch >= end;
      const BatchNo segment_end = last ? end : (*following)->start().next_batch;
      // Epochs never go back: with the same one at both ends there is no other between.
      const bool one_epoch =
          following != segments->end() && (*following)->start().last_epoch == first.header.epoch;
      while (!one_epoch && place.next_batch < segment_end) {
        KEELSON_TRY_ASSIGN(const StoredBatch batch, next_batch(place));
        add(batch);
      }
      at = segment_end;
    }
    return tail;
  };
  return repairing(log_, find);
}

Result<Offset> DiskLog::offset_of(BatchNo batch) const {
  const auto find = [&]() -> Result<Offset> {
    KEELSON_TRY_ASSIGN(ReadPlace place, find_batch(batch));
    KEELSON_TRY_ASSIGN(const StoredBatch found, next_batch(place));
    return found.header.base_offset;
  };
  return repairing(log_, find);
}

}  // namespace keelson::log
