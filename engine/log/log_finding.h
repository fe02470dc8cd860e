// What a verifier says of a file that is not as it should be.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace keelson::log {

/// What is wrong with a file, and what it means. docs/decisions/0074 says why these.
struct LogFinding {
  enum class Kind {
    lost,         ///< stored bytes are damaged or missing: a backup or another replica has them
    unreadable,   ///< the system does not give the file: nothing is known of what it holds
    unsupported,  ///< whole, and of a newer format: a newer program reads it
    undecided,    ///< the end of the log: not written whole, so that nobody was told, or rotted
    unfinished,   ///< a step of several that a start finishes; nobody was told of what goes
    derived,      ///< an index or a filter: it is made again, at the next start or when needed
    unknown,      ///< it belongs to nothing, and nothing is missing
  };
  Kind kind = Kind::lost;
  std::string file;
  std::string what;  ///< with the byte, where there is one
  /// In the file; of a batch in a compressed segment, in what that decompresses to.
  std::optional<std::uint64_t> position{};
  bool operator==(const LogFinding&) const = default;
};

/// What all findings come to.
enum class LogVerdict {
  intact,     ///< every event is there and as it was stored
  undecided,  ///< so it is but for the end of a log, of which that cannot be told
  damaged,    ///< something is lost, or could not be looked at
};
[[nodiscard]] LogVerdict verdict_of(std::span<const LogFinding> findings);
/// Of two, the worse.
[[nodiscard]] LogVerdict worse(LogVerdict one, LogVerdict other);

/// What an error in reading stored bytes is.
/// @param damaged  what it is when the bytes have been read and are wrong.
[[nodiscard]] LogFinding::Kind kind_of(const Error& error, LogFinding::Kind damaged);
/// The finding that `error` is; its context may begin with the file.
[[nodiscard]] LogFinding finding_of(const Error& error, LogFinding::Kind damaged, std::string file,
                                    std::optional<std::uint64_t> position = std::nullopt);
/// The same of a small text whose last line is a checksum: only where that holds does its first
/// line say that it is of a newer version.
/// @param text  nothing when it could not be read.
[[nodiscard]] LogFinding finding_of_text(const Error& error, const Result<std::string>& text,
                                         std::string file);

}  // namespace keelson::log
