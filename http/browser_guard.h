// Requests that a browser may send without its user's knowing. Private to the library.
#pragma once

#include <optional>
#include <string_view>

#include "http/problem.h"
#include "http/request_parser.h"

namespace keelson::http {

/// Whether `origin`, as a browser sends it, is another site than the one asked, `host`.
[[nodiscard]] bool is_foreign_origin(std::string_view origin, std::string_view host);

/// 403 when a page of another site may be behind a request that changes something: a browser sends
/// forms and simple fetches anywhere, and says so in `Origin`. What carries `Authorization` is let
/// through: no page can add that without asking first (CORS), and nobody is granted that here.
[[nodiscard]] std::optional<Problem> check_origin(const RequestParser& head);

/// 403 when `Host` is a name that somebody else's DNS may have pointed here (DNS rebinding): a page
/// of that name would be of the same site, with all rights of a caller without a token. Addresses,
/// `localhost` and names below it cannot be.
[[nodiscard]] std::optional<Problem> check_host_is_local(const RequestParser& head);

}  // namespace keelson::http
