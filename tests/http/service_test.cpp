// A whole node without domain code: start, serve, stop, start again; TLS and tokens.
#include "http/service.h"

#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <fstream>

#include "tests/aggregates/wallet.h"
#include "tests/http/store_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;

namespace {

Domain no_domain() {
  return {"test", std::make_shared<aggregates::AggregateRegistry>(),
          std::make_shared<aggregates::ReactionRegistry>(),
          std::make_shared<projections::ProjectionRegistry>()};
}

ServeOptions options_in(const std::string& folder) {
  ServeOptions options;
  options.folder = folder + "/data";
  options.listen = "127.0.0.1:0";
  REQUIRE(complete(options));
  return options;
}

std::unique_ptr<Service> start(const ServeOptions& options) {
  auto service = Service::start(options, no_domain());
  if (!service) FAIL(service.error().message());
  return *std::move(service);
}

/// One request over TLS; what comes until the server closes. Empty when there is no TLS.
std::string get_over_tls(std::uint16_t port, const std::string& request) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> stream(BIO_new_ssl_connect(context.get()),
                                                             &BIO_free_all);
  BIO_set_conn_hostname(stream.get(), ("127.0.0.1:" + std::to_string(port)).c_str());
  if (BIO_do_connect(stream.get()) != 1) return "";
  BIO_write(stream.get(), request.data(), static_cast<int>(request.size()));
  std::string received;
  char bytes[4096];
  int got = 0;
  while ((got = BIO_read(stream.get(), bytes, sizeof bytes)) > 0) received.append(bytes, got);
  return received;
}

}  // namespace

TEST_CASE("service: alive, ready and measured, and its data outlives it") {
  const keelson::test::TemporaryFolder folder;
  const ServeOptions options = options_in(folder.path());
  {
    const auto service = start(options);
    RawClient client(service->port());
    CHECK(service->url() == "http://127.0.0.1:" + std::to_string(service->port()));
    CHECK(client.get("/healthz").status == 200);
    CHECK(client.get("/readyz").status == 200);
    CHECK(client.exchange(with_body("PUT", "/v1/topics/orders", "{}")).status == 201);
    CHECK(client
              .exchange(with_body("POST", "/v1/topics/orders/streams/order-1",
                                  R"([{"type":"placed","data":{}}])"))
              .status == 200);
    const RawResponse metrics = client.get("/metrics");
    CHECK(metrics.body.find("keelson_events_total{topic=\"orders\",partition=\"0\"} 1") !=
          std::string::npos);
    CHECK(metrics.body.find("keelson_http_requests_total{") != std::string::npos);
    service->stop();
    CHECK(client.closed());
  }
  const auto service = start(options);
  RawClient client(service->port());
  CHECK(json_of(client.get("/v1/topics/orders/streams/order-1")).at("events").size() == 1);
}

TEST_CASE("service: an aggregate's stream is written by its commands alone") {
  const keelson::test::TemporaryFolder folder;
  Domain domain = no_domain();
  domain.aggregates->add<keelson::test::Wallet>();
  auto started = Service::start(options_in(folder.path()), domain);
  if (!started) FAIL(started.error().message());
  RawClient client((*started)->port());
  CHECK(client.exchange(with_body("POST", "/v1/aggregates/wallet/1/open", "{}")).status == 200);
  constexpr const char* kEvents = R"([{"type":"added","data":{"amount":1000000}}])";
  check_code(client.exchange(with_body("POST", "/v1/topics/test/streams/wallet-1", kEvents)), 409,
             "aggregate-stream");
  check_code(
      client.exchange(with_body("POST", "/v1/topics/test/commits",
                                R"({"writes":[{"stream":"note-1","events":[{"type":"t","data":1}]},
                               {"stream":"wallet-1","events":[{"type":"t","data":1}]}]})")),
      409, "aggregate-stream");
  CHECK(json_of(client.get("/v1/topics/test/streams/wallet-1")).at("events").size() == 1);
  // Other streams of the topic, and the same name in another topic, are nobody's.
  CHECK(client.exchange(with_body("POST", "/v1/topics/test/streams/note-1", kEvents)).status ==
        200);
  CHECK(client.exchange(with_body("PUT", "/v1/topics/other", "{}")).status == 201);
  CHECK(client.exchange(with_body("POST", "/v1/topics/other/streams/wallet-1", kEvents)).status ==
        200);
}

TEST_CASE("service: the number of partitions is fixed at the first start") {
  const keelson::test::TemporaryFolder folder;
  Domain domain = no_domain();
  domain.aggregates->add<keelson::test::Wallet>();
  ServeOptions options = options_in(folder.path());
  options.partitions = 3;
  REQUIRE(Service::start(options, domain));
  options.partitions = 4;
  const auto refused = Service::start(options, domain);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().context.find("--partitions") != std::string::npos);
  options.partitions = 0;
  CHECK(Service::start(options, domain));
}

TEST_CASE("service: what cannot be used is refused at start") {
  const keelson::test::TemporaryFolder folder;
  ServeOptions options = options_in(folder.path());
  const auto first = start(options);
  const auto locked = Service::start(options, no_domain());
  REQUIRE_FALSE(locked);
  CHECK(locked.error().code == Errc::locked);

  options = options_in(folder.path() + "/other");
  options.server.port = first->port();
  CHECK(Service::start(options, no_domain()).error().context.find("cannot listen") == 0);
  options = options_in(folder.path() + "/other");
  options.tokens_file = folder.path() + "/none";
  CHECK_FALSE(Service::start(options, no_domain()));
  options = options_in(folder.path() + "/other");
  options.server.tls_certificate = options.server.tls_key = folder.path() + "/none";
  CHECK_FALSE(Service::start(options, no_domain()));
}

TEST_CASE("service: TLS and tokens, from files") {
  const keelson::test::TemporaryFolder folder;
  ServeOptions options = options_in(folder.path());
  options.server.tls_certificate = folder.path() + "/cert.pem";
  options.server.tls_key = folder.path() + "/key.pem";
  options.tokens_file = folder.path() + "/tokens";
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
      "-days 1 -subj /CN=localhost -keyout " +
      options.server.tls_key + " -out " + options.server.tls_certificate + " 2>/dev/null";
  REQUIRE(std::system(make.c_str()) == 0);
  // SHA-256 of `secret-one`.
  std::ofstream(options.tokens_file)
      << "ea77193cc4e6f18656f3130e296203880c4b9b3772afc855211b82fdd46e9185 teller read\n";

  const auto service = start(options);
  CHECK(service->url().starts_with("https://"));
  const std::string get = "GET /v1/topics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  CHECK(get_over_tls(service->port(), get + "\r\n").starts_with("HTTP/1.1 401 "));
  const std::string known =
      get_over_tls(service->port(), get + "Authorization: Bearer secret-one\r\n\r\n");
  CHECK(known.starts_with("HTTP/1.1 200 "));
  CHECK(known.ends_with(R"({"topics":[]})"));
  CHECK(get_over_tls(
            service->port(),
            "PUT /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
            "2\r\nAuthorization: Bearer secret-one\r\n\r\n{}")
            .starts_with("HTTP/1.1 403 "));
  RawClient plain(service->port());
  CHECK(plain.get("/healthz").status == 0);
}
