#include "http/socket_address.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace keelson::http {

std::optional<SocketAddress> parse_socket_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  SocketAddress parsed;
  parsed.address = text.substr(0, std::min(colon, text.size()));
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (parsed.address.size() > 2 && parsed.address.front() == '[' && parsed.address.back() == ']') {
    parsed.address = parsed.address.substr(1, parsed.address.size() - 2);
  }
  boost::system::error_code error;
  const auto numeric = boost::asio::ip::make_address(parsed.address, error);
  const auto [end, number_error] =
      std::from_chars(port.data(), port.data() + port.size(), parsed.port);
  if (error || port.empty() || number_error != std::errc{} || end != port.data() + port.size()) {
    return std::nullopt;
  }
  parsed.loopback = numeric.is_loopback();
  return parsed;
}

}  // namespace keelson::http
