// Conditional requests (RFC 9110, section 13): If-Match and If-None-Match.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/types.h"
#include "http/request.h"
#include "http/response.h"

namespace keelson::http {

/// The version that `If-Match: "<version>"` asks for; nothing without the header.
/// @error bad_request  anything but one strong entity tag that is a version.
[[nodiscard]] Result<std::optional<Version>> parse_if_match(const Headers& headers);

/// Whether `If-None-Match` names `etag` (with its quotes), so that the answer is 304. Compared
/// weakly, as section 13.1.2 has it. `*` names nothing here: whoever knows an answer knows its tag.
[[nodiscard]] bool if_none_match_has(const Headers& headers, std::string_view etag);

/// `"<version>"`.
[[nodiscard]] std::string version_etag(Version version);

/// 304 with its tag. What is derived is to be asked for anew each time: `no-cache`.
[[nodiscard]] Response not_modified(std::string etag);

}  // namespace keelson::http
