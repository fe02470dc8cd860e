#include "samples/bank/url.h"

#include <charconv>
#include <cstdint>
#include <string>

namespace bank {

using keelson::Errc;
using keelson::fail;

namespace {

bool is_port(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 1 && number <= 65535;
}

}  // namespace

keelson::Result<Url> Url::parse(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail(
        Errc::bad_request,
        "'" + std::string(text) + "' is no URL like http://127.0.0.1:8080: " + std::string(why));
  };
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with("https://")) return refuse("these tools speak plain HTTP only");
  if (!text.starts_with(kScheme)) return refuse("it does not begin with http://");
  std::string_view rest = text.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);

  Url url;
  const std::size_t host_end = rest.starts_with('[') ? rest.find(']') : rest.find(':');
  if (rest.starts_with('[')) {
    if (host_end == std::string_view::npos) return refuse("the bracket is not closed");
    url.host = rest.substr(1, host_end - 1);
    rest.remove_prefix(host_end + 1);
  } else {
    url.host = rest.substr(0, host_end);
    rest.remove_prefix(url.host.size());
  }
  if (url.host.empty()) return refuse("it has no host");
  if (url.host.find_first_of("/?#@ ") != std::string::npos) return refuse("only a host and a port");
  if (rest.empty()) return url;
  if (!rest.starts_with(':') || !is_port(rest.substr(1))) return refuse("the port is no port");
  url.port = rest.substr(1);
  return url;
}

std::string Url::authority() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + port;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

}  // namespace bank
