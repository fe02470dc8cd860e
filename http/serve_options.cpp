#include "http/serve_options.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <map>

#include "http/socket_address.h"

namespace keelson::http {

namespace {

/// An option in seconds, kept as milliseconds.
void add_seconds(CLI::App& command, const std::string& name, std::chrono::milliseconds& time,
                 const std::string& help) {
  command
      .add_option_function<double>(
          name,
          [&time](double seconds) {
            time = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
          },
          help)
      ->check(CLI::Range(0.01, 86400.0))
      ->type_name("SECONDS")
      ->default_str(std::to_string(time.count() / 1000));
}

void describe_limits(CLI::App& command, ServeOptions& options) {
  command
      .add_option("--event-bytes-max", options.limits.event_bytes_max,
                  "Data and metadata of one event")
      ->check(CLI::Range(1u, 64u << 20))
      ->capture_default_str();
  command
      .add_option("--commit-bytes-max", options.limits.commit_bytes_max, "All events of one commit")
      ->check(CLI::Range(1u, 256u << 20))
      ->capture_default_str();
  command
      .add_option("--commit-events-max", options.limits.commit_events_max, "Events of one commit")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  command
      .add_option("--header-bytes-max", options.server.header_bytes_max, "Request line and header")
      ->check(CLI::Range(1024u, 1u << 20))
      ->capture_default_str();
  command.add_option("--body-bytes-max", options.server.body_bytes_max, "Body of a request")
      ->check(CLI::Range(1024u, 1u << 30))
      ->capture_default_str();
  command.add_option("--connections-max", options.server.connections_max, "Open connections")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  command
      .add_option("--pipeline-max", options.server.pipeline_max,
                  "Requests in work of one connection")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  command
      .add_option("--pipeline-blocking-max", options.server.pipeline_blocking_max,
                  "Of them, those that read the log or a read model")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  command
      .add_option("--answers-bytes-max", options.server.answers_bytes_max,
                  "Answers of all connections that wait for their clients")
      ->check(CLI::Range(1u << 20, 1u << 30))
      ->capture_default_str();
  add_seconds(command, "--header-timeout", options.server.header_timeout,
              "For a request's header to arrive");
  add_seconds(command, "--body-timeout", options.server.body_timeout,
              "For a request's body to arrive, and a second more for each 64 KiB");
  add_seconds(command, "--idle-timeout", options.server.idle_timeout,
              "Before a connection without requests is closed");
  add_seconds(command, "--write-timeout", options.server.write_timeout,
              "Before a client that takes no byte is cut");
  add_seconds(command, "--stop-timeout", options.server.stop_timeout,
              "For what is in flight when stopping");
}

constexpr std::uint64_t kMemoryMost = std::uint64_t{1} << 40;

void describe_memory(CLI::App& command, MemoryOptions& options) {
  command
      .add_option("--pending-bytes-max", options.pending_bytes_max,
                  "Of a partition, waiting to be written, before commands are refused")
      ->check(CLI::Range(std::uint64_t{1} << 20, kMemoryMost))
      ->capture_default_str();
  command
      .add_option("--open-segments-max", options.open_segments_max,
                  "Full segments of the log that are open at a time: two files each, and "
                  "up to 80 KB")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  command
      .add_option("--decompressed-bytes-max", options.decompressed_bytes_max,
                  "Of compressed segments, held decompressed")
      ->check(CLI::Range(std::uint64_t{0}, kMemoryMost))
      ->capture_default_str();
  command
      .add_option("--state-cache-bytes-max", options.state_cache_bytes_max,
                  "States of aggregates, held so that commands need not read their events")
      ->check(CLI::Range(std::uint64_t{0}, kMemoryMost))
      ->capture_default_str();
}

}  // namespace

void describe(CLI::App& command, ServeOptions& options) {
  command.add_option("--data", options.folder, "Folder of all data; made if missing")
      ->required()
      ->type_name("DIR");
  command
      .add_option("--listen", options.listen, "Numeric address and port; port 0 is any free one")
      ->type_name("ADDRESS:PORT")
      ->capture_default_str();
  command
      .add_option("--partitions", options.partitions,
                  "Of the application's topic when it is first made; fixed from then on")
      ->check(CLI::Range(1u, 1024u));
  command
      .add_option(
          "--durability", options.durability,
          "When a commit is acknowledged: after fdatasync, or from the page cache (survives "
          "a crash of the process, not of the machine); fixed when the topic is made")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Durability>{{"fsync", Durability::fsync}, {"os", Durability::os}}))
      ->default_str("fsync");
  command.add_option("--threads", options.server.threads, "That serve connections; 0: one a core")
      ->check(CLI::Range(0u, 1024u))
      ->capture_default_str();
  command.add_option("--tls-cert", options.server.tls_certificate, "Certificate chain, PEM")
      ->type_name("FILE");
  command.add_option("--tls-key", options.server.tls_key, "Its private key, PEM")
      ->type_name("FILE");
  command
      .add_option("--tokens", options.tokens_file,
                  "Who may do what: lines of '<sha-256 of the token in hex> <principal> "
                  "<role>[,<role>...]', roles read, write, admin")
      ->type_name("FILE");
  command.add_flag("--insecure", options.insecure,
                   "Serve an address that others can reach without TLS and tokens");
  command.add_flag("--log-json", options.log_json, "One JSON object a line");
  command.add_option("--log-level", options.log_level, "What is worth a line")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  describe_limits(command, options);
  describe_memory(command, options.memory);
  describe(command, options.cluster);
}

Result<void> complete(ServeOptions& options) {
  const auto address = parse_socket_address(options.listen);
  if (!address) {
    return fail(Errc::bad_request, "--listen '" + options.listen +
                                       "': expected a numeric address and a port, as in "
                                       "127.0.0.1:8080 or [::1]:8080");
  }
  options.server.address = address->address;
  options.server.port = address->port;
  if (options.server.tls_certificate.empty() != options.server.tls_key.empty()) {
    return fail(Errc::bad_request, "--tls-cert and --tls-key are needed together");
  }
  const bool secured = !options.server.tls_certificate.empty() && !options.tokens_file.empty();
  if (!address->loopback && !secured && !options.insecure) {
    return fail(Errc::bad_request,
                "others can reach " + address->address +
                    ": give --tls-cert, --tls-key and --tokens, or --insecure to serve it all the "
                    "same");
  }
  return complete(options.cluster, options.listen, options.insecure);
}

}  // namespace keelson::http
