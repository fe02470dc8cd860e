// What `serve` was told of the cluster that its node belongs to.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "http/etcd/etcd_options.h"

namespace CLI {
class App;
}

namespace keelson::http {

struct ClusterOptions {
  std::string name;            ///< empty: this node is alone
  std::uint32_t node = 0;      ///< from 1
  EtcdOptions etcd;            ///< what the cluster agrees on is kept there
  std::string advertise;       ///< `HOST:PORT` where the other nodes reach this one
  std::string peer_listen;     ///< numeric address and port; empty: as `advertise`
  std::string advertise_http;  ///< `HOST:PORT` where clients reach it; empty: as it listens
  std::uint32_t replicas = 3;  ///< of each partition of the topics that are made here
  /// Retention waits for a replica that is silent for so long, and lacks so much: seconds, bytes.
  std::uint32_t retention_waits = 3600;
  std::uint64_t retention_waits_bytes = std::uint64_t{16} << 30;
  std::string secret_file;    ///< what the nodes know and nobody else
  std::string peer_tls_cert;  ///< PEM
  std::string peer_tls_key;   ///< PEM
  std::string peer_tls_ca;    ///< PEM

  // Filled by `complete`.
  std::string peer_address;
  std::uint16_t peer_port = 0;
  std::string secret;

  [[nodiscard]] bool given() const { return !name.empty(); }
};

void describe(CLI::App& command, ClusterOptions& options);

/// Checks that all is there that a node of a cluster needs, and reads the secret. Nothing to do
/// without a cluster.
/// @param listen    where clients are served: the default of `advertise_http`.
/// @param insecure  the other nodes may be reached over a network without a secret or TLS.
/// @error bad_request  says what to do.
[[nodiscard]] Result<void> complete(ClusterOptions& options, const std::string& listen,
                                    bool insecure);

}  // namespace keelson::http
