// A whole node without domain code: start, serve, stop, start again; TLS and tokens.
#include "http/service.h"

#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/aggregates/wallet.h"
#include "tests/http/store_server.h"
#include "tests/projections/support/failing_disk.h"
#include "tests/support/captured_log.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using keelson::test::CapturedLog;
using keelson::test::FailingWrites;

namespace {

using nlohmann::json;

/// A reaction with a defect.
struct Stuck {
  static constexpr std::string_view kName = "stuck";
  using Source = keelson::test::Wallet;
  static aggregates::Steps react(const keelson::test::Wallet::Opened&, const aggregates::Cause&) {
    throw std::runtime_error("no idea");
  }
};

struct Idle {
  static constexpr std::string_view kName = "idle";
  using Source = keelson::test::Wallet;
  static aggregates::Steps react(const keelson::test::Wallet::Closed&, const aggregates::Cause&) {
    return {};
  }
};

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

std::unique_ptr<Service> start(const ServeOptions& options, const Domain& domain = no_domain()) {
  auto service = Service::start(options, domain);
  if (!service) FAIL(service.error().message());
  return *std::move(service);
}

/// Wallets and their balances; wallet `1` and wallet `in_other_partition()` lie apart.
Domain wallets() {
  Domain domain = no_domain();
  domain.aggregates->add<keelson::test::Wallet>();
  projections::Projection projection("wallets", 1);
  projection.schema("CREATE TABLE wallets (id TEXT PRIMARY KEY) STRICT;");
  projection.on("wallet", "opened", "INSERT INTO wallets VALUES (@stream_id)");
  domain.projections->add(std::move(projection));
  return domain;
}

void flip_a_byte(const std::string& path, std::streamoff position) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  REQUIRE(file.seekg(position));
  const char byte = static_cast<char>(file.get() ^ 1);
  REQUIRE(file.seekp(position).put(byte));
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
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

TEST_CASE("service: a reaction and a projection that halted are seen from outside") {
  const keelson::test::TemporaryFolder folder;
  Domain domain = no_domain();
  domain.aggregates->add<keelson::test::Wallet>();
  domain.reactions->add<Stuck>().add<Idle>();
  domain.projections->add(
      projections::Projection("strict", 1)
          .schema("CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER) STRICT;")
          .on("wallet", "opened", "INSERT INTO t VALUES (@stream_id, :missing)"));
  ServeOptions options = options_in(folder.path());
  options.partitions = 2;
  auto started = Service::start(options, domain);
  if (!started) FAIL(started.error().message());
  RawClient client((*started)->port());
  const auto metric = [&](const std::string& name, std::size_t partition, const std::string& rest) {
    const std::string line = '\n' + name + R"({topic="test",partition=")" +
                             std::to_string(partition) + "\"," + rest + "} ";
    const std::string text = client.get("/metrics").body;
    const auto at = text.find(line);
    return at == std::string::npos ? "none" : text.substr(at + line.size(), 1);
  };
  const json all = json_of(client.get("/v1/reactions")).at("reactions");
  REQUIRE(all.size() == 2);
  CHECK(all[0] == json::parse(R"({"name":"stuck","topic":"test","state":"running","partitions":[
      {"partition":0,"next":0,"lag_events":0},{"partition":1,"next":0,"lag_events":0}]})"));
  CHECK(all[1]["name"] == "idle");
  for (const std::size_t p : {0, 1}) {
    CHECK(metric("keelson_reaction_halted", p, R"(reaction="stuck")") == "0");
    CHECK(metric("keelson_projection_halted", p, R"(projection="strict")") == "0");
  }

  CHECK(client.exchange(with_body("POST", "/v1/aggregates/wallet/1/open", "{}")).status == 200);
  const auto until_halted = [&](const std::string& target) {
    json status;
    do {
      status = json_of(client.get(target));
    } while (status["state"] != "halted");
    return status;
  };
  const json stuck = until_halted("/v1/reactions/stuck");
  const std::size_t hit = stuck["partitions"][0].contains("error") ? 0 : 1;
  CHECK(stuck["partitions"][hit]["error"].get<std::string>().find("no idea") != std::string::npos);
  CHECK(stuck["partitions"][hit]["next"] == 0);
  CHECK(stuck["partitions"][hit]["lag_events"] == 1);
  CHECK_FALSE(stuck["partitions"][1 - hit].contains("error"));
  const json strict = until_halted("/v1/projections/strict");
  CHECK(strict["partitions"][hit]["error"].get<std::string>().find("missing") != std::string::npos);
  CHECK(metric("keelson_reaction_halted", hit, R"(reaction="stuck")") == "1");
  CHECK(metric("keelson_reaction_halted", 1 - hit, R"(reaction="stuck")") == "0");
  CHECK(metric("keelson_reaction_halted", hit, R"(reaction="idle")") == "0");
  CHECK(metric("keelson_projection_halted", hit, R"(projection="strict")") == "1");
  CHECK(metric("keelson_projection_halted", 1 - hit, R"(projection="strict")") == "0");

  CHECK(json_of(client.get("/v1/reactions/idle"))["state"] == "running");
  check_code(client.get("/v1/reactions/nothing"), 404, "not-found");
  check_code(client.get("/v1/reactions?x=1"), 400, "bad-request");
}

