// A numeric address and a port, as command lines have them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace keelson::http {

struct SocketAddress {
  std::string address;  ///< numeric, without brackets
  std::uint16_t port = 0;
  bool loopback = false;  ///< reached from this machine only
};

/// `127.0.0.1:8080` or `[::1]:8080`; nothing for anything else.
[[nodiscard]] std::optional<SocketAddress> parse_socket_address(const std::string& text);

}  // namespace keelson::http
