#include "http/socket_address.h"

#include <boost/asio/ip/address.hpp>
#include <utility>

#include "engine/base/host_port.h"

namespace keelson::http {

std::optional<SocketAddress> parse_socket_address(const std::string& text) {
  auto parsed = parse_host_port(text);
  if (!parsed) return std::nullopt;
  boost::system::error_code error;
  const auto numeric = boost::asio::ip::make_address(parsed->host, error);
  if (error) return std::nullopt;
  return SocketAddress{std::move(parsed->host), parsed->port, numeric.is_loopback()};
}

}  // namespace keelson::http