TEST_CASE(
    "service: with other SQL an as-of answer has another tag, though the version is the same") {
  const keelson::test::TemporaryFolder folder;
  const auto started = [&](const std::string& amount) {
    Domain domain = no_domain();
    domain.projections->add(
        projections::Projection("notes", 1)
            .schema("CREATE TABLE notes (id TEXT PRIMARY KEY, amount INTEGER) STRICT;")
            .on("note", "made", "INSERT INTO notes VALUES (@stream_id, " + amount + ")"));
    auto service = Service::start(options_in(folder.path()), domain);
    if (!service) FAIL(service.error().message());
    return *std::move(service);
  };
  const std::string rows = "/v1/projections/notes/tables/notes?at=0&wait_ms=60000";
  const auto ask = [&](Service& service, const std::string& tag) {
    return RawClient(service.port())
        .exchange("GET " + rows + " HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: " + tag +
                  "\r\n\r\n");
  };
  std::string tag;
  {
    const auto service = started(":amount");
    RawClient client(service->port());
    CHECK(client
              .exchange(with_body("POST", "/v1/topics/test/streams/note-1",
                                  R"([{"type":"made","data":{"amount":7}}])"))
              .status == 200);
    const auto first = client.get(rows);
    CHECK(json_of(first).at("rows").at(0).at("amount") == 7);
    tag = first.field("ETag");
    CHECK(ask(*service, tag).status == 304);
  }
  CHECK(ask(*started(":amount"), tag).status == 304);
  const auto service = started(":amount * 2");
  const auto changed = ask(*service, tag);
  CHECK(changed.status == 200);
  CHECK(json_of(changed).at("rows").at(0).at("amount") == 14);
  CHECK(changed.field("ETag") != tag);
}

