// A server with the routes of topics, streams and events over a real store.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "http/event_routes.h"
#include "http/services.h"
#include "http/stream_routes.h"
#include "http/timers.h"
#include "http/topic_routes.h"
#include "tests/http/test_server.h"
#include "tests/support/test_store.h"

namespace keelson::http::test {

class StoreServer {
 public:
  /// Ends as a `Service` does.
  ~StoreServer() {
    server_.reset();
    work_.stop();
    timers_.stop();
    store_.close();
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] Server& server() { return server_->server(); }
  [[nodiscard]] keelson::test::TestStore& store() { return store_; }
  [[nodiscard]] Services& services() { return services_; }

 private:
  keelson::test::TestStore store_;
  Metrics metrics_;
  ThreadTimers timers_;
  ThreadWorkPool work_{2, 64};
  Services services_{store_.environment(), *store_, nullptr, nullptr, timers_, work_, metrics_};
  std::unique_ptr<TestServer> server_ = std::make_unique<TestServer>([this](Router& router) {
    add_topic_routes(router, services_);
    add_stream_routes(router, services_);
    add_event_routes(router, services_);
  });
};

/// A request with a body and more fields, each `Name: value\r\n`.
inline std::string with_body(std::string_view method, std::string_view target,
                             std::string_view body, std::string_view fields = "") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" +
         std::string(fields) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

inline nlohmann::json json_of(const RawResponse& response) {
  auto json = nlohmann::json::parse(response.body, nullptr, false);
  INFO(response.head << response.body);
  REQUIRE_FALSE(json.is_discarded());
  return json;
}

inline void check_code(const RawResponse& response, unsigned status, std::string_view code) {
  INFO(response.head << response.body);
  CHECK(response.status == status);
  CHECK(response.field("Content-Type") == "application/problem+json");
  CHECK(json_of(response).value("code", "") == code);
}

}  // namespace keelson::http::test
