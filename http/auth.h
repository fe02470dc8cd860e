// Bearer tokens: who a request comes from.
#pragma once

#include <array>
#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "http/principal.h"
#include "http/problem.h"

namespace keelson::http {

/// Immutable, thread-safe. Knows the SHA-256 of each token, never a token: the tokens file is no
/// secret that lets its reader in.
class Authenticator {
 public:
  /// Everyone is anonymous and has every role.
  Authenticator() = default;

  /// Reads a tokens file: one `<SHA-256 of the token in hex> <principal> <role>[,<role>…]` a line,
  /// roles `read`, `write`, `admin`; empty lines and lines that start with `#` are skipped.
  /// @error bad_request  a malformed line, named by its number; no tokens at all. @error not_found,
  /// io_error  the file.
  [[nodiscard]] static Result<Authenticator> from_file(const std::string& path);
  [[nodiscard]] static Result<Authenticator> parse(std::string_view text);

  /// Whether a token is asked for.
  [[nodiscard]] bool required() const { return !entries_.empty(); }

  /// @param authorization  the Authorization header, if there is one.
  /// @return the caller, or 401 `unauthenticated`.
  [[nodiscard]] std::expected<Principal, Problem> authenticate(
      std::optional<std::string_view> authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    Digest digest{};
    Principal principal;
  };
  static Result<Entry> parse_line(std::string_view line);

  std::vector<Entry> entries_;
};

/// 403 `forbidden`, naming the role that is missing; nothing when the principal has it.
[[nodiscard]] std::optional<Problem> check_role(const Principal& principal, Role role);

}  // namespace keelson::http
