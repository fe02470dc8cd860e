#include "http/aggregate_routes.h"

#include <thread>

#include "tests/http/test_service.h"

using namespace keelson;
using namespace keelson::http::test;

TEST_CASE("command: accepted, with the events it led to") {
  TestService service;
  const auto response = service.post("/v1/aggregates/wallet/7/open", "{}");
  CHECK(response.status == 200);
  CHECK(response.field("Content-Type") == "application/json");
  CHECK(response.field("ETag") == "\"1\"");
  CHECK(response.field("Keelson-Position") == "0");
  CHECK(response.field("Idempotency-Replayed").empty());
  const json body = json::parse(response.body);
  CHECK(body["outcome"] == "accepted");
  CHECK(body["topic"] == "test");
  CHECK(body["partition"] == 0);
  CHECK(body["offset"] == 0);
  CHECK(body["version"] == 1);
  REQUIRE(body["events"].size() == 1);
  CHECK(body["events"][0]["type"] == "opened");
  CHECK(body["events"][0]["stream"] == "wallet-7");

  service.command("7", "put", R"({"amount":5})");
  const json emptied = service.command("7", "empty");
  CHECK(emptied["offset"] == 3);
  CHECK(emptied["version"] == 4);
  CHECK(emptied["events"].size() == 2);
}

TEST_CASE("command: a body without members may be left out") {
  TestService service;
  CHECK(service.post("/v1/aggregates/wallet/7/open", "").status == 200);
}

TEST_CASE("command: repeated with its key, the first outcome again and no second effect") {
  TestService service;
  service.command("7", "open");
  const auto first =
      service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"Idempotency-Key: k1"});
  service.command("7", "put", R"({"amount":1})");
  const auto again =
      service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"Idempotency-Key: k1"});
  CHECK(first.status == 200);
  CHECK(first.field("Idempotency-Replayed").empty());
  CHECK(again.status == 200);
  CHECK(again.field("Idempotency-Replayed") == "true");
  CHECK(again.body == first.body);
  CHECK(again.field("ETag") == first.field("ETag"));
  CHECK(json::parse(service.get("/v1/aggregates/wallet/7").body)["state"]["balance"] == 6);
}

TEST_CASE("command: 64 clients sending one key get one effect and 64 equal answers") {
  TestService service;
  service.command("7", "open");
  std::vector<RawResponse> answers(64);
  {
    std::vector<std::jthread> clients;
    for (RawResponse& answer : answers) {
      clients.emplace_back([&] {
        answer =
            service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"Idempotency-Key: k"});
      });
    }
  }
  for (const RawResponse& answer : answers) {
    CHECK(answer.status == 200);
    CHECK(answer.body == answers[0].body);
  }
  CHECK(json::parse(service.get("/v1/aggregates/wallet/7").body)["version"] == 2);
}

TEST_CASE("command: a refusal of the domain is 409 with its reason, repeated as well") {
  TestService service;
  service.command("7", "open");
  const auto refused =
      service.post("/v1/aggregates/wallet/7/take", R"({"amount":5})", {"Idempotency-Key: k1"});
  const json body = problem(refused, 409, "command-rejected");
  CHECK(body["reason"] == "insufficient_funds");
  CHECK(body["detail"] == "the balance is 0");
  CHECK(body["outcome"] == "rejected");
  CHECK(body["version"] == 1);
  CHECK(refused.field("Idempotency-Replayed").empty());
  CHECK(refused.field("Keelson-Position") == "0");

  service.command("7", "put", R"({"amount":5})");
  const auto again =
      service.post("/v1/aggregates/wallet/7/take", R"({"amount":5})", {"Idempotency-Key: k1"});
  CHECK(again.body == refused.body);
  CHECK(again.field("Idempotency-Replayed") == "true");
  CHECK(problem(service.post("/v1/aggregates/wallet/8/put", R"({"amount":5})"), 409,
                "command-rejected")["reason"] == "not_open");
}

