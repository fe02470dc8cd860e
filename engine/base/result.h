// Errors as values. See docs/ARCHITECTURE.md, "Errors".
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/types.h"

namespace keelson {

/// What went wrong, as a caller can act on it. The HTTP layer maps each to one status and code.
enum class Errc {
  bad_request,           ///< the caller's input is malformed or out of range
  not_found,             ///< no such topic, partition, stream, projection, table …
  already_exists,        ///< there is one, and it is different
  version_conflict,      ///< a stream is at another version; `Error::versions` says which
  idempotency_mismatch,  ///< this command id was used for something else
  too_large,             ///< over a configured limit
  overloaded,            ///< a bounded queue is full; repeat later
  not_leader,            ///< another node leads; context holds its address when known
  not_enough_replicas,   ///< a majority is not reachable; nothing was written
  outcome_unknown,       ///< may or may not have happened; repeat with the same command id
  disk_full,             ///< no room; nothing was written
  beyond_end,            ///< a position past the committed end
  below_start,           ///< a position that retention has removed
  not_caught_up,         ///< a read model has not reached the position within the wait
  halted,                ///< a projection or reaction stopped at a failing event
  timeout,               ///< bounded work took too long
  corruption,            ///< stored bytes fail their checksum; context names file and byte
  unsupported_format,    ///< written by a version of Keelson this one cannot read
  locked,                ///< another process has this data folder
  io_error,              ///< the operating system refused; context has the call and errno
  closed,                ///< shutting down; nothing was written
  internal,              ///< a defect in Keelson
};

/// The name of `code` in snake_case, as in logs. A static string.
[[nodiscard]] std::string_view to_string(Errc code);

/// Whether an error of this kind is of stored bytes, and stops only what they belong to.
[[nodiscard]] constexpr bool is_damage(Errc code) {
  return code == Errc::corruption || code == Errc::unsupported_format;
}

/// Expected and current version of a stream that an optimistic check found different.
struct VersionMismatch {
  std::string stream;
  std::string expected;  ///< as the caller wrote it: a number, `none` or `exists`
  Version current;
  bool operator==(const VersionMismatch&) const = default;
};

struct Error {
  Errc code = Errc::internal;
  std::string context;                      ///< what was attempted, with file, offset, index
  std::optional<VersionMismatch> versions;  ///< set for `version_conflict`

  /// `code: context`, for logs and the command line.
  [[nodiscard]] std::string message() const;
  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string context) {
  return std::unexpected(Error{code, std::move(context), std::nullopt});
}

}  // namespace keelson

/// Returns the error of a `Result` expression from the enclosing function.
#define KEELSON_TRY(expression)                                                  \
  do {                                                                           \
    if (auto keelson_try_result = (expression); !keelson_try_result.has_value()) \
      return std::unexpected(std::move(keelson_try_result).error());             \
  } while (false)

#define KEELSON_CONCAT_INNER(a, b) a##b
#define KEELSON_CONCAT(a, b) KEELSON_CONCAT_INNER(a, b)

/// `KEELSON_TRY_ASSIGN(auto x, f())`: x is the value, or the error is returned.
#define KEELSON_TRY_ASSIGN(declaration, expression)                                       \
  auto KEELSON_CONCAT(keelson_result_, __LINE__) = (expression);                          \
  if (!KEELSON_CONCAT(keelson_result_, __LINE__).has_value())                             \
    return std::unexpected(std::move(KEELSON_CONCAT(keelson_result_, __LINE__)).error()); \
  declaration = *std::move(KEELSON_CONCAT(keelson_result_, __LINE__))
