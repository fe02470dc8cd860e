// Where a server is.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace bank {

/// `http://HOST[:PORT]`, an IPv6 address in brackets. No TLS here: the tools run beside the server.
struct Url {
  std::string host;
  std::string port = "80";

  /// @error bad_request  anything else, a path included.
  [[nodiscard]] static keelson::Result<Url> parse(std::string_view text);
  /// `HOST:PORT`, as in the Host header.
  [[nodiscard]] std::string authority() const;
};

/// `text` as one segment of a URL's path: all but unreserved characters as `%XX` (RFC 3986, 2.3).
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace bank
