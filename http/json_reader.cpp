#include "http/json_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "engine/base/check.h"
#include "engine/store/names.h"

namespace keelson::http {

namespace {

/// Up to this many names an object is searched for each new one; larger objects are sorted at
/// their end, so that a request cannot make the search quadratic.
constexpr std::size_t kNamesSearched = 16;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
  } else {
    if (code < 0x10000) {
      out += static_cast<char>(0xe0 | (code >> 12));
    } else {
      out += static_cast<char>(0xf0 | (code >> 18));
      out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    }
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
  }
  out += static_cast<char>(0x80 | (code & 0x3f));
}

/// Four hexadecimal digits that are known to be there.
std::uint32_t hex_value(std::string_view digits) {
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + 4, value, 16);
  return value;
}

/// Whether a number is in the range of a double; a reader that takes it for one would otherwise
/// refuse all of the text (RFC 7493, section 2.2).
bool fits_double(std::string_view number) {
  if (number.size() < 100 && number.find_first_of("eE") == std::string_view::npos) return true;
  double value = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
  if (parsed.ec != std::errc::result_out_of_range) return true;
  // Too small is out of range as well, and harmless: strtod makes it 0.
  return std::isfinite(std::strtod(std::string(number).c_str(), nullptr));
}

/// Undoes the escapes of a string that has been checked.
std::string decode(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    switch (const char escape = raw[++i]) {
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        std::uint32_t code = hex_value(raw.substr(i + 1, 4));
        i += 4;
        if (code >= 0xd800 && code < 0xdc00) {
          code = 0x10000 + ((code - 0xd800) << 10) + (hex_value(raw.substr(i + 3, 4)) - 0xdc00);
          i += 6;
        }
        append_utf8(out, code);
        break;
      }
      default: out += escape; break;
    }
  }
  return out;
}

}  // namespace

Result<JsonReader> JsonReader::open(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(Errc::too_large, "JSON text has " + std::to_string(text.size()) +
                                     " bytes, at most " + std::to_string(limits.bytes_max) +
                                     " are allowed");
  }
  if (!is_utf8(text)) return fail(Errc::bad_request, "JSON text is not valid UTF-8");
  return JsonReader(text, limits);
}

std::unexpected<Error> JsonReader::malformed(std::string_view why) const {
  return fail(Errc::bad_request,
              "malformed JSON at byte " + std::to_string(at_) + ": " + std::string(why));
}

void JsonReader::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++at_;
  }
}

Result<JsonReader::Kind> JsonReader::peek() {
  skip_space();
  if (at_end()) return malformed("a value is missing");
  switch (const char c = text_[at_]) {
    case '{': return Kind::object;
    case '[': return Kind::array;
    case '"': return Kind::string;
    case 't':
    case 'f': return Kind::boolean;
    case 'n': return Kind::null;
    default:
      if (c == '-' || is_digit(c)) return Kind::number;
      return malformed("a value cannot start like this");
  }
}

// --- objects and arrays ---

Result<void> JsonReader::enter(bool object) {
  if (frames_.size() == depth_max_) {
    return malformed("nested deeper than " + std::to_string(depth_max_) + " levels");
  }
  ++at_;
  frames_.push_back({.object = object, .names = names_.size(), .decoded = decoded_.size()});
  return {};
}

void JsonReader::leave() {
  names_.resize(frames_.back().names);
  decoded_.resize(frames_.back().decoded);
  frames_.pop_back();
}

Result<void> JsonReader::enter_object() {
  KEELSON_TRY_ASSIGN(const Kind kind, peek());
  if (kind != Kind::object) return malformed("an object is expected here");
  return enter(true);
}

Result<void> JsonReader::enter_array() {
  KEELSON_TRY_ASSIGN(const Kind kind, peek());
  if (kind != Kind::array) return malformed("an array is expected here");
  return enter(false);
}

