#include "engine/log/past_segments.h"

#include <algorithm>
#include <utility>

#include "engine/log/log_format.h"
#include "engine/log/segment_header.h"
#include "engine/log/segment_sealer.h"

namespace keelson::log {

namespace {

/// The name that the segment of the index file `name` had; nothing when it is no such file.
std::string segment_of_past(const std::string& name) {
  if (!name.ends_with(kPastSuffix)) return {};
  std::string segment = name.substr(0, name.size() - kPastSuffix.size());
  segment += kSegmentSuffix;
  return parse_segment_name(segment) ? segment : std::string();
}

/// The index in the file `path`, if it is that of the segment which begins at `start`.
Result<std::pair<SegmentId, std::shared_ptr<const SealedIndex>>> load_next(io::FileSystem& files,
                                                                           const std::string& path,
                                                                           const Uuid& identity,
                                                                           const LogPoint& start) {
  KEELSON_TRY_ASSIGN(auto loaded, load_past_index(files, path));
  const SegmentId& id = loaded.first;
  if (id.partition == identity && id.first_batch == start.next_batch &&
      id.base_offset == start.end) {
    return loaded;
  }
  return fail(Errc::corruption, path + ": what was removed before it ends at batch " +
                                    std::to_string(start.next_batch.value) +
                                    ", and this is the index of batch " +
                                    std::to_string(id.first_batch.value));
}

/// Where the segment ends that begins at `start` and has this index.
Result<LogPoint> end_of(const SealedIndex& index, const std::string& path, LogPoint start) {
  start.next_batch = start.next_batch + index.batch_count();
  start.end = start.end + index.event_count();
  if (index.batch_count() > 0) {
    const auto last = index.batch(index.batch_count() - 1);
    if (!last) return fail(last.error().code, path + ": " + last.error().context);
    start.last_time = last->time;
  }
  return start;
}

/// Adds the segment that follows `past` if the index at `path` is its.
Result<void> add_next(io::FileSystem& files, const std::string& path, const Uuid& identity,
                      Past& past) {
  const std::string file = past_path(path);
  KEELSON_TRY_ASSIGN(const auto loaded, load_next(files, file, identity, past.end));
  const auto& [id, index] = loaded;
  if (!path.ends_with("/" + segment_name(id.first_batch))) {
    return fail(Errc::corruption,
                file + ": this is the index of batch " + std::to_string(id.first_batch.value));
  }
  past.segments.push_back({path, past.end, id.used_end, index->file_bytes()});
  KEELSON_TRY_ASSIGN(past.end, end_of(*index, file, past.end));
  return {};
}

}  // namespace

bool Past::contains(BatchNo first_batch) const {
  return std::ranges::binary_search(segments, first_batch, {}, [](const PastSegment& segment) {
    return segment.start.next_batch;
  });
}

Result<LogPoint> look_at_past(io::FileSystem& files, const std::string& path, const Uuid& identity,
                              const LogPoint& start) {
  KEELSON_TRY_ASSIGN(const auto loaded, load_next(files, path, identity, start));
  return end_of(*loaded.second, path, start);
}

Result<Past> read_past(io::FileSystem& files, const std::string& folder, const Uuid& identity,
                       const std::vector<std::string>& names) {
  std::vector<std::string> segments;
  for (const std::string& name : names) {
    if (auto segment = segment_of_past(name); !segment.empty()) {
      segments.push_back(std::move(segment));
    }
  }
  std::ranges::sort(segments);
  Past past;
  for (const std::string& segment : segments) {
    KEELSON_TRY(add_next(files, folder + "/" + segment, identity, past));
  }
  return past;
}

}  // namespace keelson::log