TEST_CASE("command: a key used for something else is 422") {
  TestService service;
  service.command("7", "open");
  service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"Idempotency-Key: k1"});
  problem(service.post("/v1/aggregates/wallet/7/put", R"({"amount":6})", {"Idempotency-Key: k1"}),
          422, "idempotency-mismatch");
  problem(service.post("/v1/aggregates/wallet/7/take", R"({"amount":5})", {"Idempotency-Key: k1"}),
          422, "idempotency-mismatch");
  CHECK(service.post("/v1/aggregates/wallet/8/open", "", {"Idempotency-Key: k1"}).status == 200);
}

TEST_CASE("command: If-Match is checked against the version") {
  TestService service;
  service.command("7", "open");
  const json conflict =
      problem(service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"If-Match: \"5\""}),
              412, "version-conflict");
  CHECK(conflict["expected"] == 5);
  CHECK(conflict["current"] == 1);
  CHECK(conflict["stream"] == "wallet-7");
  CHECK(
      service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"If-Match: \"1\""}).status ==
      200);
  problem(service.post("/v1/aggregates/wallet/7/put", R"({"amount":5})", {"If-Match: 2"}), 400,
          "bad-request");
}

TEST_CASE("command: what is malformed is refused before anything is written") {
  TestService service;
  service.command("7", "open");
  for (const auto* body :
       {"{", "[]", "5", R"({"amount":-1})", R"({"amount":0})", R"({})", R"({"amount":1.5})",
        R"({"amount":"5"})", R"({"amount":1,"x":2})", R"({"amount":9223372036854775808})",
        "{\"amount\":1,\"note\":\"\xff\"}", R"({"amount":1,"amount":2})"}) {
    CAPTURE(body);
    problem(service.post("/v1/aggregates/wallet/7/put", body), 400, "bad-request");
  }
  const std::string put = R"({"amount":1})";
  problem(service.post("/v1/aggregates/wallet/7/put?x=1", put), 400, "bad-request");
  problem(service.post("/v1/aggregates/wallet/7/put", put, {"Idempotency-Key: "}), 400,
          "bad-request");
  problem(service.post("/v1/aggregates/wallet/7/put", put,
                       {"Idempotency-Key: a", "Idempotency-Key: b"}),
          400, "bad-request");
  problem(service.post("/v1/aggregates/wallet/7/put", put,
                       {"Idempotency-Key: " + std::string(257, 'k')}),
          413, "too-large");
  problem(service.post("/v1/aggregates/wallet/7/put", put, {"Idempotency-Key: \xc3\xa9"}), 400,
          "bad-request");
  problem(service.post("/v1/aggregates/wallet/7/fly", "{}"), 404, "not-found");
  problem(service.post("/v1/aggregates/plane/7/fly", "{}"), 404, "not-found");
  problem(service.post("/v1/aggregates/wallet/" + std::string(300, 'x') + "/open", "{}"), 413,
          "too-large");
  problem(service.post("/v1/aggregates/wallet/a%0Ab/open", "{}"), 400, "bad-request");
  problem(service.post("/v1/aggregates/wallet/7/put", "amount=1", {}, "text/plain"), 415,
          "unsupported-media-type");
  CHECK(json::parse(service.get("/v1/aggregates/wallet/7").body)["version"] == 1);
}

TEST_CASE("command: the id in the path is decoded") {
  TestService service;
  CHECK(service.command("a%2Fb%20c", "open")["events"][0]["stream"] == "wallet-a/b c");
  CHECK(json::parse(service.get("/v1/aggregates/wallet/a%2Fb%20c").body)["id"] == "a/b c");
}