/// Passes the comma before the next member or element, or the closing bracket.
Result<bool> JsonReader::next_in_frame(char closing) {
  Frame& frame = frames_.back();
  skip_space();
  if (at_end()) return malformed(frame.object ? "the object has no end" : "the array has no end");
  if (text_[at_] == closing) {
    if (frame.object) KEELSON_TRY(check_names_at_end());
    ++at_;
    leave();
    return false;
  }
  if (frame.started) {
    if (text_[at_] != ',') {
      return malformed(frame.object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    ++at_;
  }
  frame.started = true;
  return true;
}

Result<bool> JsonReader::next_element() {
  KEELSON_ASSERT(!frames_.empty() && !frames_.back().object);
  return next_in_frame(']');
}

Result<std::optional<std::string_view>> JsonReader::next_member() {
  KEELSON_ASSERT(!frames_.empty() && frames_.back().object);
  KEELSON_TRY_ASSIGN(const bool more, next_in_frame('}'));
  if (!more) return std::nullopt;
  skip_space();
  if (at_end() || text_[at_] != '"') return malformed("expected a member's name in quotes");
  KEELSON_TRY_ASSIGN(std::string_view name, raw_string());
  if (name.find('\\') != std::string_view::npos) name = decoded_.emplace_back(decode(name));
  KEELSON_TRY(add_name(name));
  skip_space();
  if (at_end() || text_[at_] != ':') return malformed("expected ':' after a member's name");
  ++at_;
  return name;
}

Result<void> JsonReader::add_name(std::string_view name) {
  const auto first = names_.begin() + static_cast<std::ptrdiff_t>(frames_.back().names);
  const auto count = static_cast<std::size_t>(names_.end() - first);
  if (count < kNamesSearched && std::find(first, names_.end(), name) != names_.end()) {
    return malformed("the name " + json_string(name.substr(0, 64)) + " stands twice in an object");
  }
  names_.push_back(name);
  return {};
}

Result<void> JsonReader::check_names_at_end() {
  const auto first = names_.begin() + static_cast<std::ptrdiff_t>(frames_.back().names);
  if (static_cast<std::size_t>(names_.end() - first) <= kNamesSearched) return {};
  std::sort(first, names_.end());
  const auto twice = std::adjacent_find(first, names_.end());
  if (twice == names_.end()) return {};
  return malformed("the name " + json_string(twice->substr(0, 64)) + " stands twice in an object");
}

// --- values ---

Result<std::string_view> JsonReader::skip_value() {
  KEELSON_TRY_ASSIGN(const Kind kind, peek());
  const std::size_t start = at_;
  if (kind == Kind::object || kind == Kind::array) {
    KEELSON_TRY(skip_container());
  } else {
    KEELSON_TRY(skip_scalar(kind));
  }
  return text_.substr(start, at_ - start);
}

Result<void> JsonReader::skip_container() {
  const std::size_t outside = frames_.size();
  KEELSON_TRY(enter(text_[at_] == '{'));
  while (frames_.size() > outside) {
    bool more = false;
    if (frames_.back().object) {
      KEELSON_TRY_ASSIGN(const auto name, next_member());
      more = name.has_value();
    } else {
      KEELSON_TRY_ASSIGN(more, next_element());
    }
    if (!more) continue;
    KEELSON_TRY_ASSIGN(const Kind kind, peek());
    if (kind == Kind::object || kind == Kind::array) {
      KEELSON_TRY(enter(kind == Kind::object));
    } else {
      KEELSON_TRY(skip_scalar(kind));
    }
  }
  return {};
}

Result<void> JsonReader::skip_scalar(Kind kind) {
  switch (kind) {
    case Kind::string: {
      KEELSON_TRY(raw_string());
      return {};
    }
    case Kind::number: return skip_number();
    case Kind::boolean: return skip_word(text_[at_] == 't' ? "true" : "false");
    default: return skip_word("null");
  }
}

Result<void> JsonReader::skip_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return malformed("expected " + std::string(word));
  at_ += word.size();
  return {};
}

/// RFC 8259, section 6.
Result<void> JsonReader::skip_number() {
  const auto digits = [this] {
    const std::size_t start = at_;
    while (!at_end() && is_digit(text_[at_])) ++at_;
    return at_ > start;
  };
  const std::size_t number = at_;
  if (text_[at_] == '-') ++at_;
  const bool zero = !at_end() && text_[at_] == '0';
  const std::size_t start = at_;
  if (!digits()) return malformed("a number needs a digit here");
  if (zero && at_ - start > 1) return malformed("a number must not start with 0");
  if (!at_end() && text_[at_] == '.') {
    ++at_;
    if (!digits()) return malformed("a number needs a digit here");
  }
  if (!at_end() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (!at_end() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    if (!digits()) return malformed("a number needs a digit here");
  }
  if (!fits_double(text_.substr(number, at_ - number))) {
    at_ = number;
    return malformed("a number is larger than 1.8e308, which other readers refuse");
  }
  return {};
}

Result<std::string_view> JsonReader::raw_string() {
  const std::size_t start = ++at_;
  while (!at_end()) {
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') return text_.substr(start, at_++ - start);
    if (c < 0x20) return malformed("a string holds a control character; it must be escaped");
    ++at_;
    if (c == '\\') KEELSON_TRY(skip_escape());
  }
  return malformed("the string has no end");
}

/// RFC 8259, section 7; at_ is behind the backslash.
Result<void> JsonReader::skip_escape() {
  constexpr std::string_view kSimple = "\"\\/bfnrt";
  if (at_end()) return malformed("the string has no end");
  const char escape = text_[at_];
  if (kSimple.find(escape) != std::string_view::npos) {
    ++at_;
    return {};
  }
  if (escape != 'u') return malformed("unknown escape in a string");
  ++at_;
  KEELSON_TRY_ASSIGN(const std::uint32_t code, hex4());
  if (code < 0xd800 || code >= 0xe000) return {};
  if (code >= 0xdc00 || text_.substr(at_, 2) != "\\u") return malformed("unpaired surrogate");
  at_ += 2;
  KEELSON_TRY_ASSIGN(const std::uint32_t low, hex4());
  if (low < 0xdc00 || low >= 0xe000) return malformed("unpaired surrogate");
  return {};
}

Result<std::uint32_t> JsonReader::hex4() {
  const std::string_view digits = text_.substr(at_, 4);
  const auto is_hex = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  if (digits.size() < 4 || !std::all_of(digits.begin(), digits.end(), is_hex)) {
    return malformed("\\u needs four hexadecimal digits");
  }
  at_ += 4;
  return hex_value(digits);
}

Result<std::string> JsonReader::string() {
  KEELSON_TRY_ASSIGN(const Kind kind, peek());
  if (kind != Kind::string) return malformed("a string is expected here");
  KEELSON_TRY_ASSIGN(const std::string_view raw, raw_string());
  if (raw.find('\\') == std::string_view::npos) return std::string(raw);
  return decode(raw);
}

Result<std::uint64_t> JsonReader::number() {
  KEELSON_TRY_ASSIGN(const Kind kind, peek());
  if (kind != Kind::number) return malformed("a number is expected here");
  const std::size_t start = at_;
  KEELSON_TRY(skip_number());
  const std::string_view digits = text_.substr(start, at_ - start);
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) {
    at_ = start;
    return malformed("an integer from 0 to 18446744073709551615 is expected here");
  }
  return value;
}

Result<bool> JsonReader::take_null() {
  KEELSON_TRY_ASSIGN(const Kind kind, peek());
  if (kind != Kind::null) return false;
  KEELSON_TRY(skip_word("null"));
  return true;
}

Result<void> JsonReader::finish() {
  KEELSON_ASSERT(frames_.empty());
  skip_space();
  if (!at_end()) return malformed("something follows the value");
  return {};
}

}  // namespace keelson::http
