#include "engine/io/checked_text.h"

#include <xxhash.h>

#include <cstdint>

namespace keelson::io {

namespace {

constexpr std::string_view kKey = "checksum ";
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string checksum_line(std::string_view lines) {
  const std::uint64_t hash = XXH3_64bits(lines.data(), lines.size());
  std::string line(kKey);
  for (int shift = 60; shift >= 0; shift -= 4) line += kHexDigits[(hash >> shift) & 15];
  return line + "\n";
}

}  // namespace

std::string with_checksum(std::string lines) {
  const std::string line = checksum_line(lines);
  return std::move(lines) + line;
}

Result<std::string_view> without_checksum(std::string_view text) {
  const auto last_line = text.rfind(kKey);
  if (last_line == std::string_view::npos ||
      text.substr(last_line) != checksum_line(text.substr(0, last_line))) {
    return fail(Errc::corruption, "the checksum does not match");
  }
  return text.substr(0, last_line);
}

}  // namespace keelson::io
