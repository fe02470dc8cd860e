#include "http/browser_guard.h"

#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/string.hpp>
#include <string>

namespace keelson::http {

namespace {

using boost::beast::iequals;
using boost::beast::http::field;

Problem forbidden(std::string detail) {
  Problem problem;
  problem.status = 403;
  problem.code = "forbidden";
  problem.title = "Forbidden";
  problem.detail = std::move(detail);
  return problem;
}

/// `[::1]:8080` → `::1`, `localhost:8080` → `localhost`.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

bool is_local_name(std::string_view name) {
  constexpr std::string_view kSuffix = ".localhost";
  return iequals(name, "localhost") ||
         (name.size() > kSuffix.size() &&
          iequals(name.substr(name.size() - kSuffix.size()), kSuffix));
}

}  // namespace

bool is_foreign_origin(std::string_view origin, std::string_view host) {
  const auto scheme = origin.find("://");
  return scheme == std::string_view::npos || !iequals(origin.substr(scheme + 3), host);
}

std::optional<Problem> check_origin(const RequestParser& head) {
  const Method method = head.method();
  if (method == Method::get || method == Method::head) return std::nullopt;
  const auto origin = head.field(field::origin);
  if (!origin || head.field(field::authorization)) return std::nullopt;
  if (!is_foreign_origin(*origin, head.field(field::host).value_or(""))) return std::nullopt;
  return forbidden("A page of another site may not change anything here: Origin is not Host.");
}

std::optional<Problem> check_host_is_local(const RequestParser& head) {
  const auto host = head.field(field::host);
  if (!host) return std::nullopt;  // HTTP/1.0, which no browser speaks
  const std::string_view name = without_port(*host);
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(std::string(name), not_an_address);
  if (!not_an_address || is_local_name(name)) return std::nullopt;
  return forbidden(
      "Without tokens this server answers to localhost and to addresses only, not to the Host that "
      "was asked for.");
}

}  // namespace keelson::http
