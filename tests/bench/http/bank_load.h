// Requests to the bank that the HTTP benchmarks share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "tests/bench/http/load.h"
#include "tests/bench/report.h"

namespace keelson::bench {

inline constexpr int kAccounts = 1000;
inline constexpr int kConnections = 64;

inline std::string account(std::uint64_t i) { return std::to_string(i % kAccounts); }

/// Ends the program when any request failed: a rate of refusals is no figure.
inline void must(const LoadResult& result) {
  if (result.failed == 0) return;
  std::fprintf(stderr, "bench: %lu requests failed\n", static_cast<unsigned long>(result.failed));
  std::exit(1);
}

inline void open_accounts(unsigned short port) {
  must(run_load(port, kConnections, kAccounts, [](std::uint64_t i) {
    return post("/v1/aggregates/account/" + account(i) + "/open",
                R"({"owner":"bench","currency":"CZK","overdraft_limit":null})");
  }));
}

inline std::string deposit(std::uint64_t i, const std::string& run) {
  return post("/v1/aggregates/account/" + account(i) + "/deposit",
              R"({"amount":100,"reference":"salary","booked_at":"2026-01-31"})",
              "Idempotency-Key: " + run + "-" + std::to_string(i) + "\r\n");
}

/// 1,000 deposits as NDJSON.
inline std::string bulk(std::uint64_t request, const std::string& run) {
  std::string body;
  for (std::uint64_t i = request * 1000; i < (request + 1) * 1000; ++i) {
    body += R"({"type":"account","id":")" + account(i) +
            R"(","command":"deposit","data":{"amount":100},"key":")" + run + "-" +
            std::to_string(i) + "\"}\n";
  }
  return "POST /v1/commands HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
         "Accept: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Waits until read models and reactions have come to the end of the log, so that what is measured
/// next has the machine to itself. Returns the seconds it took.
inline double settle(unsigned short port) {
  const auto lags = [&] {
    const std::string metrics = get(port, "/metrics");
    for (std::size_t at = 0; (at = metrics.find("_lag_events{", at)) != std::string::npos; ++at) {
      const std::size_t end = metrics.find('\n', at);
      if (!std::string_view(metrics).substr(0, end).ends_with("} 0")) return true;
    }
    return false;
  };
  return seconds([&] {
    while (lags()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
}

}  // namespace keelson::bench
