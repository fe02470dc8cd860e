// A closed-loop HTTP client: each of its connections always has one request under way.
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
};

/// Sends `requests` whole requests, made by `make` from 0 on, over `connections` keep-alive
/// connections to 127.0.0.1:`port` from one thread. Answers must carry Content-Length.
[[nodiscard]] LoadResult run_load(unsigned short port, int connections, std::uint64_t requests,
                                  const std::function<std::string(std::uint64_t)>& make);

/// A POST with a JSON body.
[[nodiscard]] std::string post(const std::string& target, const std::string& body,
                               const std::string& extra_headers = "");

}  // namespace keelson::bench
