// What `serve` was told on the command line.
#pragma once

#include <functional>
#include <string>

#include "engine/base/result.h"
#include "engine/store/options.h"
#include "http/cluster_options.h"
#include "http/server_options.h"

namespace CLI {
class App;
}

namespace keelson::http {

/// What a node may hold in memory beside what requests take. As StoreOptions and HostOptions.
struct MemoryOptions {
  std::uint64_t pending_bytes_max = 64u << 20;        ///< of each partition
  std::uint32_t open_segments_max = 256;              ///< of all partitions
  std::uint64_t decompressed_bytes_max = 256u << 20;  ///< of all partitions
  std::uint64_t state_cache_bytes_max = 256u << 20;   ///< of all partitions
};

struct ServeOptions {
  std::string folder;                     ///< of all data: `log`, `read-models`, `snapshots`
  std::string listen = "127.0.0.1:8080";  ///< numeric address and port
  std::string tokens_file;                ///< empty: everyone is anonymous
  bool insecure = false;
  std::uint32_t partitions = 0;  ///< of the application's topic when it is made; 0: 1
  Durability durability = Durability::fsync;
  Limits limits;
  MemoryOptions memory;
  ServerOptions server;
  ClusterOptions cluster;
  bool log_json = false;
  std::string log_level = "info";
  /// Whether starting, which may wait for other nodes, is to be given up.
  std::function<bool()> stop_requested = [] { return false; };
};

/// Describes the options to the command line's parser, which fills `options`.
void describe(CLI::App& command, ServeOptions& options);

/// Takes `listen` apart into `server`, and checks that the address may be listened on: one that
/// others can reach needs TLS and tokens, or `insecure`.
/// @error bad_request  says what to do.
[[nodiscard]] Result<void> complete(ServeOptions& options);

}  // namespace keelson::http