TEST_CASE("state: now, and 304 for who has it") {
  TestService service;
  service.command("7", "open");
  service.command("7", "put", R"({"amount":5})");
  const auto live = service.get("/v1/aggregates/wallet/7");
  CHECK(live.status == 200);
  CHECK(live.field("ETag") == "\"2\"");
  CHECK(live.field("Cache-Control") == "no-cache");
  CHECK(live.field("Keelson-Position") == "1");
  CHECK(json::parse(live.body) == json::parse(R"({"type":"wallet","id":"7","version":2,"offset":1,
                                                  "state":{"open":true,"balance":5}})"));
  const auto same = service.get("/v1/aggregates/wallet/7", {"If-None-Match: \"2\""});
  CHECK(same.status == 304);
  CHECK(same.field("ETag") == "\"2\"");
  CHECK(same.field("Keelson-Position") == "1");
  CHECK(service.get("/v1/aggregates/wallet/7", {"If-None-Match: \"1\""}).status == 200);
}

TEST_CASE("state: as of an offset, a version, a time, and unchanged by what follows") {
  TestService service;
  service.command("7", "open");
  service.command("8", "open");
  const json put = service.command("7", "put", R"({"amount":5})");
  const std::string time = put["events"][0]["time"];
  service.command("7", "put", R"({"amount":7})");
  const auto balance = [&](const std::string& query) {
    const auto response = service.get("/v1/aggregates/wallet/7?" + query);
    INFO(response.body);
    CHECK(response.status == 200);
    return json::parse(response.body);
  };
  CHECK(balance("at=0")["state"]["balance"] == 0);
  CHECK(balance("at=1")["state"]["balance"] == 0);
  CHECK(balance("at=2")["state"]["balance"] == 5);
  CHECK(balance("at=0:2")["state"]["balance"] == 5);
  CHECK(balance("at=3")["state"]["balance"] == 12);
  CHECK(balance("at_version=1")["version"] == 1);
  CHECK(balance("at_version=2")["state"]["balance"] == 5);
  CHECK(balance("at_time=" + time)["state"]["balance"] == 5);
  CHECK(balance("at=1")["at"] == "1");
  CHECK(balance("at=1")["version"] == 1);
  CHECK(balance("at=1")["offset"] == 0);
  CHECK(balance("at_version=2")["at"] == "2");
  CHECK(balance("at_time=" + time)["at"] == "2");
}

TEST_CASE("state: an as-of answer has a tag of code and point, and is 304 by it") {
  TestService service;
  service.command("7", "open");
  const json put = service.command("7", "put", R"({"amount":5})");
  const std::string at_time = "at_time=" + put["events"][0]["time"].get<std::string>();
  for (const std::string& query : {std::string("at=1"), std::string("at_version=2"), at_time}) {
    CAPTURE(query);
    const std::string target = "/v1/aggregates/wallet/7?" + query;
    const auto response = service.get(target);
    CHECK(response.field("Cache-Control") == "no-cache");
    const std::string tag = response.field("ETag");
    CHECK(tag.size() > 4);
    const auto same = service.get(target, {"If-None-Match: " + tag});
    CHECK(same.status == 304);
    CHECK(same.body.empty());
    CHECK(same.field("ETag") == tag);
    CHECK((query == "at_version=2" || same.field("Keelson-Position") == "1"));
  }
  CHECK(service.get("/v1/aggregates/wallet/7?at=0").field("ETag") !=
        service.get("/v1/aggregates/wallet/7?at=1").field("ETag"));
}

TEST_CASE("state: a question that has no answer says why") {
  TestService service;
  service.command("7", "open");
  problem(service.get("/v1/aggregates/wallet/8"), 404, "not-found");
  problem(service.get("/v1/aggregates/plane/7"), 404, "not-found");
  problem(service.get("/v1/aggregates/wallet/7?at=1"), 400, "beyond-end");
  problem(service.get("/v1/aggregates/wallet/7?at=-"), 404, "not-found");
  problem(service.get("/v1/aggregates/wallet/7?at_version=2"), 400, "beyond-end");
  problem(service.get("/v1/aggregates/wallet/7?at_time=1999-01-01T00:00:00Z"), 404, "not-found");
  for (const auto* bad : {"at=x", "at=1:0", "at=-1", "at_version=0", "at_version=x", "at_time=now",
                          "at=0&at_version=1", "version=1", "at=0&at=0"}) {
    CAPTURE(bad);
    problem(service.get("/v1/aggregates/wallet/7?" + std::string(bad)), 400, "bad-request");
  }
}

