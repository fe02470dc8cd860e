// Making the index of a sealed segment again, when a look-up has found it damaged.
#include <memory>
#include <mutex>
#include <utility>

#include "engine/log/disk_log.h"
#include "engine/log/index_feed.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_scan.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

/// Makes every index again that is known to be damaged. @return whether a look-up that met a
/// damaged one may go better now: so it may when another thread was quicker.
/// @error corruption  the segment is damaged as well: context has file and byte.
Result<bool> DiskLog::repair_indexes(std::uint64_t repairs_before) {
  const std::lock_guard lock(repair_mutex_);
  const auto segments = log_.segments.all();
  // The last one is being written, with its index in memory.
  for (std::size_t i = 0; i + 1 < segments->size(); ++i) {
    Segment& segment = *(*segments)[i];
    // Of one that retention has removed there is nothing to make it from.
    if (!segment.index_damaged() || segment.removed()) continue;
    KEELSON_TRY(repair_index(segment, (*segments)[i + 1]->start()));
    log_.index_repairs.fetch_add(1, std::memory_order_release);
  }
  return log_.index_repairs.load(std::memory_order_acquire) != repairs_before;
}

/// Who uses the damaged index still goes on with it. Crash: the index file is replaced as a whole.
Result<void> DiskLog::repair_index(Segment& segment, const LogPoint& next) {
  const LogPoint& start = segment.start();
  const SegmentForm form = segment.form();
  KEELSON_TRY_ASSIGN(const SegmentHeader header,
                     read_header({segment_name(start.next_batch), start.next_batch, form}));
  KEELSON_TRY_ASSIGN(const auto file,
                     SegmentFile::open_form(files_, segment.path(), form, log_.context.open));
  KEELSON_TRY(file->need(0, file->bytes.size()));
  const auto index = std::make_shared<TailIndex>(file->bytes.size());
  const auto end = scan_sealed(file->bytes, header.start, next, log_.seed, [&](const auto& batch) {
    return add_to_index(*index, log_.hasher, start, batch);
  });
  KEELSON_TRY(file->check_read());
  if (!end) {
    return fail(end.error().code, file->path + ": " + end.error().context);
  }
  const auto batches = static_cast<std::uint32_t>(next.next_batch - start.next_batch);
  index->publish(batches);
  // When it cannot be written (a full disk), the one in memory serves until the next start.
  if (write_index(files_, segment.path(), *index, segment.id())) {
    segment.seal();
  } else {
    segment.hold(std::make_shared<OpenSegment>(file, index, batches));
  }
  return {};
}

}  // namespace keelson::log
