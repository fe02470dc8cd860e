#include "engine/replication/partition_record.h"

#include <algorithm>
#include <charconv>

namespace keelson::replication {

namespace {

constexpr std::string_view kTitle = "keelson partition 1\n";

std::string text_of(const Member& member) {
  return std::to_string(member.node.value) + ":" + to_hex(member.data);
}

std::string text_of(const MemberList& list) {
  std::string text;
  for (const Member& member : list) text += (text.empty() ? "" : " ") + text_of(member);
  return text;
}

/// A number as `std::to_string` writes it: one number has one text.
template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;
  return number;
}

std::optional<Member> member_from(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto node = number_from<NodeId::rep>(text.substr(0, colon));
  const auto data = uuid_from_hex(text.substr(colon + 1));
  if (!node || !data) return std::nullopt;
  return Member{NodeId(*node), *data};
}

std::optional<MemberList> list_from(std::string_view text) {
  MemberList list;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const auto member = member_from(text.substr(0, space));
    if (!member) return std::nullopt;
    list.push_back(*member);
    if (list.size() > kMembersMax) return std::nullopt;
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
    if (text.empty()) return std::nullopt;
  }
  if (!list.empty() && !check_members(list)) return std::nullopt;
  return list;
}

/// Takes the line `key value` from the front of `text`; without a value it is `key `.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view key) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(key) || key.size() >= end) {
    return std::nullopt;
  }
  if (text[key.size()] != ' ') return std::nullopt;
  const std::string_view value = text.substr(key.size() + 1, end - key.size() - 1);
  text.remove_prefix(end + 1);
  return value;
}

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corruption, "record of a partition: " + std::string(what));
}

}  // namespace

MemberList PartitionRecord::members() const {
  MemberList all = replicas;
  for (const Member& member : old_replicas) {
    if (!contains(all, member)) all.push_back(member);
  }
  return all;
}

Result<void> check_members(const MemberList& list) {
  if (list.empty() || list.size() > kMembersMax) {
    return fail(Errc::bad_request, "a partition has 1…" + std::to_string(kMembersMax) +
                                       " replicas, not " + std::to_string(list.size()));
  }
  for (const Member& member : list) {
    if (std::ranges::count(list, member) > 1) {
      return fail(Errc::bad_request, "node " + std::to_string(member.node.value) +
                                         " is named twice as a replica of a partition");
    }
  }
  return {};
}

std::string encode_partition_record(const PartitionRecord& record) {
  std::string text(kTitle);
  text += "epoch " + std::to_string(record.epoch.value) + "\n";
  text += "leader " + (record.leader ? text_of(*record.leader) : "") + "\n";
  text += "replicas " + text_of(record.replicas) + "\n";
  text += "old_replicas " + text_of(record.old_replicas) + "\n";
  return text;
}

Result<PartitionRecord> decode_partition_record(std::string_view text) {
  if (!text.starts_with(kTitle)) return damaged("title");
  text.remove_prefix(kTitle.size());
  PartitionRecord record;
  const auto epoch_text = take_line(text, "epoch");
  const auto epoch = epoch_text ? number_from<Epoch::rep>(*epoch_text) : std::nullopt;
  if (!epoch) return damaged("epoch");
  record.epoch = Epoch(*epoch);
  const auto leader = take_line(text, "leader");
  if (!leader) return damaged("leader");
  if (!leader->empty()) {
    record.leader = member_from(*leader);
    if (!record.leader) return damaged("leader");
  }
  const auto replicas_text = take_line(text, "replicas");
  auto replicas = replicas_text ? list_from(*replicas_text) : std::nullopt;
  if (!replicas || replicas->empty()) return damaged("replicas");
  record.replicas = *std::move(replicas);
  const auto old_text = take_line(text, "old_replicas");
  auto old_replicas = old_text ? list_from(*old_text) : std::nullopt;
  if (!old_replicas) return damaged("old_replicas");
  record.old_replicas = *std::move(old_replicas);
  if (!text.empty()) return damaged("more lines");
  return record;
}

}  // namespace keelson::replication
