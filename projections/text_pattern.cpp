#include "projections/text_pattern.h"

#include <algorithm>

namespace keelson::projections {

namespace {

constexpr std::uint32_t kCharactersBetweenLooks = 1u << 14;
constexpr char32_t kReplacement = 0xfffd;

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

char32_t folded(char32_t character) {
  return character >= 'A' && character <= 'Z' ? character - 'A' + 'a' : character;
}

std::string_view up_to_nul(std::string_view text) { return text.substr(0, text.find('\0')); }

}  // namespace

char32_t take_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  text.remove_prefix(1);
  if (first < 0xc0) return first;
  char32_t character = first < 0xe0   ? first & 0x1fu
                       : first < 0xf0 ? first & 0x0fu
                       : first < 0xf8 ? first & 0x07u
                       : first < 0xfc ? first & 0x03u
                       : first < 0xfe ? first & 0x01u
                                      : 0u;
  while (!text.empty() && is_continuation(text.front())) {
    character = (character << 6) + (static_cast<unsigned char>(text.front()) & 0x3fu);
    text.remove_prefix(1);
  }
  const bool surrogate = (character & 0xfffff800) == 0xd800;
  if (character < 0x80 || surrogate || (character & 0xfffffffe) == 0xfffe) return kReplacement;
  return character;
}

TextPattern TextPattern::like(std::string_view pattern, char32_t escape) {
  TextPattern made;
  made.fold_case_ = true;
  pattern = up_to_nul(pattern);
  while (!pattern.empty()) {
    const char32_t character = take_character(pattern);
    if (escape != 0 && character == escape) {
      if (pattern.empty()) {
        made.never_ = true;
        break;
      }
      made.tokens_.push_back({Kind::literal, folded(take_character(pattern))});
    } else if (character == '%') {
      made.tokens_.push_back({Kind::many});
    } else if (character == '_') {
      made.tokens_.push_back({Kind::one});
    } else {
      made.tokens_.push_back({Kind::literal, folded(character)});
    }
  }
  return made;
}

TextPattern TextPattern::glob(std::string_view pattern) {
  TextPattern made;
  pattern = up_to_nul(pattern);
  while (!pattern.empty()) {
    const char32_t character = take_character(pattern);
    if (character == '*') {
      made.tokens_.push_back({Kind::many});
    } else if (character == '?') {
      made.tokens_.push_back({Kind::one});
    } else if (character == '[') {
      auto set = read_set(pattern);
      if (!set) {
        made.never_ = true;
        break;
      }
      made.tokens_.push_back(*std::move(set));
    } else {
      made.tokens_.push_back({Kind::literal, character});
    }
  }
  return made;
}

/// What follows a `[`, with the `]`. A `]` that comes first stands for itself, as a `-` does that
/// comes last.
std::optional<TextPattern::Token> TextPattern::read_set(std::string_view& pattern) {
  Token set{Kind::set};
  char32_t before = 0;
  const auto next = [&pattern] { return pattern.empty() ? U'\0' : take_character(pattern); };
  char32_t character = next();
  if (character == '^') {
    set.inverted = true;
    character = next();
  }
  if (character == ']') {
    set.ranges.push_back({character, character});
    character = next();
  }
  while (character != 0 && character != ']') {
    const bool more = !pattern.empty() && pattern.front() != ']';
    if (character == '-' && more && before > 0) {
      set.ranges.push_back({before, next()});
      before = 0;
    } else {
      set.ranges.push_back({character, character});
      before = character;
    }
    character = next();
  }
  if (character == 0) return std::nullopt;
  return set;
}

bool TextPattern::takes(const Token& token, char32_t character) const {
  switch (token.kind) {
    case Kind::literal: return token.literal == (fold_case_ ? folded(character) : character);
    case Kind::set:
      return std::ranges::any_of(token.ranges, [character](const Range& range) {
               return character >= range.first && character <= range.last;
             }) != token.inverted;
    case Kind::one: return true;
    case Kind::many: break;
  }
  return false;
}

std::optional<bool> TextPattern::matches(std::string_view text,
                                         const std::function<bool()>& give_up) const {
  if (never_) return false;
  text = up_to_nul(text);
  // After a `%` the shortest text is tried first. When the rest does not fit, only the last `%`
  // needs to take more: what those before it took was the least, and leaves the most.
  std::size_t token = 0;
  std::optional<std::size_t> after_many;
  std::string_view retry;
  for (std::uint32_t looked = 1; !text.empty(); ++looked) {
    if (looked % kCharactersBetweenLooks == 0 && give_up()) return std::nullopt;
    if (token < tokens_.size() && tokens_[token].kind == Kind::many) {
      if (++token == tokens_.size()) return true;
      after_many = token;
      retry = text;
      continue;
    }
    std::string_view rest = text;
    const char32_t character = take_character(rest);
    if (token < tokens_.size() && takes(tokens_[token], character)) {
      ++token;
      text = rest;
    } else if (after_many) {
      token = *after_many;
      (void)take_character(retry);
      text = retry;
    } else {
      return false;
    }
  }
  while (token < tokens_.size() && tokens_[token].kind == Kind::many) ++token;
  return token == tokens_.size();
}

}  // namespace keelson::projections