TEST_CASE(
    "service: retention that fails is in the log once, and in the metrics; all else goes on") {
  const CapturedLog log;
  const keelson::test::TemporaryFolder folder;
  const auto service = start(options_in(folder.path()));
  RawClient client(service->port());
  const std::string made = R"({"segment_bytes":65536,"retention_bytes":1})";
  CHECK(client.exchange(with_body("PUT", "/v1/topics/t", made)).status == 201);
  // What the first index is to be called when its segment has gone is the name of a folder.
  std::filesystem::create_directory(folder.path() +
                                    "/data/log/topics/t/0/00000000000000000000.past");
  const auto metric = [&](const std::string& name, const std::string& work) {
    const std::string line = '\n' + name + R"({topic="t",partition="0",work=")" + work + "\"} ";
    const std::string text = client.get("/metrics").body;
    const auto at = text.find(line);
    return at == std::string::npos ? "none" : text.substr(at + line.size(), 1);
  };
  CHECK(metric("keelson_maintenance_failing", "retention") == "0");
  const std::string event = R"([{"type":"t","data":")" + std::string(20'000, 'x') + "\"}]";
  while (metric("keelson_maintenance_failing", "retention") != "1") {
    REQUIRE(client.exchange(with_body("POST", "/v1/topics/t/streams/a-1", event)).status == 200);
  }
  CHECK(metric("keelson_maintenance_failures_total", "retention") == "1");
  CHECK(metric("keelson_maintenance_failing", "segments") == "0");
  CHECK(metric("keelson_maintenance_failing", "compression") == "0");
  const std::string line = "topic t partition 0: removing old segments fails and is tried again";
  while (!log.has(line)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  CHECK(log.count(line) == 1);
  CHECK(json_of(client.get("/readyz")) == json::parse(R"({"status":"ready"})"));
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

TEST_CASE("service: a damaged partition stops alone, and everything an operator looks at says so") {
  const keelson::test::TemporaryFolder folder;
  ServeOptions options = options_in(folder.path());
  options.partitions = 2;
  const std::string rows = "/v1/projections/wallets/tables/wallets";
  std::string whole = "1";  // a wallet in the other partition than `0`
  std::uint64_t damaged = 0;
  std::uint64_t in_damaged = 1;
  const auto seen = [&] { return std::to_string(damaged) + ":" + std::to_string(in_damaged - 1); };
  {
    const auto service = start(options, wallets());
    RawClient client(service->port());
    const auto open = [&](const std::string& id) {
      const RawResponse response =
          client.exchange(with_body("POST", "/v1/aggregates/wallet/" + id + "/open", "{}"));
      REQUIRE(response.status == 200);
      return json_of(response).at("partition").get<std::uint64_t>();
    };
    damaged = open("0");
    while (open(whole) == damaged) {
      whole += "1";
      ++in_damaged;
    }
    REQUIRE(client.get(rows + "?wait_ms=60000&min=" + seen()).status == 200);
  }
  const std::string segment =
      options.folder + "/log/topics/test/" + std::to_string(damaged) + "/00000000000000000000.seg";
  flip_a_byte(segment, 100);

  const CapturedLog log;
  const auto service = start(options, wallets());
  RawClient client(service->port());
  CHECK(log.has("topic test partition " + std::to_string(damaged) + " is stopped"));
  CHECK(log.has(segment + " at byte 0"));

  const RawResponse ready = client.get("/readyz");
  CHECK(ready.status == 200);
  CHECK(ready.body == R"({"status":"degraded","damaged":1})");
  const std::string metrics = client.get("/metrics").body;
  const auto gauge = [&](std::uint64_t p, int value) {
    return metrics.find("keelson_damaged{topic=\"test\",partition=\"" + std::to_string(p) + "\"} " +
                        std::to_string(value) + "\n") != std::string::npos;
  };
  CHECK(gauge(damaged, 1));
  CHECK(gauge(1 - damaged, 0));
  const auto topics = json_of(client.get("/v1/topics"));
  const auto& partitions = topics.at("topics").at(0).at("partitions");
  CHECK(partitions.at(damaged).at("error").get<std::string>().find(segment) != std::string::npos);
  CHECK_FALSE(partitions.at(1 - damaged).contains("error"));

  const auto projection = json_of(client.get("/v1/projections/wallets"));
  CHECK(projection.at("state") == "halted");
  const auto& halted = projection.at("partitions").at(damaged);
  CHECK(halted.at("next") == in_damaged);
  CHECK(halted.at("halted_at") == in_damaged);
  CHECK(halted.at("error").get<std::string>().find(segment) != std::string::npos);
  check_code(client.get(rows), 500, "corruption");
  check_code(client.get(rows + "?at=" + seen()), 500, "corruption");
  check_code(client.get("/v1/aggregates/wallet/0?at=0"), 500, "corruption");

  const auto put = [&](const std::string& id) {
    return client.exchange(
        with_body("POST", "/v1/aggregates/wallet/" + id + "/put", R"({"amount":5})"));
  };
  check_code(put("0"), 500, "corruption");
  CHECK(put(whole).status == 200);
  CHECK(client.get("/v1/aggregates/wallet/" + whole).status == 200);

  // What was damaged by hand is mended by hand, and nothing was thrown away meanwhile.
  service->stop();
  flip_a_byte(segment, 100);
  const auto mended = start(options, wallets());
  RawClient again(mended->port());
  CHECK(again.get("/readyz").body == R"({"status":"ready"})");
  CHECK(json_of(again.get(rows + "?id=0")).at("rows").size() == 1);
  CHECK_FALSE(log.has("built anew"));
}

TEST_CASE(
    "service: it starts without room for a read model, and answers of it when there is some") {
  const keelson::test::TemporaryFolder folder;
  const ServeOptions options = options_in(folder.path());
  const std::string projection = "/v1/projections/wallets";
  const std::string rows = projection + "/tables/wallets";
  const std::string query = with_body("POST", projection + "/query", R"({"sql":"SELECT 1"})");
  const auto open = [](RawClient& client, const std::string& id) {
    const std::string path = "/v1/aggregates/wallet/" + id + "/open";
    return client.exchange(with_body("POST", path, "{}")).status == 200;
  };
  {
    const auto service = start(options, wallets());
    RawClient client(service->port());
    REQUIRE(open(client, "0"));
    REQUIRE(client.get(rows + "?min=0&wait_ms=60000").status == 200);
  }
  std::optional<FailingWrites> full(FailingWrites::Fault{"p0.db-shm"});
  const auto service = start(options, wallets());
  RawClient client(service->port());
  CHECK(client.get("/readyz").body == R"({"status":"ready"})");
  CHECK(open(client, "1"));  // the log has room
  const auto delayed = json_of(client.get(projection));
  CHECK(delayed.at("state") == "delayed");
  const std::string error = delayed.at("partitions").at(0).at("error");
  CHECK(error.find("No space left on device") != std::string::npos);
  for (const RawResponse& refused :
       {client.get(rows), client.get(rows + "/history"), client.exchange(query)}) {
    check_code(refused, 507, "disk-full");
    CHECK(refused.field("Content-Type") == "application/problem+json");
  }
  for (const auto* asked : {"?min=1&wait_ms=10", "?at=1&wait_ms=10"}) {
    const RawResponse late = client.get(rows + asked);
    check_code(late, 503, "not-caught-up");
    CHECK(late.body.find("held up in partition 0: disk_full") != std::string::npos);
  }

  full.reset();
  CHECK(json_of(client.get(rows + "?min=1&wait_ms=20000")).at("rows").size() == 2);
  CHECK(json_of(client.get(rows + "?at=0")).at("rows").size() == 1);
  CHECK(json_of(client.get(projection)).at("state") == "running");
}

TEST_CASE("service: a topic with a damaged record stops alone; the application's own is needed") {
  const keelson::test::TemporaryFolder folder;
  const ServeOptions options = options_in(folder.path());
  {
    const auto service = start(options, wallets());
    RawClient client(service->port());
    CHECK(client.exchange(with_body("PUT", "/v1/topics/orders", "{}")).status == 201);
  }
  const std::string record = options.folder + "/log/topics/orders/topic.meta";
  flip_a_byte(record, 20);
  {
    const CapturedLog log;
    const auto service = start(options, wallets());
    CHECK(log.has("topic orders as a whole is stopped"));
    RawClient client(service->port());
    CHECK(client.get("/readyz").body == R"({"status":"degraded","damaged":1})");
    CHECK(
        client.get("/metrics").body.find("keelson_damaged{topic=\"orders\",partition=\"all\"} 1") !=
        std::string::npos);
    const auto topics = json_of(client.get("/v1/topics")).at("topics");
    REQUIRE(topics.size() == 2);
    CHECK(topics.at(1).at("name") == "orders");
    CHECK(topics.at(1).at("error").get<std::string>().find(record) != std::string::npos);
    check_code(client.get("/v1/topics/orders"), 500, "corruption");
    check_code(client.get("/v1/topics/orders/streams/order-1"), 500, "corruption");
    check_code(client.exchange(with_body("PUT", "/v1/topics/orders", "{}")), 500, "corruption");
    CHECK(client.exchange(with_body("POST", "/v1/aggregates/wallet/1/open", "{}")).status == 200);
  }
  flip_a_byte(options.folder + "/log/topics/test/topic.meta", 20);
  const auto refused = Service::start(options, wallets());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::corruption);
  CHECK(refused.error().context.find("topics/test/topic.meta") != std::string::npos);
}

