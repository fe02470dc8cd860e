// What is decided on a request's head, before any of its body is read. Private to the library.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "http/auth.h"
#include "http/request_parser.h"
#include "http/router.h"
#include "http/server_options.h"

namespace keelson::http {

struct Admission {
  const Router::Route* route = nullptr;
  Parameters path_parameters;
  Parameters query_parameters;
  Principal principal;
  std::uint64_t body_bytes_max = 0;
};

/// Whether a browser may be misused, then route, then caller and role, then media type and size.
/// Immutable, thread-safe.
class Gate {
 public:
  Gate(const ServerOptions& options, const Router& router, const Authenticator& authenticator);

  [[nodiscard]] std::expected<Admission, Problem> admit(const RequestParser& head) const;
  /// The methods of the target's path, to answer OPTIONS with.
  [[nodiscard]] std::expected<std::string, Problem> allow(std::string_view target) const {
    return router_.allow(target);
  }

 private:
  [[nodiscard]] static std::optional<Problem> check_media_type(const RouteOptions& options,
                                                               const RequestParser& head);

  const ServerOptions& options_;
  const Router& router_;
  const Authenticator& authenticator_;
  const bool for_this_machine_;  ///< everyone who reaches it has every role
};

}  // namespace keelson::http
