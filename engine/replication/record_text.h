// Lines of `key value`, of which the records of a cluster consist.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/replication/member.h"

namespace keelson::replication {

/// `NODE:DATA`.
[[nodiscard]] std::string text_of(const Member& member);
/// `NUMBER:ID`.
[[nodiscard]] std::string text_of(const Incarnation& incarnation);
/// With spaces between.
[[nodiscard]] std::string text_of(const MemberList& list);

// Each reads what its counterpart writes and nothing else, so that one value has one text.
[[nodiscard]] std::optional<Member> member_from(std::string_view text);
[[nodiscard]] std::optional<Incarnation> incarnation_from(std::string_view text);
/// Of `check_members`, or empty.
[[nodiscard]] std::optional<MemberList> list_from(std::string_view text);

/// A number as `std::to_string` writes it.
template <class Number>
[[nodiscard]] std::optional<Number> number_from(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;
  return number;
}

/// Takes the line `key value` from the front of `text`; without a value it is `key `. Nothing when
/// another line is there, which stays.
[[nodiscard]] std::optional<std::string_view> take_line(std::string_view& text,
                                                        std::string_view key);

}  // namespace keelson::replication
