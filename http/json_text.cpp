#include "http/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/store/names.h"
#include "http/json_reader.h"

namespace keelson::http {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view kHex = "0123456789abcdef";

/// Whether a byte stands for itself in a JSON string and is ASCII.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 0xf];
}

/// Length of the UTF-8 sequence of more than one byte that `text` starts with; 0 when it starts
/// with none.
std::size_t sequence_length(std::string_view text) {
  for (std::size_t length = 2; length <= 4 && length <= text.size(); ++length) {
    if (is_utf8(text.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (kPlain[byte]) {
      ++i;
      continue;
    }
    const std::size_t length = byte < 0x80 ? 0 : sequence_length(text.substr(i));
    if (length != 0) {
      i += length;
      continue;
    }
    out.append(text, done, i - done);
    if (byte < 0x80) {
      append_escaped(out, text[i]);
    } else {
      out += kReplacement;
    }
    done = ++i;
  }
  out.append(text, done);
  out += '"';
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

void append_on_one_line(std::string& out, std::string_view json) {
  const auto is_break = [](char c) { return c == '\n' || c == '\r'; };
  const std::size_t start = out.size();
  out += json;
  std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(), is_break, ' ');
}

Result<void> check_json(std::string_view text, const JsonLimits& limits) {
  KEELSON_TRY_ASSIGN(JsonReader reader, JsonReader::open(text, limits));
  KEELSON_TRY(reader.skip_value());
  return reader.finish();
}

std::string compact_json(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < text.size()) out += text[++i];
      if (c == '"') in_string = false;
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    in_string = c == '"';
    out += c;
  }
  return out;
}

}  // namespace keelson::http
