#include "engine/cluster/last_records.h"

#include "engine/io/checked_text.h"
#include "engine/replication/record_text.h"

namespace keelson::cluster {

using replication::number_from;
using replication::Revision;
using replication::take_line;

namespace {

constexpr std::string_view kRecordTitle = "keelson last-record 1\n";
constexpr std::string_view kPlacementTitle = "keelson last-placement 1\n";
constexpr std::uint64_t kRecordBytesMax = 64u << 10;
constexpr std::uint64_t kPlacementBytesMax = 4u << 20;

std::string record_path(const std::string& folder) { return folder + "/last-record"; }
std::string placement_path(const std::string& folder) { return folder + "/last-placement"; }

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "last record: " + std::string(what));
}

/// The lines after the title, without the checksum.
Result<std::string_view> content(std::string_view text, std::string_view title) {
  const std::string_view name = title.substr(0, title.rfind(' ') + 1);
  if (!text.starts_with(name)) return damaged("not one");
  if (!text.starts_with(title)) {
    return fail(Errc::unsupported_format, "a record of another version of Keelson: " +
                                              std::string(text.substr(0, text.find('\n'))));
  }
  KEELSON_TRY_ASSIGN(std::string_view lines, io::without_checksum(text));
  lines.remove_prefix(title.size());
  return lines;
}

/// Nothing when there is no such file.
Result<std::optional<std::string>> read(io::FileSystem& files, const std::string& path,
                                        std::uint64_t bytes_max) {
  KEELSON_TRY_ASSIGN(const bool there, files.exists(path));
  if (!there) return std::nullopt;
  auto text = io::read_file(files, path, bytes_max);
  if (!text && text.error().code == Errc::too_large) {
    return fail(Errc::corruption, path + ": longer than any record");
  }
  if (!text) return std::unexpected(std::move(text).error());
  return *std::move(text);
}

}  // namespace

std::string encode_last_record(const Uuid& partition, const LastRecord& last) {
  return io::with_checksum(std::string(kRecordTitle) + "partition " + to_hex(partition) +
                           "\nrevision " + std::to_string(last.revision.value) + "\n" +
                           replication::encode_partition_record(last.record));
}

Result<LastRecord> decode_last_record(const Uuid& partition, std::string_view text) {
  KEELSON_TRY_ASSIGN(std::string_view rest, content(text, kRecordTitle));
  const auto of = take_line(rest, "partition");
  if (!of || *of != to_hex(partition)) return damaged("of another partition");
  const auto revision_text = take_line(rest, "revision");
  const auto revision = revision_text ? number_from<Revision::rep>(*revision_text) : std::nullopt;
  if (!revision) return damaged("revision");
  KEELSON_TRY_ASSIGN(auto record, replication::decode_partition_record(rest));
  return LastRecord{std::move(record), Revision(*revision)};
}

Result<void> store_last_record(io::FileSystem& files, const std::string& folder,
                               const Uuid& partition, const LastRecord& last) {
  return io::replace_file(files, record_path(folder), encode_last_record(partition, last));
}

Result<std::optional<LastRecord>> load_last_record(io::FileSystem& files, const std::string& folder,
                                                   const Uuid& partition) {
  const std::string path = record_path(folder);
  KEELSON_TRY_ASSIGN(const auto text, read(files, path, kRecordBytesMax));
  if (!text) return std::nullopt;
  auto last = decode_last_record(partition, *text);
  if (!last) return fail(last.error().code, path + ": " + last.error().context);
  return *std::move(last);
}

Result<void> store_last_placement(io::FileSystem& files, const std::string& folder,
                                  const TopicPlacement& placement) {
  return io::replace_file(
      files, placement_path(folder),
      io::with_checksum(std::string(kPlacementTitle) + encode_topic_placement(placement)));
}

Result<std::optional<TopicPlacement>> load_last_placement(io::FileSystem& files,
                                                          const std::string& folder) {
  const std::string path = placement_path(folder);
  KEELSON_TRY_ASSIGN(const auto text, read(files, path, kPlacementBytesMax));
  if (!text) return std::nullopt;
  const auto decode = [&]() -> Result<TopicPlacement> {
    KEELSON_TRY_ASSIGN(const std::string_view lines, content(*text, kPlacementTitle));
    return decode_topic_placement(lines);
  };
  auto placement = decode();
  if (!placement) return fail(placement.error().code, path + ": " + placement.error().context);
  return *std::move(placement);
}

}  // namespace keelson::cluster