TEST_CASE("events of an aggregate: pages forward and backward, closed ones immutable") {
  TestService service;
  service.command("7", "open");
  for (int i = 1; i <= 4; ++i) {
    service.command("8", i == 1 ? "open" : "put", i == 1 ? "{}" : R"({"amount":1})");
    service.command("7", "put", R"({"amount":5})");
  }
  const std::string events = "/v1/aggregates/wallet/7/events";
  const auto versions = [](const json& page) {
    std::vector<int> all;
    for (const json& event : page["events"]) all.push_back(event["version"]);
    return all;
  };
  const auto whole = service.get(events);
  CHECK(whole.field("Cache-Control") == "no-cache");
  CHECK(whole.field("Keelson-Position") == "8");
  json page = json::parse(whole.body);
  CHECK(versions(page) == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(page["next"] == 6);
  CHECK(page["end"] == 6);

  const auto closed = service.get(events + "?from_version=2&limit=2");
  CHECK(closed.field("Cache-Control") == "public, max-age=31536000, immutable");
  page = json::parse(closed.body);
  CHECK(versions(page) == std::vector<int>{2, 3});
  CHECK(page["next"] == 4);

  page = json::parse(service.get(events + "?direction=backward&limit=2").body);
  CHECK(versions(page) == std::vector<int>{5, 4});
  CHECK(page["next"] == 3);
  const auto last = service.get(events + "?direction=backward&from_version=3");
  CHECK(last.field("Cache-Control") == "public, max-age=31536000, immutable");
  page = json::parse(last.body);
  CHECK(versions(page) == std::vector<int>{3, 2, 1});
  CHECK(page["next"].is_null());

  page = json::parse(service.get(events + "?from_version=9").body);
  CHECK(page["events"].empty());
  CHECK(page["next"] == 9);
  CHECK(page["end"] == 6);

  problem(service.get("/v1/aggregates/wallet/9/events"), 404, "not-found");
  problem(service.get("/v1/aggregates/plane/7/events"), 404, "not-found");
  for (const auto* bad :
       {"limit=0", "limit=1001", "from_version=0", "from_version=-1", "direction=up", "at=1"}) {
    CAPTURE(bad);
    problem(service.get(events + "?" + bad), 400, "bad-request");
  }
}

TEST_CASE("aggregate types: named with their schemas") {
  TestService service;
  const json all = json::parse(service.get("/v1/aggregates").body);
  REQUIRE(all["aggregates"].size() == 1);
  const json one = json::parse(service.get("/v1/aggregates/wallet").body);
  CHECK(one == all["aggregates"][0]);
  CHECK(one["type"] == "wallet");
  CHECK(one["commands"].size() == 4);
  CHECK(one["commands"][1]["schema"]["properties"].contains("amount"));
  CHECK(one["refusals"].size() == 4);
  problem(service.get("/v1/aggregates/plane"), 404, "not-found");
  problem(service.get("/v1/aggregates?x=1"), 400, "bad-request");
}

TEST_CASE("aggregates of several partitions: positions name the partition") {
  TestService service({.partitions = 3});
  const json opened = service.command("7", "open");
  const std::string partition = std::to_string(opened["partition"].get<int>());
  const auto live = service.get("/v1/aggregates/wallet/7");
  CHECK(live.field("Keelson-Position") == partition + ":0");
  const auto as_of = service.get("/v1/aggregates/wallet/7?at=0");
  CHECK(json::parse(as_of.body)["at"] == partition + ":0");
  CHECK(service.get("/v1/aggregates/wallet/7?at=" + partition + ":0").body == as_of.body);
}
