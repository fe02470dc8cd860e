#include "aggregates/flat_object.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/store/names.h"

namespace keelson::aggregates {

namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// So many digits always fit 64 bits, with a sign and without.
constexpr std::size_t kDigitsMax = 18;

}  // namespace

/// RFC 8259, without what `FlatObject` leaves to others.
class FlatObject::Reader {
 public:
  explicit Reader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  [[nodiscard]] bool read(FlatObject& object) {
    if (!take('{')) return false;
    if (!take('}')) {
      do {
        if (!member(object)) return false;
      } while (take(','));
      if (!take('}')) return false;
    }
    skip_space();
    return at_ == end_;
  }

 private:
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  [[nodiscard]] bool take(char c) {
    skip_space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  [[nodiscard]] bool member(FlatObject& object) {
    Member member;
    if (!take('"') || !string(member.name) || !take(':')) return false;
    skip_space();
    return at_ != end_ && value(member) && object.add(member);
  }

  [[nodiscard]] bool value(Member& member) {
    switch (*at_) {
      case '"':
        ++at_;
        member.kind = Kind::string;
        return string(member.text);
      case 't': return word(member, Kind::boolean, "true");
      case 'f': return word(member, Kind::boolean, "false");
      case 'n': return word(member, Kind::null, "null");
      default: return integer(member);
    }
  }

  /// Up to its closing quote, which is passed.
  [[nodiscard]] bool string(std::string_view& text) {
    const char* const start = at_;
    bool ascii = true;
    for (; at_ != end_ && *at_ != '"'; ++at_) {
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte < 0x20 || byte == '\\') return false;
      ascii = ascii && byte < 0x80;
    }
    if (at_ == end_) return false;
    text = {start, at_};
    ++at_;
    return ascii || is_utf8(text);
  }

  [[nodiscard]] bool word(Member& member, Kind kind, std::string_view word) {
    if (!std::string_view(at_, end_).starts_with(word)) return false;
    member.kind = kind;
    member.text = {at_, word.size()};
    at_ += word.size();
    return true;
  }

  /// In the one way that it is written in. What else a number may be, its next byte shows: there a
  /// comma or bracket is missed.
  [[nodiscard]] bool integer(Member& member) {
    const char* const start = at_;
    const bool negative = *at_ == '-';
    if (negative) ++at_;
    const char* const first = at_;
    std::int64_t value = 0;
    for (; at_ != end_ && is_digit(*at_); ++at_) {
      if (static_cast<std::size_t>(at_ - first) == kDigitsMax) return false;
      value = 10 * value + (*at_ - '0');
    }
    if (at_ == first || (*first == '0' && (negative || at_ - first > 1))) return false;
    member.kind = Kind::integer;
    member.text = {start, at_};
    member.integer = negative ? -value : value;
    return true;
  }

  const char* at_;
  const char* const end_;
};

nlohmann::json FlatObject::Member::value() const {
  switch (kind) {
    case Kind::string: return std::string(text);
    case Kind::integer:
      if (integer >= 0) return static_cast<std::uint64_t>(integer);
      return integer;
    case Kind::boolean: return text == "true";
    case Kind::null: return nullptr;
  }
  return nullptr;
}

std::optional<FlatObject> FlatObject::read(std::string_view text) {
  std::optional<FlatObject> object(std::in_place);
  if (!Reader(text).read(*object)) object.reset();
  return object;
}

bool FlatObject::add(const Member& member) {
  if (count_ == kMembersMax) return false;
  const auto end = members_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto place =
      std::ranges::upper_bound(members_.begin(), end, member.name, {}, &Member::name);
  if (place != members_.begin() && std::prev(place)->name == member.name) return false;
  std::move_backward(place, end, end + 1);
  *place = member;
  ++count_;
  return true;
}

const FlatObject::Member* FlatObject::find(std::string_view name) const {
  for (const Member& member : members()) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

std::string FlatObject::canonical() const {
  std::string out = "{";
  for (const Member& member : members()) {
    if (out.size() > 1) out += ',';
    out.append(1, '"').append(member.name).append("\":");
    const bool quoted = member.kind == Kind::string;
    if (quoted) out += '"';
    out += member.text;
    if (quoted) out += '"';
  }
  return out += '}';
}

}  // namespace keelson::aggregates
