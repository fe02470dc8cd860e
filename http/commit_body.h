// What a client appends, as JSON, to what the engine commits.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/store/commit.h"
#include "engine/store/options.h"

namespace keelson::http {

/// Reads `[{"type":…,"data":…,"metadata":…?}, …]`. Payloads are taken byte for byte; that they are
/// JSON, of bounded depth, is checked here, once and for ever.
/// @error bad_request  the context names the byte. @error too_large  too many events or bytes.
[[nodiscard]] Result<std::vector<NewEvent>> parse_events(std::string_view body,
                                                         const Limits& limits);

/// Reads `{"writes":[{"stream":…,"expected_version":…?,"events":[…]}], "checks":[{"stream":…,
/// "expected_version":…}]?}`. An expected version is a number, `"none"`, `"exists"` or `"any"`.
[[nodiscard]] Result<Commit> parse_commit(std::string_view body, const Limits& limits);

/// Of everything the commit asks for but its expectations: a client that repeats a command after
/// reading anew repeats the same command. White space outside of strings does not count.
[[nodiscard]] Fingerprint fingerprint_of(std::string_view target, const Commit& commit);

/// Room for the JSON around the payloads of a commit.
inline constexpr std::uint64_t kCommitBodySlack = 1u << 20;

}  // namespace keelson::http
