// RFC 9457 problems: the one shape of every error of the API.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "http/response.h"

namespace keelson::http {

/// `type` is `urn:keelson:problem:<code>`, so that a client can rely on either.
struct Problem {
  unsigned status = 500;
  std::string code;    ///< `version-conflict`: stable, for programs
  std::string title;   ///< short, the same for every problem of this code
  std::string detail;  ///< what happened this time and what to do about it
  /// Members beside the standard ones; the second is JSON text.
  std::vector<std::pair<std::string, std::string>> extensions;
  std::vector<std::pair<std::string, std::string>> headers;  ///< `Retry-After`, `Allow`, …
};

/// Status, code and advice for an error of the layers below. Errors that are Keelson's own
/// (`internal`, `io_error`, `corruption` …) keep their context, which names files, out of the
/// detail: it belongs in the log.
[[nodiscard]] Problem problem_of(const Error& error);

/// The same, for an answer: what the detail keeps from the client, the operator finds in the log.
/// There are ten lines a second at most of each kind of error, and one of a full disk, which
/// refuses one command after another; the next line says how many were left out.
[[nodiscard]] Problem answered_problem(const Error& error);

/// `bad-request` with this detail.
[[nodiscard]] Problem bad_request(std::string detail);
/// `not-found` with this detail.
[[nodiscard]] Problem not_found(std::string detail);
/// `unsupported-media-type`, naming what is accepted.
[[nodiscard]] Problem unsupported_media_type(std::string_view accepted);

/// The JSON object `{type,title,status,detail,code,…}`.
[[nodiscard]] std::string to_json(const Problem& problem);
/// `application/problem+json`.
[[nodiscard]] Response to_response(const Problem& problem);

}  // namespace keelson::http
