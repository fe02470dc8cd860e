#include "http/main/command_line.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "http/json_text.h"

namespace keelson::tools {

int complain(std::string what, int status) {
  std::ranges::replace(what, '\n', ' ');
  std::fprintf(stderr, "keelson: %s\n", what.c_str());
  return status;
}

int refuse(const Error& error, bool json, int status) {
  if (json) {
    const std::string code = http::json_string(to_string(error.code));
    const std::string message = http::json_string(error.context);
    std::printf("{\"error\":{\"code\":%s,\"message\":%s}}\n", code.c_str(), message.c_str());
  }
  complain(error.context);
  return finish(status);
}

int finish(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  const int error = errno;
  return complain(
      "cannot write what was found: " + (error == 0 ? std::string("an earlier write has failed")
                                                    : std::generic_category().message(error)),
      kCannot);
}

std::optional<int> parse(CLI::App& parser, const std::vector<std::string>& arguments, bool json) {
  try {
    parser.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& wanted) {
    return parser.exit(wanted);
  } catch (const CLI::ParseError& wrong) {
    const bool asked = json && std::ranges::find(arguments, "--json") != arguments.end();
    return refuse({Errc::bad_request, wrong.what(), std::nullopt}, asked, kUsage);
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
