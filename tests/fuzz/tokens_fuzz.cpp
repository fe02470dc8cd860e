// The Authorization header, which is the input's first line, against a tokens file, which is the
// rest.
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/store/names.h"
#include "http/auth.h"
#include "tests/fuzz/input.h"

namespace {

using namespace keelson::http;

std::string digest_hex(std::string_view token) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, 32> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return result;
}

void check_principal(const Principal& principal) {
  KEELSON_ASSERT(keelson::check_command_id(principal.name, keelson::Limits{}).has_value());
  KEELSON_ASSERT(principal.name.find(' ') == std::string::npos);
  KEELSON_ASSERT(principal.roles.has(Role::read) || principal.roles.has(Role::write) ||
                 principal.roles.has(Role::admin));
}

void check(std::string_view header, std::string_view file) {
  const auto known = Authenticator::parse(file);
  if (!known) return;
  KEELSON_ASSERT(known->required() && !known->authenticate(std::nullopt));
  const bool bearer = header.size() > 7 && lower(header.substr(0, 7)) == "bearer ";
  const std::string hex = bearer ? digest_hex(header.substr(7)) : "";
  const auto caller = known->authenticate(header);
  if (!caller) KEELSON_ASSERT(caller.error().status == 401);
  // Nobody comes in without the token that a line names.
  if (caller) KEELSON_ASSERT(bearer && lower(file).find(hex) != std::string::npos);
  if (caller) check_principal(*caller);

  // And with one everybody does. A line may end with CR, or with the file.
  if (!bearer) return;
  for (const std::string_view end : {"", "\n", " \r\n"}) {
    const auto more = Authenticator::parse(std::string(file) + "\n\t" + hex + "  ann  read,write" +
                                           std::string(end));
    KEELSON_ASSERT(more.has_value());
    const auto ann = more->authenticate(header);
    KEELSON_ASSERT(ann && ann->name == "ann" && ann->roles.has(Role::write));
    KEELSON_ASSERT(!ann->roles.has(Role::admin));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = keelson::fuzz::Input(data, size).rest();
  const std::size_t line = std::min(text.find('\n'), text.size());
  const std::string_view header = text.substr(0, line);
  const std::string_view file = text.substr(std::min(line + 1, text.size()));
  check(header, file);
  // A line of the file's that lets the header in, whatever it is: made here, as it needs a hash.
  if (header.size() > 7) check(header, digest_hex(header.substr(7)) + " " + std::string(file));
  return 0;
}
