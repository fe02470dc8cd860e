#include "http/gate.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "http/browser_guard.h"

namespace keelson::http {

namespace {

using boost::beast::iequals;
using boost::beast::http::field;

std::string_view without_parameters(std::string_view media_type) {
  media_type = media_type.substr(0, media_type.find(';'));
  while (media_type.ends_with(' ')) media_type.remove_suffix(1);
  return media_type;
}

bool is_loopback(const std::string& address) {
  boost::system::error_code error;
  return boost::asio::ip::make_address(address, error).is_loopback() && !error;
}

}  // namespace

Gate::Gate(const ServerOptions& options, const Router& router, const Authenticator& authenticator)
    : options_(options),
      router_(router),
      authenticator_(authenticator),
      for_this_machine_(!authenticator.required() && is_loopback(options.address)) {}

std::expected<Admission, Problem> Gate::admit(const RequestParser& head) const {
  if (for_this_machine_) {
    if (auto problem = check_host_is_local(head)) return std::unexpected(*std::move(problem));
  }
  if (auto problem = check_origin(head)) return std::unexpected(*std::move(problem));
  auto match = router_.match(head.method(), head.target());
  if (!match) return std::unexpected(std::move(match).error());
  const RouteOptions& options = match->route->options;

  Admission admission{
      match->route, std::move(match->path_parameters), std::move(match->query_parameters), {}, 0};
  if (options.role) {
    auto principal = authenticator_.authenticate(head.field(field::authorization));
    if (!principal) return std::unexpected(std::move(principal).error());
    if (auto problem = check_role(*principal, *options.role)) return std::unexpected(*problem);
    admission.principal = *std::move(principal);
  }
  if (auto problem = check_media_type(options, head)) return std::unexpected(*std::move(problem));

  admission.body_bytes_max =
      options.body_bytes_max != 0 ? options.body_bytes_max : options_.body_bytes_max;
  if (head.content_length().value_or(0) > admission.body_bytes_max) {
    return std::unexpected(problem_of(Error{
        Errc::too_large,
        "the body is over the limit of " + std::to_string(admission.body_bytes_max) + " bytes",
        std::nullopt}));
  }
  return admission;
}

std::optional<Problem> Gate::check_media_type(const RouteOptions& options,
                                              const RequestParser& head) {
  if (options.consumes.empty() || !head.has_body()) return std::nullopt;
  if (const auto coding = head.field(field::content_encoding);
      coding && !iequals(*coding, "identity")) {
    return unsupported_media_type("plain bytes, without Content-Encoding");
  }
  const auto given = head.field(field::content_type);
  if (!given) return std::nullopt;
  const std::string_view media_type = without_parameters(*given);
  const bool known = std::ranges::any_of(
      options.consumes, [&](const std::string& consumed) { return iequals(consumed, media_type); });
  if (known) return std::nullopt;
  std::string all;
  for (const std::string& consumed : options.consumes) {
    all += all.empty() ? "" : " or ";
    all += consumed;
  }
  return unsupported_media_type(all);
}

}  // namespace keelson::http
