// Topics and streams over HTTP, against a real store.
#include <doctest/doctest.h>

#include "tests/http/store_server.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;
using nlohmann::json;

namespace {

constexpr const char* kOrders = "/v1/topics/orders/streams/order-1";
constexpr const char* kEvent = R"([{"type":"placed","data":{"n":1}}])";

RawResponse append(RawClient& client, std::string_view body, std::string_view fields = "",
                   std::string_view target = kOrders) {
  return client.exchange(with_body("POST", target, body, fields));
}

}  // namespace

TEST_CASE("topics: PUT makes one and is repeatable, other options are 409") {
  StoreServer server;
  RawClient client(server.port());
  const auto put = [&](std::string_view body) {
    return client.exchange(with_body("PUT", "/v1/topics/orders", body));
  };
  const RawResponse made = put(R"({"partitions":4,"durability":"os"})");
  CHECK(made.status == 201);
  const json topic = json_of(made);
  CHECK(topic.at("name") == "orders");
  CHECK(topic.at("durability") == "os");
  CHECK(topic.at("partitions").size() == 4);
  CHECK(topic.at("partitions")[3] == json{{"partition", 3}, {"start", 0}, {"end", 0}});
  CHECK(put(R"({"partitions":4})").status == 200);
  CHECK(put("").status == 200);
  check_code(put(R"({"partitions":5})"), 409, "already-exists");
  CHECK(json_of(client.get("/v1/topics/orders")) == topic);
  CHECK(json_of(client.get("/v1/topics")).at("topics") == json::array({topic}));
}

TEST_CASE("topics: bad names, options and bodies are refused") {
  StoreServer server;
  RawClient client(server.port());
  for (const char* body :
       {"{", "[]", R"({"partitions":0})", R"({"partitions":-1})", R"({"partitions":1025})",
        R"({"partitions":1.5})", R"({"partitions":99999999999999999999})", R"({"size":1})",
        R"({"durability":"none"})", R"({"partitions":1}x)",
        "{\"partitions\":1,\"partitions\":1}"}) {
    CAPTURE(body);
    check_code(client.exchange(with_body("PUT", "/v1/topics/t", body)), 400, "bad-request");
  }
  check_code(client.exchange(with_body("PUT", "/v1/topics/Upper", "{}")), 400, "bad-request");
  check_code(client.exchange(with_body("PUT", "/v1/topics/..", "{}")), 400, "bad-request");
  const std::string longest = "/v1/topics/" + std::string(255, 't');
  CHECK(client.exchange(with_body("PUT", longest, "{}")).status == 201);
  check_code(client.exchange(with_body("PUT", longest + "t", "{}")), 400, "bad-request");
  check_code(client.get("/v1/topics/none"), 404, "not-found");
  check_code(client.get("/v1/topics?x=1"), 400, "bad-request");
}

TEST_CASE("streams: what is appended is read back, byte for byte") {
  StoreServer server;
  (void)server.store().topic("orders");
  RawClient client(server.port());
  const RawResponse first = append(client, R"([{"type":"placed","data":{"n": 1.0, "s":"\u00fc"}},
      {"type":"paid","data":null,"metadata":{"by":"me"}}])");
  CHECK(first.status == 200);
  const json outcome = json_of(first);
  CHECK(outcome.at("outcome") == "accepted");
  CHECK(outcome.at("topic") == "orders");
  CHECK(outcome.at("offset") == 1);
  CHECK(outcome.at("version") == 2);
  CHECK(outcome.at("streams")[0].at("first_version") == 1);
  CHECK(first.field("ETag") == "\"2\"");
  CHECK(first.field("Keelson-Position") == "1");

  const RawResponse read = client.get(kOrders);
  CHECK(read.status == 200);
  CHECK(read.body.find(R"({"n": 1.0, "s":"\u00fc"})") != std::string::npos);
  const json page = json_of(read);
  CHECK(page.at("events").size() == 2);
  CHECK(page.at("events")[1].at("metadata") == json{{"by", "me"}});
  CHECK(page.at("next") == 3);
  CHECK(page.at("end") == 3);
}

