// Where something is reached, as command lines and records say it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace keelson {

struct HostPort {
  std::string host;  ///< a name or a numeric address, without brackets
  std::uint16_t port = 0;

  bool operator==(const HostPort&) const = default;
};

/// `HOST:PORT`; an IPv6 address may stand in brackets. The port 0 is one as well: who listens there
/// gets any.
/// @error bad_request  it is none.
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text);
/// With brackets where they are needed.
[[nodiscard]] std::string text_of(const HostPort& address);

}  // namespace keelson
