#include "http/main/node_access.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <string_view>
#include <utility>

#include "engine/base/host_port.h"

namespace keelson::tools {

void describe(CLI::App& command, NodeAccess& access) {
  command
      .add_option("--ca", access.authority_file,
                  "Whose certificates are believed of nodes, PEM; those of the system by default")
      ->type_name("FILE");
  command.add_option("--token", access.token_file, "A file with the token to show to nodes");
}

Result<Nodes> open_nodes(const NodeAccess& access) {
  constexpr std::string_view kPlain = "http://";
  constexpr std::string_view kTls = "https://";
  ClusterClient::Options options;
  options.authority_file = access.authority_file;
  std::vector<std::string> addresses;
  for (std::string_view url : access.servers) {
    const bool tls = url.starts_with(kTls);
    if (!tls && !url.starts_with(kPlain)) {
      return fail(Errc::bad_request, "--server must be http://HOST:PORT or https://HOST:PORT");
    }
    if (!addresses.empty() && options.tls != tls) {
      return fail(Errc::bad_request, "--server: all nodes serve https:// or none");
    }
    options.tls = tls;
    url.remove_prefix((tls ? kTls : kPlain).size());
    if (url.ends_with('/')) url.remove_suffix(1);
    if (auto good = parse_host_port(url); !good) {
      return fail(Errc::bad_request, "--server: " + good.error().context);
    }
    addresses.emplace_back(url);
  }
  if (!access.token_file.empty()) {
    std::ifstream file(access.token_file);
    if (!std::getline(file, options.token) || options.token.empty()) {
      return fail(Errc::bad_request, "no token can be read from " + access.token_file);
    }
  }
  KEELSON_TRY_ASSIGN(auto client, ClusterClient::open(std::move(options)));
  return Nodes{std::move(addresses), std::move(client)};
}

}  // namespace keelson::tools
