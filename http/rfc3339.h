// Points in time as the API writes and reads them (RFC 3339).
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/types.h"

namespace keelson::http {

/// Appends `2026-11-22T22:24:28.123456Z`: always UTC, always six digits of the second, so that
/// times of equal length compare as text. Times outside the years 0000…9999 are written as the
/// nearest one inside.
void append_time(std::string& out, TimeUs time);
[[nodiscard]] std::string to_rfc3339(TimeUs time);

/// Reads any RFC 3339 time, with an offset or `Z`. Digits below the microsecond are cut off: events
/// carry microseconds, so the same events are at or before it. A leap second (`:60`) is taken for
/// the last microsecond before it ends.
/// @error bad_request  anything else.
[[nodiscard]] Result<TimeUs> parse_rfc3339(std::string_view text);

}  // namespace keelson::http
