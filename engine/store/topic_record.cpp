#include "engine/store/topic_record.h"

#include <charconv>
#include <map>

#include "engine/io/checked_text.h"
#include "engine/log/log_format.h"

namespace keelson {

namespace {

constexpr std::string_view kTitle = "keelson topic 1\n";
constexpr std::uint32_t kPartitionsMax = 1024;
constexpr std::uint32_t kReplicasMax = 7;
/// 68 years.
constexpr std::chrono::seconds kRetentionAgeMax{INT32_MAX};

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "topic record: " + std::string(what));
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

Result<void> read_codec(const std::map<std::string_view, std::string_view>& fields,
                        std::string_view name, log::Codec& codec) {
  const auto field = fields.find(name);
  if (field == fields.end()) return {};
  if (field->second != "zstd") return damaged(name);
  codec = log::Codec::zstd;
  return {};
}

}  // namespace

Result<void> check_topic_options(const TopicOptions& options) {
  if (options.partitions < 1 || options.partitions > kPartitionsMax) {
    return fail(Errc::bad_request, "partitions must be 1…" + std::to_string(kPartitionsMax));
  }
  if (options.segment_bytes < log::kSegmentBytesMin ||
      options.segment_bytes > log::kSegmentBytesMax) {
    return fail(Errc::bad_request, "segment_bytes must be 64 KiB…1 GiB");
  }
  if (options.retention.age.count() < 0 || options.retention.age > kRetentionAgeMax) {
    return fail(Errc::bad_request, "retention_seconds must be 0…" +
                                       std::to_string(kRetentionAgeMax.count()) +
                                       ", 0 to keep all");
  }
  const std::uint32_t replicas = options.replication_factor;
  if (replicas != 0 && (replicas > kReplicasMax || replicas % 2 == 0)) {
    return fail(Errc::bad_request,
                "replication_factor must be odd, 1…" + std::to_string(kReplicasMax));
  }
  return {};
}

Uuid partition_identity(const Uuid& topic, PartitionId partition) {
  Uuid identity = topic;
  for (int i = 0; i < 4; ++i) {
    identity.bytes[i] ^= static_cast<std::byte>(partition.value >> (8 * i));
  }
  return identity;
}

std::string encode_topic_record(const TopicRecord& record) {
  std::string text(kTitle);
  text += "id " + to_hex(record.id) + "\n";
  text += "partitions " + std::to_string(record.options.partitions) + "\n";
  text += std::string("durability ") +
          (record.options.durability == Durability::fsync ? "fsync" : "os") + "\n";
  text += "segment_bytes " + std::to_string(record.options.segment_bytes) + "\n";
  // Only where it is set: what does not need them is readable without.
  if (const auto age = record.options.retention.age.count(); age != 0) {
    text += "retention_seconds " + std::to_string(age) + "\n";
  }
  if (const auto bytes = record.options.retention.bytes; bytes != 0) {
    text += "retention_bytes " + std::to_string(bytes) + "\n";
  }
  if (record.options.codec != log::Codec::none) text += "codec zstd\n";
  if (record.options.sealed_codec != log::Codec::none) text += "sealed_codec zstd\n";
  if (const auto replicas = record.options.replication_factor; replicas != 0) {
    text += "replication_factor " + std::to_string(replicas) + "\n";
  }
  return io::with_checksum(std::move(text));
}

Result<TopicRecord> decode_topic_record(std::string_view text) {
  if (!text.starts_with("keelson topic ")) return damaged("not one");
  if (!text.starts_with(kTitle)) {
    return fail(Errc::unsupported_format, "topic record of another version of Keelson: " +
                                              std::string(text.substr(0, text.find('\n'))));
  }
  const auto lines = io::without_checksum(text);
  if (!lines) return damaged(lines.error().context);
  std::map<std::string_view, std::string_view> fields;
  std::string_view rest = lines->substr(kTitle.size());
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return damaged("a line without a value");
    fields[line.substr(0, space)] = line.substr(space + 1);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  TopicRecord record;
  const auto id = uuid_from_hex(fields["id"]);
  if (!id) return damaged("id");
  record.id = *id;
  if (!read_number(fields["partitions"], record.options.partitions)) return damaged("partitions");
  if (!read_number(fields["segment_bytes"], record.options.segment_bytes)) {
    return damaged("segment_bytes");
  }
  if (fields["durability"] == "fsync") {
    record.options.durability = Durability::fsync;
  } else if (fields["durability"] == "os") {
    record.options.durability = Durability::os;
  } else {
    return damaged("durability");
  }
  if (fields.contains("retention_seconds")) {
    std::chrono::seconds::rep seconds = 0;
    if (!read_number(fields["retention_seconds"], seconds)) return damaged("retention_seconds");
    record.options.retention.age = std::chrono::seconds(seconds);
  }
  if (fields.contains("retention_bytes") &&
      !read_number(fields["retention_bytes"], record.options.retention.bytes)) {
    return damaged("retention_bytes");
  }
  KEELSON_TRY(read_codec(fields, "codec", record.options.codec));
  KEELSON_TRY(read_codec(fields, "sealed_codec", record.options.sealed_codec));
  if (fields.contains("replication_factor") &&
      !read_number(fields["replication_factor"], record.options.replication_factor)) {
    return damaged("replication_factor");
  }
  if (const auto fit = check_topic_options(record.options); !fit) {
    return damaged(fit.error().context);
  }
  // A line twice, or one that is not known here: dropping it would change what the topic is.
  if (encode_topic_record(record) != text) return damaged("not as this version writes it");
  return record;
}

}  // namespace keelson