TEST_CASE("streams: pages go forward and backward, and closed ones are immutable") {
  StoreServer server;
  (void)server.store().topic("orders");
  RawClient client(server.port());
  for (int i = 0; i < 5; ++i) CHECK(append(client, kEvent).status == 200);
  const auto get = [&](const std::string& query) { return client.get(kOrders + query); };
  const RawResponse page = get("?from_version=2&limit=2");
  CHECK(json_of(page).at("events").size() == 2);
  CHECK(json_of(page).at("next") == 4);
  CHECK(page.field("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK(get("?from_version=4&limit=100").field("Cache-Control") == "no-cache");
  const json back = json_of(get("?direction=backward&limit=2"));
  CHECK(back.at("events")[0].at("version") == 5);
  CHECK(back.at("next") == 3);
  CHECK(json_of(get("?direction=backward&from_version=1")).at("events").size() == 1);
  for (const char* bad :
       {"?limit=0", "?limit=1001", "?from_version=0", "?from_version=-1", "?direction=up",
        "?limit=1&limit=2", "?x=1", "?from_version=18446744073709551616"}) {
    CAPTURE(bad);
    check_code(get(bad), 400, "bad-request");
  }
  check_code(client.get("/v1/topics/orders/streams/order-2"), 404, "not-found");
  check_code(client.get("/v1/topics/none/streams/order-2"), 404, "not-found");
}

TEST_CASE("streams: expectations are checked, and a conflict tells both versions") {
  StoreServer server;
  (void)server.store().topic("orders");
  RawClient client(server.port());
  CHECK(append(client, kEvent, "If-None-Match: *\r\n").status == 200);
  const RawResponse exists = append(client, kEvent, "If-None-Match: *\r\n");
  check_code(exists, 412, "version-conflict");
  CHECK(json_of(exists).at("expected") == "none");
  CHECK(json_of(exists).at("current") == 1);
  CHECK(append(client, kEvent, "If-Match: \"1\"\r\n").status == 200);
  const RawResponse stale = append(client, kEvent, "If-Match: \"1\"\r\n");
  check_code(stale, 412, "version-conflict");
  CHECK(json_of(stale).at("expected") == 1);
  CHECK(json_of(stale).at("current") == 2);
  CHECK(append(client, kEvent, "If-Match: *\r\n").status == 200);
  check_code(append(client, kEvent, "If-Match: *\r\n", "/v1/topics/orders/streams/order-9"), 412,
             "version-conflict");
  for (const char* bad : {"If-Match: 1\r\n", "If-Match: \"x\"\r\n", "If-Match: \"-1\"\r\n",
                          "If-None-Match: \"1\"\r\n", "If-Match: \"1\"\r\nIf-None-Match: *\r\n"}) {
    CAPTURE(bad);
    check_code(append(client, kEvent, bad), 400, "bad-request");
  }
}

TEST_CASE("streams: a repeated key gets the first outcome, another body is 422") {
  StoreServer server;
  (void)server.store().topic("orders");
  RawClient client(server.port());
  const std::string key = "Idempotency-Key: k1\r\n";
  const RawResponse first = append(client, kEvent, key);
  CHECK(first.status == 200);
  CHECK(first.field("Idempotency-Replayed").empty());
  CHECK(append(client, kEvent).status == 200);
  const RawResponse again =
      append(client, R"( [ {"data": { "n": 1}, "type":"placed"} ] )", key + "If-Match: \"7\"\r\n");
  CHECK(again.status == 200);
  CHECK(again.field("Idempotency-Replayed") == "true");
  CHECK(json_of(again) == json_of(first));
  check_code(append(client, R"([{"type":"placed","data":{"n":2}}])", key), 422,
             "idempotency-mismatch");
  CHECK(json_of(client.get(kOrders)).at("events").size() == 2);
  check_code(append(client, kEvent, "Idempotency-Key: \r\n"), 400, "bad-request");
  check_code(append(client, kEvent, "Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), 400,
             "bad-request");
}

TEST_CASE("streams: bodies that are not events are refused and nothing is written") {
  StoreServer server;
  (void)server.store().topic("orders");
  RawClient client(server.port());
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  for (const std::string& body :
       {std::string(""), std::string("[]"), std::string("{}"), std::string("[1]"),
        std::string(R"([{"type":"a"}])"), std::string(R"([{"data":1}])"),
        std::string(R"([{"type":"","data":1}])"), std::string(R"([{"type":"a","data":1,"x":2}])"),
        std::string(R"([{"type":"a","data":1}] x)"), std::string(R"([{"type":"a","data":01}])"),
        std::string(R"([{"type":"a","data":{"a":1,"a":2}}])"),
        std::string("[{\"type\":\"a\",\"data\":\"\xff\"}]"),
        std::string(R"([{"type":"a","data":"\ud800"}])"),
        R"([{"type":"a","data":)" + deep + "}]"}) {
    CAPTURE(body);
    check_code(append(client, body), 400, "bad-request");
  }
  check_code(append(client, R"([{"type":"a","data":")" + std::string(2u << 20, 'x') + "\"}]"), 413,
             "too-large");
  std::string many = "[";
  for (int i = 0; i < 1025; ++i) many += R"({"type":"a","data":1},)";
  many.back() = ']';
  check_code(append(client, many), 413, "too-large");
  check_code(append(client, kEvent, "Content-Type: text/plain\r\n"), 415, "unsupported-media-type");
  check_code(append(client, kEvent, "", "/v1/topics/orders/streams/$own"), 400, "bad-request");
  check_code(append(client, kEvent, "", "/v1/topics/orders/streams/" + std::string(300, 'x')), 413,
             "too-large");
  CHECK(server.store().topic("orders").end() == Position(1));
}

TEST_CASE("commits: several streams of a partition, all or nothing") {
  StoreServer server;
  (void)server.store().topic("orders", 4);
  RawClient client(server.port());
  const auto commit = [&](std::string_view body, std::string_view fields = "") {
    return client.exchange(with_body("POST", "/v1/topics/orders/commits", body, fields));
  };
  constexpr const char* kBoth = R"({"writes":[
      {"stream":"order-7","expected_version":"none","events":[{"type":"placed","data":{}}]},
      {"stream":"invoice-7","events":[{"type":"sent","data":{}},{"type":"paid","data":{}}]}],
      "checks":[{"stream":"blocked-7","expected_version":0}]})";
  const RawResponse first = commit(kBoth, "Idempotency-Key: c\r\n");
  CHECK(first.status == 200);
  const json outcome = json_of(first);
  CHECK(outcome.at("streams").size() == 2);
  CHECK(outcome.at("streams")[1] == json{{"stream", "invoice-7"},
                                         {"first_version", 1},
                                         {"version", 2},
                                         {"first_offset", 1},
                                         {"offset", 2}});
  CHECK(commit(kBoth, "Idempotency-Key: c\r\n").field("Idempotency-Replayed") == "true");
  check_code(commit(kBoth), 412, "version-conflict");
  CHECK(json_of(client.get("/v1/topics/orders/streams/invoice-7")).at("events").size() == 2);

  // The key belongs to the first stream: the same writes in another order are another commit.
  const std::string a = R"({"stream":"a-7","events":[{"type":"t","data":1}]})";
  const std::string b = R"({"stream":"b-7","events":[{"type":"t","data":1}]})";
  const auto keyed = [&](const std::string& writes) {
    return commit(R"({"writes":[)" + writes + "]}", "Idempotency-Key: d\r\n");
  };
  CHECK(keyed(a + ',' + b).field("Idempotency-Replayed").empty());
  CHECK(keyed(a + ',' + b).field("Idempotency-Replayed") == "true");
  CHECK(keyed(b + ',' + a).field("Idempotency-Replayed").empty());
  CHECK(json_of(client.get("/v1/topics/orders/streams/b-7")).at("events").size() == 2);

  // Some id of 16 must lie in another partition than 7 does.
  std::string writes = R"({"writes":[{"stream":"a-7","events":[{"type":"t","data":1}]})";
  for (int id = 10; id < 26; ++id) {
    writes += R"(,{"stream":"a-)" + std::to_string(id) + R"(","events":[{"type":"t","data":1}]})";
  }
  check_code(commit(writes + "]}"), 400, "bad-request");
  CHECK(json_of(client.get("/v1/topics/orders/streams/a-7")).at("events").size() == 2);
  for (
      const char* bad :
      {"{}", R"({"writes":[]})", R"({"writes":[{"stream":"a-1","events":[]}]})",
       R"({"writes":[{"events":[{"type":"t","data":1}]}]})",
       R"({"writes":[{"stream":"a-1","expected_version":-1,"events":[{"type":"t","data":1}]}]})",
       R"({"writes":[{"stream":"a-1","expected_version":"one","events":[{"type":"t","data":1}]}]})",
       R"({"writes":[{"stream":"a-1","events":[{"type":"t","data":1}]}],)"
       R"("checks":[{"stream":"b-1"}]})",
       R"({"writes":[{"stream":"a-1","events":[{"type":"t","data":1}]}],"more":1})"}) {
    CAPTURE(bad);
    check_code(commit(bad), 400, "bad-request");
  }
}
