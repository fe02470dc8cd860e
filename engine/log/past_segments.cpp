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

/// Adds the segment that follows `past` if the index at `path` is its.
Result<void> add_next(io::FileSystem& files, const std::string& path, const Uuid& identity,
                      Past& past) {
  const std::string file = past_path(path);
  KEELSON_TRY_ASSIGN(const auto loaded, load_past_index(files, file));
  const auto& [id, index] = loaded;
  const bool follows = id.partition == identity && id.first_batch == past.end.next_batch &&
                       id.base_offset == past.end.end &&
                       path.ends_with("/" + segment_name(id.first_batch));
  if (!follows) {
    return fail(Errc::corruption, file + ": what was removed before it ends at batch " +
                                      std::to_string(past.end.next_batch.value) +
                                      ", and this is the index of batch " +
                                      std::to_string(id.first_batch.value));
  }
  past.segments.push_back({path, past.end, id.used_end, index->file_bytes()});
  past.end.next_batch = id.first_batch + index->batch_count();
  past.end.end = id.base_offset + index->event_count();
  if (index->batch_count() > 0) {
    const auto last = index->batch(index->batch_count() - 1);
    if (!last) return fail(last.error().code, file + ": " + last.error().context);
    past.end.last_time = last->time;
  }
  return {};
}

}  // namespace

bool Past::contains(BatchNo first_batch) const {
  return std::ranges::binary_search(segments, first_batch, {}, [](const PastSegment& segment) {
    return segment.start.next_batch;
  });
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
