#include "http/main/command_line.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace keelson::tools {

int complain(std::string what, int status) {
  std::ranges::replace(what, '\n', ' ');
  std::fprintf(stderr, "keelson: %s\n", what.c_str());
  return status;
}

std::optional<int> parse(CLI::App& parser, const std::vector<std::string>& arguments) {
  try {
    parser.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& wanted) {
    return parser.exit(wanted);
  } catch (const CLI::ParseError& wrong) {
    return complain(wrong.what(), kUsage);
  }
  return std::nullopt;
}

std::string store_folder(const std::string& data) { return data + "/log"; }

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(byte));
    text += digits;
  }
  return text;
}

}  // namespace keelson::tools