TEST_CASE("service: what the start cuts from a log's end is said, and where it is kept") {
  const keelson::test::TemporaryFolder folder;
  const ServeOptions options = options_in(folder.path());
  {
    const auto service = start(options, wallets());
    RawClient client(service->port());
    CHECK(client.get("/metrics")
              .body.find(R"(keelson_cut_at_start_bytes{topic="test",partition="0"} 0)") !=
          std::string::npos);
    CHECK(client.exchange(with_body("POST", "/v1/aggregates/wallet/1/open", "{}")).status == 200);
  }
  const std::string topic = options.folder + "/log/topics/test";
  const std::string segment = topic + "/0/00000000000000000000.seg";
  // The last batch, which knows that all before it were durable.
  const auto last = static_cast<std::streamoff>(bytes_of(segment).find_last_not_of('\0'));
  flip_a_byte(segment, last);
  const CapturedLog log;
  const auto service = start(options, wallets());
  CHECK(
      log.has("topic test partition 0: batch 2 at the log's end was not written whole, or has "
              "rotted since"));
  RawClient client(service->port());
  CHECK(client.get("/readyz").body == R"({"status":"ready"})");
  const auto partition = json_of(client.get("/v1/topics/test")).at("partitions").at(0);
  const auto& cut = partition.at("cut_at_start");
  CHECK(cut.at("batch") == 2);
  CHECK(cut.at("file") == segment);
  CHECK(cut.at("position").get<std::int64_t>() + cut.at("bytes").get<std::int64_t>() == last + 1);
  const std::string copy = cut.at("copy");
  CHECK(log.has(copy));
  CHECK(copy == topic + "/0/cut/00000001/00000000000000000002.seg");
  CHECK(std::filesystem::exists(copy));
  const std::string metrics = client.get("/metrics").body;
  CHECK(metrics.find(R"(keelson_cut_at_start_bytes{topic="test",partition="0"} )" +
                     std::to_string(cut.at("bytes").get<std::int64_t>())) != std::string::npos);
}

TEST_CASE("service: a file among the topics is named in the log, and left alone") {
  const keelson::test::TemporaryFolder folder;
  const ServeOptions options = options_in(folder.path());
  start(options, wallets()).reset();
  const std::string stray = options.folder + "/log/topics/notes";
  std::ofstream(stray) << "of somebody";
  const CapturedLog log;
  const auto service = start(options, wallets());
  CHECK(log.has(stray + " is no folder of a topic, and is left alone"));
  RawClient client(service->port());
  CHECK(client.get("/readyz").body == R"({"status":"ready"})");
  check_code(client.get("/v1/topics/notes"), 404, "not-found");
  CHECK(bytes_of(stray) == "of somebody");
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
