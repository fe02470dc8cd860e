// Where another node is reached.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"

namespace keelson::transport {

struct PeerAddress {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const PeerAddress&) const = default;
};

/// `host:port`; an IPv6 address may stand in brackets. @error bad_request
[[nodiscard]] Result<PeerAddress> parse_address(const std::string& text);

}  // namespace keelson::transport
