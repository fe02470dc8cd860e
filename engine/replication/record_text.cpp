#include "engine/replication/record_text.h"

#include "engine/replication/partition_record.h"

namespace keelson::replication {

std::string text_of(const Member& member) {
  return std::to_string(member.node.value) + ":" + to_hex(member.data);
}

std::string text_of(const Incarnation& incarnation) {
  return std::to_string(incarnation.number) + ":" + to_hex(incarnation.id);
}

std::string text_of(const MemberList& list) {
  std::string text;
  for (const Member& member : list) text += (text.empty() ? "" : " ") + text_of(member);
  return text;
}

std::optional<Member> member_from(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto node = number_from<NodeId::rep>(text.substr(0, colon));
  const auto data = uuid_from_hex(text.substr(colon + 1));
  if (!node || !data) return std::nullopt;
  return Member{NodeId(*node), *data};
}

std::optional<Incarnation> incarnation_from(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto number = number_from<std::uint64_t>(text.substr(0, colon));
  const auto id = uuid_from_hex(text.substr(colon + 1));
  if (!number || !id) return std::nullopt;
  return Incarnation{*number, *id};
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

}  // namespace keelson::replication
