// What a topic's folder says of it: a small text file, written once.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/store/options.h"

namespace keelson {

struct TopicRecord {
  Uuid id;
  TopicOptions options;
};

/// @error bad_request  which option is out of its range.
[[nodiscard]] Result<void> check_topic_options(const TopicOptions& options);

/// Lines of `key value`, the last one a checksum of those before; docs/log-format.md, "Topic".
[[nodiscard]] std::string encode_topic_record(const TopicRecord& record);
/// Accepts what `encode_topic_record` writes and nothing else.
/// @error corruption, unsupported_format
[[nodiscard]] Result<TopicRecord> decode_topic_record(std::string_view text);

/// Partitions of one topic have identities of their own, so that a misplaced file is noticed.
[[nodiscard]] Uuid partition_identity(const Uuid& topic, PartitionId partition);

}  // namespace keelson
