#include "engine/cluster/cluster_records.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/replication/partition_record.h"
#include "engine/replication/record_text.h"
#include "engine/store/topic_record.h"

namespace keelson::cluster {

using replication::MemberList;
using replication::number_from;
using replication::take_line;
using replication::text_of;

namespace {

constexpr std::string_view kNodeTitle = "keelson presence 2\n";
constexpr std::string_view kFolderTitle = "keelson folder 1\n";
constexpr std::string_view kPlacementTitle = "keelson placement 1\n";
constexpr std::size_t kWordBytesMax = 255;

static_assert(kReplicationFactorMax <= replication::kMembersMax,
              "what a topic begins with fits the record of a partition");

Result<void> check_word(std::string_view name, std::string_view text) {
  const bool good = !text.empty() && text.size() <= kWordBytesMax &&
                    std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
  if (good) return {};
  return fail(Errc::bad_request, std::string(name) +
                                     " of a node must be printable ASCII without spaces, 1…" +
                                     std::to_string(kWordBytesMax) + " bytes");
}

/// Takes the title from the front of `text`.
/// @param kind  the title without its version.
Result<void> take_title(std::string_view& text, std::string_view kind, std::string_view title) {
  if (!text.starts_with(kind)) {
    return fail(Errc::corruption, std::string(kind) + "record: not one");
  }
  if (!text.starts_with(title)) {
    return fail(Errc::unsupported_format,
                "record of another version of Keelson: " +
                    std::string(text.substr(0, std::min<std::size_t>(text.find('\n'), 64))));
  }
  text.remove_prefix(title.size());
  return {};
}

std::unexpected<Error> bad_node(std::string_view what) {
  return fail(Errc::corruption, "record of a node: " + std::string(what));
}

std::unexpected<Error> bad_folder(std::string_view what) {
  return fail(Errc::corruption, "record of a data folder: " + std::string(what));
}

/// Takes the lines that say who it is of.
bool take_member(std::string_view& text, replication::Member& member) {
  const auto line = take_line(text, "member");
  const auto read = line ? replication::member_from(*line) : std::nullopt;
  if (read) member = *read;
  return read.has_value();
}

bool take_incarnation(std::string_view& text, replication::Incarnation& incarnation) {
  const auto line = take_line(text, "incarnation");
  const auto read = line ? replication::incarnation_from(*line) : std::nullopt;
  if (read) incarnation = *read;
  return read.has_value();
}

std::unexpected<Error> bad_placement(std::string_view what) {
  return fail(Errc::corruption, "record of a topic: " + std::string(what));
}

}  // namespace

Result<void> check_node_record(const NodeRecord& record) {
  KEELSON_TRY(check_word("peer_address", record.peer_address));
  KEELSON_TRY(check_word("http_address", record.http_address));
  return check_word("version", record.version);
}

std::string encode_node_record(const NodeRecord& record) {
  KEELSON_ASSERT(check_node_record(record).has_value());
  return std::string(kNodeTitle) + "member " + text_of(record.member) + "\nincarnation " +
         text_of(record.incarnation) + "\npeer_address " + record.peer_address + "\nhttp_address " +
         record.http_address + "\nversion " + record.version + "\n";
}

Result<NodeRecord> decode_node_record(std::string_view text) {
  KEELSON_TRY(take_title(text, "keelson presence ", kNodeTitle));
  NodeRecord record;
  if (!take_member(text, record.member)) return bad_node("member");
  if (!take_incarnation(text, record.incarnation)) return bad_node("incarnation");
  for (const auto& [name, field] : {std::pair("peer_address", &NodeRecord::peer_address),
                                    std::pair("http_address", &NodeRecord::http_address),
                                    std::pair("version", &NodeRecord::version)}) {
    const auto word = take_line(text, name);
    if (!word || !check_word(name, *word)) return bad_node(name);
    record.*field = *word;
  }
  if (!text.empty()) return bad_node("more lines");
  return record;
}

std::string encode_folder_record(const FolderRecord& record) {
  return std::string(kFolderTitle) + "member " + text_of(record.member) + "\nincarnation " +
         text_of(record.incarnation) + "\n";
}

Result<FolderRecord> decode_folder_record(std::string_view text) {
  KEELSON_TRY(take_title(text, "keelson folder ", kFolderTitle));
  FolderRecord record;
  if (!take_member(text, record.member)) return bad_folder("member");
  if (!take_incarnation(text, record.incarnation)) return bad_folder("incarnation");
  if (!text.empty()) return bad_folder("more lines");
  return record;
}

Result<void> check_replication_factor(std::size_t factor) {
  if (factor % 2 == 1 && factor <= kReplicationFactorMax) return {};
  return fail(Errc::bad_request, "replication_factor must be odd, 1…" +
                                     std::to_string(kReplicationFactorMax) + ", not " +
                                     std::to_string(factor));
}

Result<void> check_topic_placement(const TopicPlacement& placement) {
  KEELSON_TRY(check_topic_options(placement.options));
  KEELSON_TRY(check_replication_factor(placement.replication_factor));
  if (placement.partitions.size() != placement.options.partitions) {
    return fail(Errc::bad_request, std::to_string(placement.options.partitions) +
                                       " partitions, and places for " +
                                       std::to_string(placement.partitions.size()));
  }
  for (const MemberList& list : placement.partitions) {
    KEELSON_TRY(replication::check_members(list));
    if (list.size() != placement.replication_factor) {
      return fail(Errc::bad_request,
                  "replication_factor " + std::to_string(placement.replication_factor) +
                      ", and a partition with " + std::to_string(list.size()) + " replicas");
    }
  }
  return {};
}

std::string encode_topic_placement(const TopicPlacement& placement) {
  KEELSON_ASSERT(check_topic_placement(placement).has_value());
  std::string text(kPlacementTitle);
  text += "replication_factor " + std::to_string(placement.replication_factor) + "\n";
  for (const MemberList& list : placement.partitions) text += "replicas " + text_of(list) + "\n";
  if (placement.generation != 0) {
    text += "generation " + std::to_string(placement.generation) + "\n";
  }
  return text + encode_topic_record({placement.topic, placement.options});
}

Result<TopicPlacement> decode_topic_placement(std::string_view text) {
  KEELSON_TRY(take_title(text, "keelson placement ", kPlacementTitle));
  TopicPlacement placement;
  const auto factor_text = take_line(text, "replication_factor");
  const auto factor = factor_text ? number_from<std::size_t>(*factor_text) : std::nullopt;
  if (!factor) return bad_placement("replication_factor");
  placement.replication_factor = *factor;
  while (const auto list_text = take_line(text, "replicas")) {
    auto list = replication::list_from(*list_text);
    if (!list) {
      return bad_placement("replicas of partition " + std::to_string(placement.partitions.size()));
    }
    placement.partitions.push_back(*std::move(list));
  }
  if (const auto generation_text = take_line(text, "generation")) {
    const auto generation = number_from<std::uint64_t>(*generation_text);
    if (!generation || *generation == 0) return bad_placement("generation");
    placement.generation = *generation;
  }
  const auto topic = decode_topic_record(text);
  if (!topic) return std::unexpected(topic.error());
  placement.topic = topic->id;
  placement.options = topic->options;
  if (const auto fits = check_topic_placement(placement); !fits) {
    return bad_placement(fits.error().context);
  }
  return placement;
}

}  // namespace keelson::cluster
