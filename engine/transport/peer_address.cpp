#include "engine/transport/peer_address.h"

#include <charconv>
#include <system_error>

namespace keelson::transport {

Result<PeerAddress> parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  PeerAddress address;
  bool good = colon != text.npos && colon > 0;
  if (good) {
    address.host = text.substr(0, colon);
    if (address.host.front() == '[' && address.host.back() == ']') {
      address.host = address.host.substr(1, address.host.size() - 2);
    }
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    good = error == std::errc() && stop == end && address.port != 0 && !address.host.empty();
  }
  if (!good) return fail(Errc::bad_request, "'" + text + "' is not host:port");
  return address;
}

}  // namespace keelson::transport
