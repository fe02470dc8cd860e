// Taking batches of another replica, and removing batches.
//
// Both put a mark into the folder while a crash could leave more than a torn tail: the number of
// the batch at which the log ends as far as it is durable. The next start removes all from there
// on. So what a batch says of those before it, that they were durable when it was written, is true
// in a log without a mark, whoever made the batch.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/log/log_writer.h"
#include "engine/log/segment_creation.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_scan.h"
#include "engine/log/tail_cut.h"

namespace keelson::log {

namespace {

/// More syncs than this between the batches of one call cost more than a mark, which takes three
/// of its own.
constexpr std::size_t kSyncsMax = 3;

/// How many syncs make true what the batches say of each other. All before `durable` is durable.
std::size_t syncs_between(std::span<const Incoming> batches, BatchNo durable) {
  std::size_t syncs = 0;
  for (const Incoming& one : batches) {
    for (const IncomingBatches::Run& run : one->runs) {
      const bool rolls = run.roll_for != 0;
      const bool sync = !rolls && run.claims > durable;
      if (sync) ++syncs;
      if (rolls || sync) durable = run.first;
    }
  }
  return syncs;
}

}  // namespace

/// Finishes what failed before, so that the disk holds what memory does.
Result<void> LogWriter::tidy() {
  if (failed_) return std::unexpected(*failed_);
  if (cut_unfinished_) return finish_cut();
  if (dirty_end_ != 0) KEELSON_TRY(clean_rest());
  if (!has_needless_segment()) return {};
  // There is nothing to be made zero, so no mark is needed.
  KEELSON_TRY(go_back(state_.point.next_batch));
  return finish_cut();
}

/// Whether the last segment is empty and was made for a batch that is not there: the batch that
/// comes instead might belong into the one before.
bool LogWriter::has_needless_segment() const {
  if (!fill_.empty()) return false;
  const BatchNo first = state_.point.next_batch;
  return first == BatchNo(0) ? fill_.capacity != first_segment_bytes(options_.segment_bytes)
                             : first > floor_;
}

Result<Incoming> LogWriter::verify_batches(std::string batches,
                                           const IncomingBatches* before) const {
  auto verified = std::make_shared<IncomingBatches>();
  verified->bytes = std::move(batches);
  // What is appended is made durable before anything of it is written.
  verified->before =
      before != nullptr ? before->after : LogPlace{state_, fill_, state_.point.next_batch};
  KEELSON_TRY(verify(*verified));
  return verified;
}

/// Verifies the bytes of `batches` and says how they are written. Reads nothing of the writer that
/// changes.
Result<void> LogWriter::verify(IncomingBatches& batches) const {
  const std::string_view bytes = batches.bytes;
  BatchScan scan(bytes, batches.before.state, seed_, 0);
  SegmentFill fill = batches.before.fill;
  BatchNo durable = batches.before.durable;
  std::size_t run_begin = 0;
  const auto end_run = [&] {
    if (batches.runs.empty()) return;
    IncomingBatches::Run& run = batches.runs.back();
    run.bytes = bytes.substr(run_begin, scan.position() - run_begin);
    run.after = scan.state();
    run_begin = scan.position();
  };
  while (scan.position() < bytes.size()) {
    KEELSON_TRY_ASSIGN(const FoundBatch found, scan.look());
    if (found != FoundBatch::whole) {
      return fail(Errc::corruption, "batch " + std::to_string(scan.state().point.next_batch.value) +
                                        " at byte " + std::to_string(scan.position()) +
                                        " of what was sent fails its checksum");
    }
    const BatchHeader& header = scan.batch().header;
    const std::uint64_t padded = header.padded_bytes();
    const std::uint64_t entries = std::uint64_t{header.event_count} + header.commit_count;
    const bool rolls = !fill.takes(padded, entries);
    const bool claims_more = header.durable_batches > durable;
    if (batches.runs.empty() || rolls || claims_more) {
      end_run();
      batches.runs.emplace_back().first = header.batch_no;
    }
    IncomingBatches::Run& run = batches.runs.back();
    if (rolls) fill = fill.next(options_.segment_bytes, padded);
    if (rolls) run.roll_for = padded;
    if (rolls || claims_more) durable = header.batch_no;
    run.claims = std::max(run.claims, header.durable_batches);
    run.entries += entries;
    fill.add(padded, entries);
    KEELSON_TRY(scan.take());
  }
  end_run();
  batches.after = {std::move(scan.state()), fill, durable};
  return {};
}

Result<void> LogWriter::append_batches(std::span<const Incoming> batches) {
  KEELSON_TRY(tidy());
  if (batches.empty()) return {};
  if (batches.front()->before.state.point != state_.point) {
    return fail(Errc::corruption,
                "what was verified follows batch " +
                    std::to_string(batches.front()->before.state.point.next_batch.value) +
                    ", and the log ends with " + std::to_string(state_.point.next_batch.value));
  }
  if (batches.front()->before.fill == fill_) return write_batches(batches);
  // A segment that was made in vain has been removed since: they go elsewhere.
  std::vector<Incoming> anew;
  for (const Incoming& one : batches) {
    KEELSON_TRY_ASSIGN(Incoming verified,
                       verify_batches(one->bytes, anew.empty() ? nullptr : anew.back().get()));
    anew.push_back(std::move(verified));
  }
  return write_batches(anew);
}

Result<void> LogWriter::write_batches(std::span<const Incoming> batches) {
  const BatchNo before = state_.point.next_batch;
  if (batches.back()->after.state.point.next_batch == before) return {};
  if (durable_batches_ != before) KEELSON_TRY(sync());
  const bool marked = syncs_between(batches, before) > kSyncsMax;
  if (marked) KEELSON_TRY(mark(before));
  auto written = write_runs(batches, marked);
  if (written && marked) written = unmark();
  if (written || failed_) return written;
  if (!marked) {
    // Those before the one that failed stay.
    KEELSON_TRY(sync());
    return written;
  }
  // Nothing of it counts on disk, so nothing does here.
  if (auto back = go_back(before); !back) {
    failed_ = back.error();
    return back;
  }
  // If it fails the next one tries again.
  [[maybe_unused]] const auto finished = finish_cut();
  return failed_ ? std::unexpected(*failed_) : written;
}

/// @param marked  a crash removes all of them, so nothing is synced on the way.
Result<void> LogWriter::write_runs(std::span<const Incoming> batches, bool marked) {
  for (const Incoming& one : batches) {
    for (const IncomingBatches::Run& run : one->runs) {
      if (run.roll_for != 0) {
        KEELSON_TRY(roll(run.roll_for));
      } else if (!marked && run.claims > durable_batches_) {
        KEELSON_TRY(sync());
      }
      KEELSON_TRY(zero_ahead(run.bytes.size()));
      KEELSON_TRY(write(run.bytes, 0, run.bytes.size()));
      // The disk need not wait until all of it is there.
      if (run.bytes.size() >= kLargeWriteBytes) {
        file_->file->begin_sync(fill_.position, run.bytes.size());
      }
      fill_.add(run.bytes.size(), run.entries);
      accept(run.after);
    }
  }
  return sync();
}

Result<void> LogWriter::mark(BatchNo end) {
  KEELSON_TRY_ASSIGN(const auto file, write_mark(context_.files, folder_, context_.identity, end));
  KEELSON_TRY(remember(file->sync()));
  KEELSON_TRY(place_mark(context_.files, folder_));
  marked_ = true;
  return sync_folder();
}

Result<void> LogWriter::unmark() {
  if (!marked_) return {};
  KEELSON_TRY(lift_mark(context_.files, folder_));
  KEELSON_TRY(sync_folder());
  marked_ = false;
  return {};
}

Result<void> LogWriter::cut(BatchNo to) {
  KEELSON_TRY(tidy());
  KEELSON_ASSERT(to >= floor_ && to <= state_.point.next_batch);
  if (to == state_.point.next_batch) return sync();
  // What stays is durable before the mark says so.
  KEELSON_TRY(sync());
  KEELSON_TRY(mark(to));
  if (auto back = go_back(to); !back) {
    failed_ = back.error();
    return back;
  }
  return finish_cut();
}

/// In memory: the log ends at `to`, which is not before the floor. On disk it does after
/// `finish_cut`.
/// @error corruption  what stays is damaged; nothing has changed.
Result<void> LogWriter::go_back(BatchNo to) {
  const auto segments = segments_.all();
  // The last one that has a batch before `to`. A segment without batches is there for what may
  // come instead to be put into only when there is nothing else: what is below the floor is sealed.
  const auto after = std::ranges::lower_bound(
      *segments, to, {},
      [](const std::shared_ptr<Segment>& segment) { return segment->start().next_batch; });
  std::size_t count = static_cast<std::size_t>(after - segments->begin());
  if (count == 0 || (*segments)[count - 1]->start().next_batch < floor_) ++count;
  KEELSON_ASSERT(count <= segments->size());
  Segment& last = *(*segments)[count - 1];
  KEELSON_TRY_ASSIGN(const auto open, last.open());  // not sealed, so held
  const auto header = decode_segment_header(open->file().bytes, context_.identity);
  KEELSON_TRY(open->file().check_read(0, kSegmentHeaderBytes));
  if (!header) return std::unexpected(header.error());
  auto place = scan_until(open->file().bytes, header->start, to, seed_);
  KEELSON_TRY(open->file().check_read());
  if (!place) {
    return fail(place.error().code, last.path() + ": " + place.error().context);
  }
  cuts_.fetch_add(1, std::memory_order_acq_rel);
  segments_.keep(count);
  last.write_on();
  enter(std::shared_ptr<const SegmentFile>(open, &open->file()),
        {open->file().bytes.size(), place->position, place->entries});
  durable_batches_ = std::min(durable_batches_, to);
  dirty_end_ = 0;
  cut_unfinished_ = true;
  accept(std::move(place->state));
  return {};
}

/// On disk: removes what `go_back` has left behind. May be done again.
Result<void> LogWriter::finish_cut() {
  KEELSON_ASSERT(cut_unfinished_);
  const BatchNo last = segments_.all()->back()->start().next_batch;
  KEELSON_TRY(remove_segments_after(context_.files, folder_, last));
  if (state_.point.next_batch == BatchNo(0) && has_needless_segment()) {
    KEELSON_TRY(remake_first());
  } else {
    KEELSON_TRY(zero_rest(*file_->file, file_->bytes, fill_.position));
    KEELSON_TRY(file_->check_read());
    KEELSON_TRY(sync());
  }
  KEELSON_TRY(sync_folder());
  KEELSON_TRY(unmark());
  cut_unfinished_ = false;
  return {};
}

/// Makes the first segment as it is made at the beginning, in place of one that was made for a
/// large batch. The caller syncs the folder.
Result<void> LogWriter::remake_first() {
  SegmentHeader header;
  header.identity = context_.identity;
  header.capacity = first_segment_bytes(options_.segment_bytes);
  KEELSON_TRY_ASSIGN(auto file, create_segment(context_.files, folder_, header));
  // Who publishes goes on to the new one.
  segments_.all()->back()->fix_end(kSegmentHeaderBytes);
  segments_.add(std::make_shared<Segment>(context_, LogPoint{}, file));
  enter(std::move(file), {header.capacity, kSegmentHeaderBytes, 0});
  return {};
}

void LogWriter::start_over(LogState state, std::shared_ptr<const SegmentFile> file) {
  cuts_.fetch_add(1, std::memory_order_acq_rel);
  floor_ = durable_batches_ = state.point.next_batch;
  dirty_end_ = 0;
  cut_unfinished_ = marked_ = false;
  const std::uint64_t capacity = file->bytes.size();
  enter(std::move(file), {capacity, kSegmentHeaderBytes, 0});
  accept(std::move(state));
}

}  // namespace keelson::log
