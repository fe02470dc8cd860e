// How the cluster's etcd is reached, and as whom.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/host_port.h"
#include "engine/base/result.h"

namespace CLI {
class App;
}

namespace keelson::http {

struct EtcdEndpoint {
  HostPort address;
  bool tls = false;
  bool operator==(const EtcdEndpoint&) const = default;

  /// `host:port`, as in a URL.
  [[nodiscard]] std::string authority() const { return text_of(address); }
};

/// Of `http://host:port` or `https://host:port`, several with commas between: all alike.
/// @error bad_request  says which is not like that.
[[nodiscard]] Result<std::vector<EtcdEndpoint>> parse_etcd_endpoints(std::string_view text);

struct EtcdOptions {
  std::string endpoints = {};  ///< see `parse_etcd_endpoints`: of one etcd
  /// Whose certificates are believed of etcd, PEM; empty: those of the system.
  std::string authority_file = {};
  std::string certificate_file = {};  ///< shown to etcd, PEM; empty: none
  std::string key_file = {};          ///< of that certificate, PEM
  std::string user = {};              ///< empty: etcd asks for none
  std::string password_file = {};
  std::string password = {};  ///< filled by `complete`; where there is a file, that is read again
  /// Something that an operator wants to know: etcd does not answer, refuses this node, or is back.
  /// Called by the coordinator's thread.
  std::function<void(const std::string& what)> report = [](const std::string&) {};
};

/// Adds `--etcd` and what belongs to it.
void describe(CLI::App& command, EtcdOptions& options);

/// @error bad_request  it cannot be read, or has no password in it.
[[nodiscard]] Result<std::string> read_etcd_password(const std::string& path);

/// Checks that what was given fits together, and reads the password.
/// @param insecure  a password may be sent over a network as it is.
/// @error bad_request  says what to do.
[[nodiscard]] Result<void> complete(EtcdOptions& options, bool insecure);

}  // namespace keelson::http
