#include "engine/store/topic_folder.h"

#include <algorithm>
#include <utility>

namespace keelson {

namespace {

constexpr std::uint64_t kRecordBytesMax = 4096;
constexpr std::string_view kMarkerName = "topic.making";
/// What a crash while the marker is written leaves.
constexpr std::string_view kMarkerLeftOver = "topic.making.tmp";

bool is_partition(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<std::optional<TopicRecord>> TopicFolder::load() const {
  KEELSON_TRY_ASSIGN(auto record, read());
  // A crash just before the end of `finish`. With the marker there, losing the record later would
  // make debris of the events.
  if (record) KEELSON_TRY(remove_marker());
  return record;
}

Result<std::optional<TopicRecord>> TopicFolder::read() const {
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(record_path()));
  if (!there) return read_without_record();
  auto text = io::read_file(files_, record_path(), kRecordBytesMax);
  if (!text && text.error().code == Errc::too_large) {
    return fail(Errc::corruption, record_path() + ": longer than any topic record");
  }
  if (!text) return std::unexpected(std::move(text).error());
  auto record = decode_topic_record(*text);
  if (!record) return fail(record.error().code, record_path() + ": " + record.error().context);
  return *std::move(record);
}

Result<std::optional<TopicRecord>> TopicFolder::read_without_record() const {
  KEELSON_TRY_ASSIGN(const bool half_made, files_.exists(marker_path()));
  if (half_made) return std::nullopt;
  KEELSON_TRY_ASSIGN(const auto names, files_.list(path_));
  for (const std::string& name : names) {
    if (name == kMarkerLeftOver) continue;
    return fail(Errc::corruption, record_path() +
                                      " is missing, and the topic that it describes is " +
                                      "not: there is " + path_ + "/" + name);
  }
  return std::nullopt;
}

Result<void> TopicFolder::begin() const {
  KEELSON_TRY_ASSIGN(const bool marked, files_.exists(marker_path()));
  if (!marked) {
    KEELSON_TRY(
        io::replace_file(files_, marker_path(), "The topic in this folder is being made.\n"));
  }
  KEELSON_TRY_ASSIGN(const auto names, files_.list(path_));
  for (const std::string& name : names) {
    if (name == kMarkerName) continue;
    const std::string path = path_ + "/" + name;
    KEELSON_TRY(is_partition(name) ? files_.remove_all(path) : files_.remove(path));
  }
  return files_.sync_folder(path_);
}

Result<void> TopicFolder::finish(const TopicRecord& record) const {
  KEELSON_TRY(io::replace_file(files_, record_path(), encode_topic_record(record)));
  return remove_marker();
}

Result<void> TopicFolder::remove_marker() const {
  KEELSON_TRY_ASSIGN(const bool there, files_.exists(marker_path()));
  if (!there) return {};
  KEELSON_TRY(files_.remove(marker_path()));
  return files_.sync_folder(path_);
}

}  // namespace keelson
