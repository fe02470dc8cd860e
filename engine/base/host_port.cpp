#include "engine/base/host_port.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace keelson {

namespace {

/// What would be another part of a URL, or none.
bool may_be_in_host(char c) {
  return c > ' ' && c < '\x7f' && std::string_view("/?#@[]").find(c) == std::string_view::npos;
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const auto refused = [&] {
    return fail(Errc::bad_request, "'" + std::string(text) + "' is not HOST:PORT");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || !std::ranges::all_of(host, may_be_in_host)) return refused();
  HostPort address{std::string(host), 0};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || stop != end) return refused();
  return address;
}

std::string text_of(const HostPort& address) {
  const bool six = address.host.find(':') != std::string::npos;
  return (six ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace keelson
