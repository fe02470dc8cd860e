// HTTP clients that measure: one thread, epoll and plain sockets, because they run on the same
// cores as the server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace keelson::bench {

struct LoadResult {
  double per_second = 0;
  std::uint64_t failed = 0;          ///< answers other than 2xx
  std::vector<double> latencies_us;  ///< of every request, sorted

  /// The latency that `share` of the requests did not exceed.
  [[nodiscard]] double quantile_us(double share) const;
};

/// Makes the request with this number, from 0 on.
using MakeRequest = std::function<std::string(std::uint64_t)>;

/// Sends `requests` whole requests over `connections` keep-alive connections to 127.0.0.1:`port`,
/// each of which always has one under way. Answers must carry Content-Length.
[[nodiscard]] LoadResult run_load(unsigned short port, int connections, std::uint64_t requests,
                                  const MakeRequest& make);

/// The same at a steady rate, whatever the server does: a request that finds no free connection is
/// sent later, and its latency counts from when it was due.
[[nodiscard]] LoadResult run_paced(unsigned short port, int connections, std::uint64_t requests,
                                   double per_second, const MakeRequest& make);

/// A POST with a JSON body.
[[nodiscard]] std::string post(const std::string& target, const std::string& body,
                               const std::string& extra_headers = "");

/// The body of a GET's answer.
[[nodiscard]] std::string get(unsigned short port, const std::string& target);

}  // namespace keelson::bench
