// What a server may use at most, and how long it waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace keelson::http {

struct ServerOptions {
  std::string address = "127.0.0.1";  ///< a numeric IPv4 or IPv6 address to listen on
  std::uint16_t port = 0;             ///< 0: any free one
  unsigned threads = 0;               ///< that serve connections; 0: as many as the hardware has
  std::string tls_certificate;        ///< PEM file with the chain; empty: no TLS
  std::string tls_key;                ///< PEM file

  std::uint32_t header_bytes_max = 16u << 10;  ///< request line and header; over it: 431
  std::uint64_t body_bytes_max = 5u << 20;  ///< of a route that sets no limit of its own; else 413
  /// Bodies of all requests in work together; over it: 503.
  std::uint64_t bodies_bytes_max = 512u << 20;
  /// Answers of all requests together that their clients have not taken; over it: 503 to what
  /// reads.
  std::uint64_t answers_bytes_max = 512u << 20;
  std::uint32_t connections_max = 10'000;  ///< over it: 503 and the connection is closed
  std::uint32_t pipeline_max = 64;         ///< requests of one connection in work at once
  /// Of them, those that block: their answers are large, and others want the threads as well.
  std::uint32_t pipeline_blocking_max = 4;

  std::chrono::milliseconds header_timeout{10'000};  ///< first to last byte of a header; else 408
  /// To receive a body, and a second more for each 64 KiB received; else 408.
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{75'000};   ///< a connection without requests is closed
  std::chrono::milliseconds write_timeout{30'000};  ///< a client that takes no byte so long is cut
  std::chrono::milliseconds stop_timeout{10'000};   ///< for what is in flight when stopping
};

}  // namespace keelson::http
