#include "engine/store/position.h"

#include <charconv>

namespace keelson {

namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // The highest offset is kept free: a position is written as the last offset seen, plus one here.
  if (error != std::errc{} || end != text.data() + text.size() || number == UINT64_MAX) return {};
  return number;
}

std::unexpected<Error> malformed(std::string_view text, std::size_t partitions) {
  return fail(Errc::bad_request, "'" + std::string(text) + "' is not a position of a topic with " +
                                     std::to_string(partitions) + " partition(s); expected e.g. " +
                                     (partitions == 1 ? "1042" : "0:1042,1:998"));
}

}  // namespace

bool Position::covers(const Position& other) const {
  for (std::size_t p = 0; p < other.next_.size(); ++p) {
    const Offset mine = p < next_.size() ? next_[p] : Offset(0);
    if (mine < other.next_[p]) return false;
  }
  return true;
}

std::string Position::to_string() const {
  std::string text;
  for (std::size_t p = 0; p < next_.size(); ++p) {
    if (next_[p] == Offset(0)) continue;
    const std::string last = std::to_string(next_[p].value - 1);
    if (next_.size() == 1) return last;
    if (!text.empty()) text += ',';
    text += std::to_string(p) + ":" + last;
  }
  return text.empty() ? "-" : text;
}

Result<Position> Position::parse(std::string_view text, std::size_t partitions) {
  Position position(partitions);
  if (text == "-") return position;
  if (text.find(':') == std::string_view::npos) {
    const auto last = parse_number(text);
    if (partitions != 1 || !last) return malformed(text, partitions);
    position.next_[0] = Offset(*last + 1);
    return position;
  }
  std::vector<bool> given(partitions);
  std::string_view rest = text;
  while (true) {
    const auto comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const auto colon = item.find(':');
    if (colon == std::string_view::npos) return malformed(text, partitions);
    const auto partition = parse_number(item.substr(0, colon));
    const auto last = parse_number(item.substr(colon + 1));
    if (!partition || !last || *partition >= partitions || given[*partition]) {
      return malformed(text, partitions);
    }
    given[*partition] = true;
    position.next_[*partition] = Offset(*last + 1);
    if (comma == std::string_view::npos) return position;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace keelson
