// A small HTTP/1.1 client: one keep-alive connection, requests pipelined.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "samples/bank/url.h"

namespace bank {

struct HttpRequest {
  std::string method = "POST";
  std::string target;
  std::string content_type = "application/json";  ///< of the body; not sent without one
  std::string body;
  std::string idempotency_key;  ///< empty: none
};

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
  bool replayed = false;                            ///< `Idempotency-Replayed: true`
  std::optional<std::chrono::seconds> retry_after;  ///< `Retry-After`, when given in seconds
};

struct HttpClientOptions {
  Url url;
  std::string token;                           ///< sent as `Authorization: Bearer`; empty: none
  std::chrono::seconds timeout{30};            ///< to connect, and for each answer
  std::uint64_t answer_bytes_max = 64u << 20;  ///< of a body
};

/// Owns one connection; makes it when it is needed and again after it was lost. It never repeats a
/// request by itself: only the caller knows which ones may be. Not thread-safe; lives on one
/// io_context, and one `exchange` runs at a time.
class HttpClient {
 public:
  /// What became of some requests: answers to the first `answers.size()` of them, and why there
  /// are no more when some are missing. A request without an answer may have been carried out.
  struct Exchange {
    std::vector<HttpAnswer> answers;
    std::optional<keelson::Error> lost;
  };

  HttpClient(boost::asio::io_context& context, HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Sends all requests, then reads their answers. The requests must together be small enough to
  /// fit the sockets' buffers (tens of KiB) unless there is only one, since a server may stop
  /// reading while its answers are not taken.
  [[nodiscard]] boost::asio::awaitable<Exchange> exchange(std::vector<HttpRequest> requests);

  /// The connection is dropped; the next exchange makes a new one.
  void disconnect();

 private:
  struct Connection;

  [[nodiscard]] boost::asio::awaitable<std::optional<keelson::Error>> connect();
  [[nodiscard]] std::string serialize(const std::vector<HttpRequest>& requests) const;
  [[nodiscard]] keelson::Error lost(const std::string& doing, const std::string& why) const;

  boost::asio::io_context& context_;
  HttpClientOptions options_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace bank
