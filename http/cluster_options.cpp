#include "http/cluster_options.h"

#include <CLI/CLI.hpp>
#include <boost/asio/ip/address.hpp>
#include <fstream>
#include <iterator>

#include "engine/cluster/cluster_keys.h"
#include "http/command_line_checks.h"
#include "http/socket_address.h"

namespace keelson::http {

namespace {

constexpr std::size_t kSecretBytesMin = 16;
constexpr std::size_t kSecretBytesMax = 4096;

Result<std::string> read_secret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string secret((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return fail(Errc::bad_request, "--cluster-secret '" + path + "' cannot be read");
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.size() < kSecretBytesMin || secret.size() > kSecretBytesMax) {
    return fail(Errc::bad_request, "--cluster-secret '" + path + "': a secret has " +
                                       std::to_string(kSecretBytesMin) + " to " +
                                       std::to_string(kSecretBytesMax) + " bytes");
  }
  return secret;
}

/// Nodes on one machine may do without: whoever can reach them is on it.
std::string secret_of_this_machine(const std::string& cluster) {
  return "keelson, on this machine only: " + cluster;
}

}  // namespace

void describe(CLI::App& command, ClusterOptions& options) {
  command.add_option("--cluster", options.name, "Be a node of this cluster")->type_name("NAME");
  command
      .add_option("--node-id", options.node,
                  "Of this node; fixed for its data folder, and no other node's")
      ->check(CLI::Range(1u, 65535u));
  describe(command, options.etcd);
  command.add_option("--advertise", options.advertise, "Where the other nodes reach this one")
      ->type_name("HOST:PORT");
  command
      .add_option("--peer-listen", options.peer_listen,
                  "Where to listen for the other nodes, if not at --advertise")
      ->type_name("ADDRESS:PORT");
  command
      .add_option("--advertise-http", options.advertise_http,
                  "Where clients reach this node, if not at --listen")
      ->type_name("HOST:PORT");
  command
      .add_option("--replicas", options.replicas,
                  "Of each partition of the topics that are made through this node")
      ->check(CLI::IsMember({1u, 3u, 5u, 7u}))
      ->capture_default_str();
  command
      .add_option("--retention-waits", options.retention_waits,
                  "How many seconds retention waits for a replica that is away")
      ->check(whole_number())
      ->type_name("SECONDS")
      ->capture_default_str();
  command
      .add_option("--retention-waits-bytes", options.retention_waits_bytes,
                  "How many bytes of a partition it keeps for one that is behind")
      ->check(whole_number())
      ->type_name("BYTES")
      ->capture_default_str();
  command
      .add_option("--cluster-secret", options.secret_file,
                  "A file with what the nodes of the cluster know and nobody else")
      ->type_name("FILE");
  command
      .add_option("--peer-tls-cert", options.peer_tls_cert,
                  "This node's certificate chain for the other nodes, PEM")
      ->type_name("FILE");
  command.add_option("--peer-tls-key", options.peer_tls_key, "Its private key, PEM")
      ->type_name("FILE");
  command
      .add_option("--peer-tls-ca", options.peer_tls_ca,
                  "Whose certificates are believed of other nodes, PEM")
      ->type_name("FILE");
}

Result<void> complete(ClusterOptions& options, const std::string& listen, bool insecure) {
  if (!options.given()) {
    if (options.node != 0 || !options.etcd.endpoints.empty() || !options.advertise.empty()) {
      return fail(Errc::bad_request,
                  "--node-id, --etcd and --advertise are of a node of a cluster: give --cluster");
    }
    return {};
  }
  KEELSON_TRY(cluster::check_cluster_name(options.name));
  if (options.node == 0 || options.etcd.endpoints.empty() || options.advertise.empty()) {
    return fail(Errc::bad_request, "--cluster needs --node-id, --etcd and --advertise");
  }
  KEELSON_TRY(complete(options.etcd, insecure));
  const std::string& where = options.peer_listen.empty() ? options.advertise : options.peer_listen;
  const auto address = parse_socket_address(where);
  if (!address) {
    return fail(Errc::bad_request,
                (options.peer_listen.empty() ? "--advertise '" : "--peer-listen '") + where +
                    "': expected a numeric address and a port, as in 10.0.0.1:7000; a name needs "
                    "--peer-listen beside it");
  }
  options.peer_address = address->address;
  options.peer_port = address->port;
  if (options.advertise_http.empty()) options.advertise_http = listen;
  const bool tls = !options.peer_tls_cert.empty();
  if (tls != !options.peer_tls_key.empty() || tls != !options.peer_tls_ca.empty()) {
    return fail(Errc::bad_request,
                "--peer-tls-cert, --peer-tls-key and --peer-tls-ca are needed together");
  }
  if (!options.secret_file.empty()) {
    KEELSON_TRY_ASSIGN(options.secret, read_secret(options.secret_file));
  } else if (address->loopback || insecure) {
    options.secret = secret_of_this_machine(options.name);
  } else {
    return fail(Errc::bad_request, "others can reach " + address->address +
                                       ": give --cluster-secret, or --insecure to do without");
  }
  if (!tls && !address->loopback && !insecure) {
    return fail(Errc::bad_request,
                "what the nodes send each other crosses a network: give --peer-tls-cert, "
                "--peer-tls-key and --peer-tls-ca, or --insecure to send it as it is");
  }
  return {};
}

}  // namespace keelson::http
