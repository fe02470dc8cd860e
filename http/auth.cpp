#include "http/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/store/names.h"

namespace keelson::http {

namespace {

Problem unauthenticated(std::string detail) {
  Problem problem;
  problem.status = 401;
  problem.code = "unauthenticated";
  problem.title = "Not authenticated";
  problem.detail = std::move(detail);
  problem.headers.emplace_back("WWW-Authenticate", "Bearer");
  return problem;
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::read: return "read";
    case Role::write: return "write";
    case Role::admin: return "admin";
  }
  return "admin";
}

Result<Roles> parse_roles(std::string_view text) {
  Roles roles;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    if (name == "read") {
      roles.add(Role::read);
    } else if (name == "write") {
      roles.add(Role::write);
    } else if (name == "admin") {
      roles.add(Role::admin);
    } else {
      return fail(Errc::bad_request,
                  "'" + std::string(name) + "' is not a role; there are read, write and admin");
    }
    if (comma == std::string_view::npos) return roles;
    text.remove_prefix(comma + 1);
  }
}

std::string_view take_word(std::string_view& line) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  const auto start = std::ranges::find_if_not(line, blank);
  const auto end = std::find_if(start, line.end(), blank);
  const std::string_view word(start, end);
  line = std::string_view(end, line.end());
  return word;
}

template <std::size_t N>
bool parse_hex(std::string_view text, std::array<unsigned char, N>& bytes) {
  if (text.size() != 2 * N) return false;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  for (std::size_t i = 0; i < N; ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return true;
}

}  // namespace

Result<Authenticator> Authenticator::from_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(errno == ENOENT ? Errc::not_found : Errc::io_error,
                "cannot read the tokens file '" + path + "': " + std::strerror(errno));
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto parsed = parse(text);
  if (!parsed) {
    return fail(parsed.error().code, "tokens file '" + path + "': " + parsed.error().context);
  }
  return parsed;
}

Result<Authenticator> Authenticator::parse(std::string_view text) {
  Authenticator authenticator;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view rest = line;
    const std::string_view word = take_word(rest);
    if (word.empty() || word.starts_with('#')) continue;
    auto entry = parse_line(line);
    if (!entry) {
      // The line itself is not shown: someone may have put the token there instead of its hash.
      return fail(Errc::bad_request,
                  "line " + std::to_string(number) + ": " + entry.error().context);
    }
    authenticator.entries_.push_back(*std::move(entry));
  }
  if (authenticator.entries_.empty()) {
    return fail(Errc::bad_request, "it holds no token; without one nobody could get in");
  }
  return authenticator;
}

Result<Authenticator::Entry> Authenticator::parse_line(std::string_view line) {
  Entry entry;
  const std::string_view digest = take_word(line);
  const std::string_view principal = take_word(line);
  const std::string_view roles = take_word(line);
  if (principal.empty() || roles.empty() || !take_word(line).empty()) {
    return fail(Errc::bad_request, "expected '<sha-256 hex> <principal> <role>[,<role>...]'");
  }
  if (!parse_hex(digest, entry.digest)) {
    return fail(Errc::bad_request,
                "the first word must be the SHA-256 of the token, 64 hex digits");
  }
  // A principal is part of the name of each of its commands in the log.
  if (!check_command_id(principal, Limits{})) {
    return fail(Errc::bad_request, "the principal must be printable ASCII of at most 256 bytes");
  }
  if (principal.starts_with('$')) {  // `$reaction/…` and the like: its commands would be refused
    return fail(Errc::bad_request, "principals starting with '$' are reserved for Keelson itself");
  }
  entry.principal.name = principal;
  KEELSON_TRY_ASSIGN(entry.principal.roles, parse_roles(roles));
  return entry;
}

std::expected<Principal, Problem> Authenticator::authenticate(
    std::optional<std::string_view> authorization) const {
  if (!required()) return Principal{"", Roles::all()};
  if (!authorization) {
    return std::unexpected(unauthenticated("Send a token: 'Authorization: Bearer <token>'."));
  }
  constexpr std::string_view kScheme = "bearer ";
  std::string_view token = *authorization;
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  if (token.size() <= kScheme.size() ||
      !std::ranges::equal(token.substr(0, kScheme.size()), kScheme, same)) {
    return std::unexpected(unauthenticated("The Authorization header must read 'Bearer <token>'."));
  }
  token.remove_prefix(kScheme.size());

  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  // Every entry is compared, each in constant time: how long it takes tells nothing about a token.
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
  }
  if (found == nullptr) return std::unexpected(unauthenticated("This token is not known here."));
  return found->principal;
}

std::optional<Problem> check_role(const Principal& principal, Role role) {
  if (principal.roles.has(role)) return std::nullopt;
  Problem problem;
  problem.status = 403;
  problem.code = "forbidden";
  problem.title = "Forbidden";
  problem.detail =
      "This needs the role '" + std::string(role_name(role)) + "', which the token does not have.";
  return problem;
}

}  // namespace keelson::http
