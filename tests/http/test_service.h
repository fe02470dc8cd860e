// A whole node on a free port: a real store, an aggregate, two projections, every route.
#pragma once

#include <doctest/doctest.h>

#include <future>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aggregates/aggregate_host.h"
#include "aggregates/reaction.h"
#include "aggregates/registry.h"
#include "engine/io/posix_file_system.h"
#include "http/aggregate_routes.h"
#include "http/auth.h"
#include "http/command_routes.h"
#include "http/metrics.h"
#include "http/openapi.h"
#include "http/projection_routes.h"
#include "http/reaction_routes.h"
#include "http/router.h"
#include "http/server.h"
#include "http/timers.h"
#include "http/websocket_session.h"
#include "http/work_pool.h"
#include "projections/projection.h"
#include "projections/projection_host.h"
#include "tests/aggregates/wallet.h"
#include "tests/http/raw_client.h"
#include "tests/support/test_store.h"

namespace keelson::http::test {

using nlohmann::json;

/// `wallets`: balances by SQL, which halts at an added note of "halt".
inline projections::Projection wallets_projection() {
  projections::Projection projection("wallets", 3);
  projection.summary("What is in each wallet");
  projection.schema(
      "CREATE TABLE wallets (id TEXT PRIMARY KEY, balance INTEGER NOT NULL, note TEXT) STRICT;");
  projection.on("wallet", "opened", "INSERT INTO wallets VALUES (@stream_id, 0, NULL)");
  projection.on(
      "wallet", "added",
      [](const projections::EventContext& event, projections::Tables& tables) -> Result<void> {
        if (event["note"] == projections::Value("halt"))
          return fail(Errc::internal, "told to halt");
        return tables.run_one(
            "UPDATE wallets SET balance = balance + :amount, note = :note WHERE id = :id",
            {{"amount", event["amount"]}, {"note", event["note"]}, {"id", event.stream_id()}});
      });
  projection.on("wallet", "taken",
                "UPDATE wallets SET balance = balance - :amount WHERE id = @stream_id");
  return projection;
}

/// `openings`: which does not.
inline projections::Projection openings_projection() {
  projections::Projection projection("openings", 1);
  projection.schema("CREATE TABLE openings (id TEXT PRIMARY KEY) STRICT;");
  projection.on("wallet", "opened", "INSERT INTO openings VALUES (@stream_id)");
  return projection;
}

class TestService {
 public:
  struct Options {
    std::uint32_t partitions = 1;
    bool apply = true;      ///< whether projections run from the start
    bool openings = false;  ///< whether there is `openings_projection` as well
    unsigned work_threads = 2;
    std::size_t work_queue_max = 64;
    Authenticator authenticator{};
    io::FileSystem* files = nullptr;  ///< of the store; none: the system's
  };

  explicit TestService(Options options)
      : store(options.files),
        work_(options.work_threads, options.work_queue_max),
        authenticator_(std::move(options.authenticator)) {
    Topic& topic = store.topic("test", options.partitions);
    auto types = std::make_shared<aggregates::AggregateRegistry>();
    types->add<keelson::test::Wallet>();
    auto hosted = aggregates::AggregateHost::open(
        store.environment(), topic, types, std::make_shared<aggregates::ReactionRegistry>(), {});
    if (!hosted) FAIL(hosted.error().message());
    aggregates_ = *std::move(hosted);

    auto models = std::make_shared<projections::ProjectionRegistry>();
    models->add(wallets_projection());
    if (options.openings) models->add(openings_projection());
    projections::HostOptions host_options;
    host_options.folder = store.folder() + "/projections";
    const Environment environment = store.environment();
    auto projected = projections::ProjectionHost::open(
        {files_, environment.clock, environment.random, environment.scheduler}, topic, models,
        host_options);
    if (!projected) FAIL(projected.error().message());
    projections = *std::move(projected);
    if (options.apply) projections->start();

    services_ = std::make_unique<Services>(Services{store.environment(), *store, aggregates_.get(),
                                                    projections.get(), timers_, work_, metrics_});
    add_aggregate_routes(router, *services_);
    add_command_routes(router, *services_);
    add_reaction_routes(router, *services_);
    add_projection_routes(router, *services_);
    add_subscription_route(router, *services_);
    add_description_routes(router, *services_);
    ServerOptions server_options;
    server_options.threads = 2;
    auto started = Server::start(server_options, router, authenticator_, work_, metrics_);
    if (!started) FAIL(started.error().message());
    server = *std::move(started);
  }
  TestService() : TestService(Options{}) {}
  ~TestService() {
    end_but_store();
    store.close();
  }

  /// Ends, as a `Service` does, what stands before the store.
  void end_but_store() {
    server.reset();
    work_.stop();
    timers_.stop();
    projections.reset();
    aggregates_.reset();
  }

  [[nodiscard]] std::uint16_t port() const { return server->port(); }
  [[nodiscard]] const Services& services() const { return *services_; }
  [[nodiscard]] WorkPool& work() { return work_; }
  [[nodiscard]] aggregates::AggregateHost& aggregates() { return *aggregates_; }

  using Fields = std::initializer_list<std::string_view>;

  RawResponse get(std::string_view target, Fields fields = {}) {
    return RawClient(port()).exchange(head("GET", target, fields) + "\r\n");
  }
  RawResponse post(std::string_view target, std::string_view body, Fields fields = {},
                   std::string_view type = "application/json") {
    return RawClient(port()).exchange(
        head("POST", target, fields) + "Content-Type: " + std::string(type) +
        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  /// A command that must be accepted.
  json command(std::string_view id, std::string_view name, std::string_view body = "{}") {
    const RawResponse response =
        post("/v1/aggregates/wallet/" + std::string(id) + '/' + std::string(name), body);
    INFO(response.body);
    REQUIRE(response.status == 200);
    return json::parse(response.body);
  }

  keelson::test::TestStore store;

 private:
  static std::string head(std::string_view method, std::string_view target, Fields fields) {
    std::string text =
        std::string(method) + ' ' + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n";
    for (const std::string_view field : fields) text += std::string(field) + "\r\n";
    return text;
  }

  io::PosixFileSystem files_;  ///< of the read models, which SQLite keeps
  std::unique_ptr<aggregates::AggregateHost> aggregates_;

 public:
  std::unique_ptr<projections::ProjectionHost> projections;

 private:
  ThreadTimers timers_;
  Metrics metrics_;
  ThreadWorkPool work_;
  std::unique_ptr<Services> services_;
  Authenticator authenticator_;

 public:
  Router router;
  std::unique_ptr<Server> server;
};

/// A problem of this status and code, whose detail says something.
inline json problem(const RawResponse& response, unsigned status, std::string_view code) {
  INFO(response.head << response.body);
  CHECK(response.status == status);
  CHECK(response.field("Content-Type") == "application/problem+json");
  const json body = json::parse(response.body);
  CHECK(body["status"] == status);
  CHECK(body["code"] == code);
  CHECK(body["type"] == "urn:keelson:problem:" + std::string(code));
  CHECK_FALSE(body["detail"].get<std::string>().empty());
  return body;
}

}  // namespace keelson::http::test
