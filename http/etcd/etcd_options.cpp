#include "http/etcd/etcd_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <fstream>
#include <iterator>
#include <optional>

namespace keelson::http {

namespace {

constexpr std::size_t kPasswordBytesMax = 4096;

bool of_this_machine(const EtcdEndpoint& endpoint) {
  if (endpoint.address.host == "localhost") return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(endpoint.address.host, error);
  return !error && address.is_loopback();
}

/// Nothing when it is none.
std::optional<EtcdEndpoint> endpoint_from(std::string_view url) {
  constexpr std::string_view kPlain = "http://";
  constexpr std::string_view kTls = "https://";
  EtcdEndpoint endpoint;
  endpoint.tls = url.starts_with(kTls);
  if (!endpoint.tls && !url.starts_with(kPlain)) return std::nullopt;
  url.remove_prefix((endpoint.tls ? kTls : kPlain).size());
  auto address = parse_host_port(url);
  if (!address || address->port == 0) return std::nullopt;
  endpoint.address = *std::move(address);
  return endpoint;
}

}  // namespace

Result<std::string> read_etcd_password(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string password((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return fail(Errc::bad_request, "--etcd-password-file '" + path + "' cannot be read");
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) {
    password.pop_back();
  }
  if (password.empty() || password.size() > kPasswordBytesMax) {
    return fail(Errc::bad_request, "--etcd-password-file '" + path + "': a password has 1 to " +
                                       std::to_string(kPasswordBytesMax) + " bytes");
  }
  return password;
}

Result<std::vector<EtcdEndpoint>> parse_etcd_endpoints(std::string_view text) {
  std::vector<EtcdEndpoint> endpoints;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    auto endpoint = endpoint_from(one);
    if (!endpoint) {
      return fail(Errc::bad_request,
                  "an etcd endpoint is http://host:port or https://host:port, not '" +
                      std::string(one) + "'");
    }
    if (!endpoints.empty() && endpoints.front().tls != endpoint->tls) {
      return fail(Errc::bad_request,
                  "etcd endpoints are all https:// or all http://: '" + std::string(one) + "'");
    }
    endpoints.push_back(*std::move(endpoint));
    if (comma == std::string_view::npos) return endpoints;
    text.remove_prefix(comma + 1);
  }
}

void describe(CLI::App& command, EtcdOptions& options) {
  command
      .add_option("--etcd", options.endpoints,
                  "Where the cluster's etcd is, as in https://HOST:2379")
      ->type_name("URL[,URL]");
  command
      .add_option("--etcd-ca", options.authority_file,
                  "Whose certificates are believed of etcd, PEM; those of the system by default")
      ->type_name("FILE");
  command
      .add_option("--etcd-cert", options.certificate_file,
                  "The certificate chain to show to etcd, PEM")
      ->type_name("FILE");
  command.add_option("--etcd-key", options.key_file, "Its private key, PEM")->type_name("FILE");
  command.add_option("--etcd-user", options.user, "Who to be in etcd")->type_name("NAME");
  command.add_option("--etcd-password-file", options.password_file, "A file with its password")
      ->type_name("FILE");
}

Result<void> complete(EtcdOptions& options, bool insecure) {
  KEELSON_TRY_ASSIGN(const auto endpoints, parse_etcd_endpoints(options.endpoints));
  const bool tls = endpoints.front().tls;
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return fail(Errc::bad_request, "--etcd-cert and --etcd-key are needed together");
  }
  if (!tls && (!options.authority_file.empty() || !options.certificate_file.empty())) {
    return fail(Errc::bad_request,
                "--etcd-ca, --etcd-cert and --etcd-key are for https://, and --etcd has http://");
  }
  if (options.user.empty() != options.password_file.empty()) {
    return fail(Errc::bad_request, "--etcd-user and --etcd-password-file are needed together");
  }
  if (options.user.empty()) return {};
  if (!tls && !insecure && !std::ranges::all_of(endpoints, of_this_machine)) {
    return fail(Errc::bad_request,
                "the password for etcd would cross a network as it is: give https:// endpoints, or "
                "--insecure");
  }
  KEELSON_TRY_ASSIGN(options.password, read_etcd_password(options.password_file));
  return {};
}

}  // namespace keelson::http
