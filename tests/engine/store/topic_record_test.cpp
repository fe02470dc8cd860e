#include "engine/store/topic_record.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/log/batch.h"

using namespace keelson;

namespace {

/// The lines of a record, as it is written.
const std::string kLines =
    "keelson topic 1\nid 000102030405060708090a0b0c0d0e0f\npartitions 4\ndurability os\n"
    "segment_bytes 1048576\n";

/// `lines` with the checksum that belongs to them.
std::string record(const std::string& lines) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::uint64_t hash = log::checksum(lines, 0);
  std::string text = lines + "checksum ";
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[hash >> shift & 15];
  return text + "\n";
}

std::string replaced(std::string lines, const std::string& part, const std::string& with) {
  const auto at = lines.find(part);
  REQUIRE(at != std::string::npos);
  return record(lines.replace(at, part.size(), with));
}

Errc code_of(const std::string& text) {
  const auto decoded = decode_topic_record(text);
  CAPTURE(text);
  REQUIRE_FALSE(decoded.has_value());
  return decoded.error().code;
}

}  // namespace

TEST_CASE("topic record: read back as it was written") {
  const auto decoded = decode_topic_record(record(kLines));
  REQUIRE(decoded);
  CHECK(decoded->options.partitions == 4);
  CHECK(decoded->options.durability == Durability::os);
  CHECK(decoded->options.segment_bytes == 1u << 20);
  CHECK(encode_topic_record(*decoded) == record(kLines));
}

TEST_CASE("topic record: retention and codec are in it where they are set") {
  const std::string lines =
      kLines +
      "retention_seconds 60\nretention_bytes 1000\ncodec zstd\nsealed_codec zstd\n"
      "replication_factor 3\n";
  const auto decoded = decode_topic_record(record(lines));
  REQUIRE(decoded);
  CHECK(decoded->options.retention ==
        log::Retention{.bytes = 1000, .age = std::chrono::minutes(1)});
  CHECK(decoded->options.codec == log::Codec::zstd);
  CHECK(decoded->options.sealed_codec == log::Codec::zstd);
  CHECK(decoded->options.replication_factor == 3);
  CHECK(encode_topic_record(*decoded) == record(lines));
  CHECK(code_of(record(kLines + "retention_seconds 0\n")) == Errc::corruption);
  CHECK(code_of(record(kLines + "retention_seconds -1\n")) == Errc::corruption);
  CHECK(code_of(record(kLines + "retention_bytes many\n")) == Errc::corruption);
}

TEST_CASE("topic record: what this version does not write is refused, under a right checksum too") {
  CHECK(code_of(replaced(kLines, "partitions 4", "partitions 0")) == Errc::corruption);
  CHECK(code_of(replaced(kLines, "partitions 4", "partitions 1025")) == Errc::corruption);
  CHECK(code_of(replaced(kLines, "partitions 4", "partitions 04")) == Errc::corruption);
  CHECK(code_of(replaced(kLines, "1048576", "65535")) == Errc::corruption);
  CHECK(code_of(replaced(kLines, "1048576", "1073741825")) == Errc::corruption);
  CHECK(code_of(replaced(kLines, "durability os", "durability none")) == Errc::corruption);
  // A line twice: which one would count? And one that is not known: it may change what a topic is.
  CHECK(code_of(record(kLines + "partitions 8\n")) == Errc::corruption);
  CHECK(code_of(record(kLines + "color blue\n")) == Errc::corruption);
  CHECK(code_of(record(kLines + "sealed_codec none\n")) == Errc::corruption);
  CHECK(code_of(record(kLines + "replication_factor 0\n")) == Errc::corruption);
  CHECK(code_of(record(kLines + "replication_factor 2\n")) == Errc::corruption);
  CHECK(code_of(replaced(kLines, "topic 1", "topic 2")) == Errc::unsupported_format);
}

TEST_CASE("topic record: version 1 is this text, and names its partitions so") {
  TopicRecord topic;
  for (std::size_t i = 0; i < 16; ++i) topic.id.bytes[i] = static_cast<std::byte>(i);
  topic.options = {.partitions = 4, .durability = Durability::os, .segment_bytes = 1u << 20};
  const std::string golden =
      "keelson topic 1\n"
      "id 000102030405060708090a0b0c0d0e0f\n"
      "partitions 4\n"
      "durability os\n"
      "segment_bytes 1048576\n"
      "checksum 5d6202b83e0d78d7\n";
  CHECK(encode_topic_record(topic) == golden);
  REQUIRE(decode_topic_record(golden));
  CHECK(to_hex(partition_identity(topic.id, PartitionId(0))) == to_hex(topic.id));
  CHECK(to_hex(partition_identity(topic.id, PartitionId(0x01020304))) ==
        "04020002"
        "0405060708090a0b0c0d0e0f");
}

TEST_CASE("topic record: a flip of any bit is noticed") {
  const std::string good = record(kLines);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    CHECK_FALSE(decode_topic_record(bad).has_value());
  }
}
