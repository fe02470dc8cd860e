#include "http/response_head.h"

#include <array>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <ctime>

namespace keelson::http {

namespace {

/// RFC 9110, 6.6.1: an origin server with a clock sends its time. Formatted once a second.
std::string_view http_date() {
  struct Cached {
    std::time_t second = 0;
    std::array<char, 40> text{};
    std::size_t size = 0;
  };
  thread_local Cached cached;
  if (const std::time_t now = std::time(nullptr); now != cached.second) {
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    cached.size =
        std::strftime(cached.text.data(), cached.text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    cached.second = now;
  }
  return {cached.text.data(), cached.size};
}

bool may_have_length(unsigned status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

void append_head(std::string& out, const Response& response, Framing framing, bool keep_alive) {
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  out.append(reason.data(), reason.size());
  out.append("\r\nDate: ").append(http_date()).append("\r\n");
  for (const auto& [name, value] : response.headers) {
    out.append(name).append(": ").append(value).append("\r\n");
  }
  if (framing == Framing::length && may_have_length(response.status)) {
    out.append("Content-Length: ").append(std::to_string(response.body.size())).append("\r\n");
  }
  if (framing == Framing::chunked) out.append("Transfer-Encoding: chunked\r\n");
  out.append(keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
}

void append_chunk(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
  out.append(size.data(), end).append("\r\n").append(bytes).append("\r\n");
}

}  // namespace keelson::http
