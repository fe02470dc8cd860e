#include "http/projection_routes.h"

#include <future>
#include <set>
#include <thread>

#include "engine/store/node_partition.h"
#include "tests/http/test_service.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;

namespace {

const std::string kRows = "/v1/projections/wallets/tables/wallets";
const std::string kQuery = "/v1/projections/wallets/query";

json body(const RawResponse& response) {
  INFO(response.body);
  REQUIRE(response.status == 200);
  return json::parse(response.body);
}

json rows(TestService& service, const std::string& query) {
  return body(service.get(kRows + "?" + query))["rows"];
}

/// Three wallets, eight events: offsets 0-2 open them, then 10 into a, 20 into b, 5 out of a,
/// 1 into c, 2 into a.
void fill(TestService& service) {
  for (const auto* id : {"a", "b", "c"}) service.command(id, "open");
  service.command("a", "put", R"({"amount":10,"note":"x"})");
  service.command("b", "put", R"({"amount":20})");
  service.command("a", "take", R"({"amount":5})");
  service.command("c", "put", R"({"amount":1})");
  service.command("a", "put", R"({"amount":2,"note":"y"})");
}

/// The same, and waits until it is applied: which is done behind, and on a busy machine some time
/// later than a request waits for it.
void fill_and_apply(TestService& service) {
  fill(service);
  body(service.get(kRows + "?min=7&wait_ms=60000"));
}

}  // namespace

TEST_CASE("rows: all of them by key, filtered, ordered, limited") {
  TestService service;
  fill_and_apply(service);
  const auto response = service.get(kRows + "?min=7");
  CHECK(body(response) == json::parse(R"({"rows":[{"id":"a","balance":7,"note":"y"},
      {"id":"b","balance":20,"note":null},{"id":"c","balance":1,"note":null}],"at":"7"})"));
  CHECK(response.field("Keelson-Position") == "7");
  CHECK(response.field("Cache-Control") == "no-cache");
  CHECK(rows(service, "id=b")[0]["balance"] == 20);
  CHECK(rows(service, "balance=7")[0]["id"] == "a");
  CHECK(rows(service, "id=nobody").empty());
  CHECK(rows(service, "order=-balance&limit=2") ==
        json::parse(R"([{"id":"b","balance":20,"note":null},{"id":"a","balance":7,"note":"y"}])"));
}

TEST_CASE("rows: as of an offset the same for ever") {
  TestService service;
  fill_and_apply(service);
  const std::string as_of = kRows + "?at=4&id=a";
  const auto before = service.get(as_of);
  CHECK(body(before)["rows"][0]["balance"] == 10);
  CHECK(body(before)["at"] == "4");
  CHECK(before.field("Keelson-Position") == "4");
  service.command("a", "put", R"({"amount":100})");
  CHECK(rows(service, "min=8&wait_ms=60000&id=a")[0]["balance"] == 107);
  CHECK(service.get(as_of).body == before.body);
  CHECK(rows(service, "at=-").empty());
  CHECK(rows(service, "at_time=1999-01-01T00:00:00Z").empty());
  problem(service.get(kRows + "?at_time=2999-01-01T00:00:00Z&id=a"), 400, "beyond-end");
}

TEST_CASE("rows: 304 for who has the answer, by code version and point") {
  TestService service;
  fill_and_apply(service);
  const std::string tag = service.get(kRows + "?at=4").field("ETag");
  CHECK(tag.starts_with("\"v3-"));
  CHECK(tag.ends_with("@4\""));
  const auto same = service.get(kRows + "?at=4", {"If-None-Match: " + tag});
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK(same.field("Keelson-Position") == "4");
  CHECK(same.field("ETag") == tag);
  CHECK(service.get(kRows + "?at=5", {"If-None-Match: " + tag}).status == 200);
  std::string other = tag;
  other[2] = '2';
  CHECK(service.get(kRows + "?at=4", {"If-None-Match: " + other}).status == 200);
}

TEST_CASE("history: every version of a row with the events behind it") {
  TestService service;
  fill_and_apply(service);
  const json versions = body(service.get(kRows + "/history?id=a&min=7"))["rows"];
  REQUIRE(versions.size() == 4);
  CHECK(versions[0] ==
        json::parse(R"({"id":"a","balance":0,"note":null,"_from":0,"_to":3,"_partition":0})"));
  CHECK(versions[1]["_from"] == 3);
  CHECK(versions[1]["_to"] == 5);
  CHECK(versions[3] ==
        json::parse(R"({"id":"a","balance":7,"note":"y","_from":7,"_to":null,"_partition":0})"));
}

TEST_CASE("query: any SELECT, now and as of an offset") {
  TestService service;
  fill_and_apply(service);
  const auto response = service.post(
      kQuery, R"({"sql":"SELECT sum(balance) AS total, count(*) AS n FROM wallets","min":"7"})");
  CHECK(body(response) == json::parse(R"({"columns":["total","n"],"rows":[[28,3]],"at":"7"})"));
  CHECK(response.field("Keelson-Position") == "7");

  const auto rows_of = [&](const json& query) {
    return body(service.post(kQuery, query.dump()))["rows"].dump();
  };
  CHECK(rows_of({{"sql", "SELECT sum(balance) FROM wallets"}, {"at", 4}}) == "[[30]]");
  CHECK(rows_of(
            {{"sql", "SELECT id FROM wallets WHERE balance > ?"}, {"params", {6}}, {"at", "7"}}) ==
        R"([["a"],["b"]])");
  CHECK(rows_of({{"sql", "SELECT id FROM wallets WHERE id = :id"},
                 {"params", {{"id", "c"}}},
                 {"at", nullptr}}) == R"([["c"]])");
  CHECK(rows_of({{"sql", "SELECT count(*) FROM wallets"}, {"at_time", "1999-01-01T00:00:00Z"}}) ==
        "[[0]]");
}

TEST_CASE("query: 304 for who has the answer to this question as of this point") {
  TestService service;
  fill_and_apply(service);
  const std::string sql = R"({"sql":"SELECT id FROM wallets WHERE balance > ?","params":[6])";
  const auto answer = service.post(kQuery, sql + R"(,"at":"7"})");
  CHECK(body(answer)["rows"].dump() == R"([["a"],["b"]])");
  CHECK(answer.field("Cache-Control") == "no-cache");
  const std::string tag = answer.field("ETag");
  const std::string given = "If-None-Match: \"x\", " + tag;
  const auto same = service.post(kQuery, sql + R"(,"at":7})", {given});
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK(same.field("ETag") == tag);
  CHECK(same.field("Keelson-Position") == "7");
  CHECK(same.field("Cache-Control") == "no-cache");
  for (const std::string& other :
       {sql + R"(,"at":"4"})",
        std::string(R"({"sql":"SELECT id FROM wallets WHERE balance > ?","params":[7],"at":"7"})"),
        std::string(R"({"sql":"SELECT id FROM wallets WHERE balance > 6","at":"7"})"),
        // About now the answer may have changed: it is given in full, and named for the next time.
        sql + R"(,"min":"7"})"}) {
    CAPTURE(other);
    const auto response = service.post(kQuery, other, {given});
    CHECK(response.status == 200);
    CHECK_FALSE(response.field("ETag").empty());
  }
  CHECK(service.post(kQuery, sql + R"(,"min":"7"})").field("ETag") == tag);
}

TEST_CASE("query: over several partitions a tag is one tag") {
  TestService service({.partitions = 3});
  for (int i = 0; i < 12; ++i) service.command(std::to_string(i), "open");
  const json query = {{"sql", "SELECT count(*) FROM wallets"},
                      {"at", service.store.topic().end().to_string()},
                      {"wait_ms", 60000}};
  const auto answer = service.post(kQuery, query.dump());
  CHECK(body(answer)["rows"].dump() == "[[12]]");
  CHECK(answer.field("ETag").find(',') == std::string::npos);
  CHECK(service.post(kQuery, query.dump(), {"If-None-Match: " + answer.field("ETag")}).status ==
        304);
}

TEST_CASE("min: an answer waits for the position, so a client reads what it wrote") {
  TestService service({.apply = false});
  fill(service);
  auto waiting = std::async(std::launch::async,
                            [&] { return service.get(kRows + "?id=a&min=7&wait_ms=20000"); });
  auto as_of = std::async(std::launch::async,
                          [&] { return service.get(kRows + "?id=a&at=4&wait_ms=20000"); });
  service.projections->start();
  CHECK(body(waiting.get())["rows"][0]["balance"] == 7);
  CHECK(body(as_of.get())["rows"][0]["balance"] == 10);
}

TEST_CASE("min: not reached in time is 503") {
  TestService service({.apply = false});
  fill(service);
  const auto late = service.get(kRows + "?min=7&wait_ms=10");
  problem(late, 503, "not-caught-up");
  CHECK_FALSE(late.field("Retry-After").empty());
  problem(service.get(kRows + "?at=7&wait_ms=0"), 503, "not-caught-up");
  problem(service.get(kRows + "/history?min=7&wait_ms=0"), 503, "not-caught-up");
  problem(service.post(kQuery, R"({"sql":"SELECT 1","min":"7","wait_ms":10})"), 503,
          "not-caught-up");
  problem(service.post(kQuery, R"({"sql":"SELECT 1","at":"7","wait_ms":0})"), 503, "not-caught-up");
}

TEST_CASE("min: behind an event that the projection halted at is 503 at once") {
  TestService service;
  service.command("a", "open");
  service.command("a", "put", R"({"amount":1,"note":"halt"})");
  service.command("a", "put", R"({"amount":2})");
  json status;
  do {
    status = json::parse(service.get("/v1/projections/wallets").body);
  } while (status["state"] != "halted");
  CHECK(status["partitions"][0]["halted_at"] == 1);
  CHECK(status["partitions"][0]["error"].get<std::string>().find("told to halt") !=
        std::string::npos);
  CHECK(status["position"] == "0");
  problem(service.get(kRows + "?min=2&wait_ms=20000"), 503, "halted");
  CHECK(rows(service, "at=0")[0]["balance"] == 0);
}

TEST_CASE("projections: listed with their tables and how far they are") {
  TestService service;
  fill_and_apply(service);
  const json all = body(service.get("/v1/projections"));
  REQUIRE(all["projections"].size() == 1);
  const auto response = service.get("/v1/projections/wallets");
  const json one = body(response);
  CHECK(response.field("Keelson-Position") == "7");
  CHECK(one["name"] == "wallets");
  CHECK(one["version"] == 3);
  CHECK(one["topic"] == "test");
  CHECK(one["summary"] == "What is in each wallet");
  CHECK(one["state"] == "running");
  CHECK(one["position"] == "7");
  CHECK(one["partitions"][0]["partition"] == 0);
  CHECK(one["partitions"][0]["next"] == 8);
  CHECK(one["partitions"][0]["lag_events"] == 0);
  CHECK(one["partitions"][0]["lag_seconds"] == 0);
  CHECK(one["tables"][0]["columns"][0] ==
        json::parse(R"({"name":"id","type":"TEXT","nullable":false,"key":true})"));
}

TEST_CASE("projections: a list of them reflects what every one of them has seen") {
  TestService service({.openings = true});
  service.command("a", "open");
  service.command("a", "put", R"({"amount":1,"note":"halt"})");
  const std::string openings = "/v1/projections/openings";
  body(service.get(openings + "/tables/openings?min=1&wait_ms=60000"));
  while (body(service.get("/v1/projections/wallets"))["state"] != "halted") continue;
  CHECK(service.get(openings).field("Keelson-Position") == "1");
  const auto list = service.get("/v1/projections");
  CHECK(body(list)["projections"].size() == 2);
  CHECK(list.field("Keelson-Position") == "0");
}

TEST_CASE("projections: what is not there is 404, what is malformed 400") {
  TestService service;
  fill_and_apply(service);
  problem(service.get("/v1/projections/nothing"), 404, "not-found");
  problem(service.get("/v1/projections/nothing/tables/wallets"), 404, "not-found");
  problem(service.get("/v1/projections/wallets/tables/nothing"), 404, "not-found");
  problem(service.get("/v1/projections/wallets/tables/nothing/history"), 404, "not-found");
  problem(service.post("/v1/projections/nothing/query", R"({"sql":"SELECT 1"})"), 404, "not-found");
  problem(service.get("/v1/projections?x=1"), 400, "bad-request");
  problem(service.get("/v1/projections/wallets?x=1"), 400, "bad-request");
  for (const auto* bad : {"nothing=1", "limit=0", "limit=10001", "limit=x", "order=nothing", "at=x",
                          "at=0:1,0:2", "at_time=x", "at=1&at_time=1999-01-01T00:00:00Z", "min=x",
                          "wait_ms=x", "wait_ms=60001", "id=a&id=b", "balance=x"}) {
    CAPTURE(bad);
    problem(service.get(kRows + "?" + bad), 400, "bad-request");
    problem(service.get(kRows + "/history?" + bad), 400, "bad-request");
  }
  problem(service.get(kRows + "?at=8"), 400, "beyond-end");
  problem(service.post(kQuery, R"({"sql":"SELECT 1","at":"8"})"), 400, "beyond-end");
  const auto unknown = problem(service.get(kRows + "?nothing=1"), 400, "bad-request");
  CHECK(unknown["detail"].get<std::string>().find("limit and the columns id, balance, note") !=
        std::string::npos);
}

TEST_CASE("query: what is malformed or not allowed is refused") {
  TestService service;
  fill_and_apply(service);
  for (const auto* bad : {"",
                          "{",
                          "[]",
                          "{}",
                          R"({"sql":""})",
                          R"({"sql":1})",
                          R"({"sql":"SELECT 1","x":1})",
                          R"({"sql":"SELECT 1","params":1})",
                          R"({"sql":"SELECT 1","params":"a"})",
                          R"({"sql":"SELECT 1","at":"x"})",
                          R"({"sql":"SELECT 1","at":true})",
                          R"({"sql":"SELECT 1","min":"x"})",
                          R"({"sql":"SELECT 1","wait_ms":60001})",
                          R"({"sql":"SELECT 1","wait_ms":-1})",
                          R"({"sql":"SELEKT 1"})",
                          R"({"sql":"SELECT * FROM nothing"})",
                          R"({"sql":"DELETE FROM wallets"})",
                          R"({"sql":"SELECT 1; SELECT 2"})",
                          R"({"sql":"PRAGMA user_version"})",
                          R"({"sql":"ATTACH 'x' AS y"})",
                          R"({"sql":"SELECT ?","params":[1,2]})"}) {
    CAPTURE(bad);
    problem(service.post(kQuery, bad), 400, "bad-request");
  }
  problem(service.post(kQuery, "x", {}, "text/plain"), 415, "unsupported-media-type");
  problem(service.post(kQuery + "?at=1", R"({"sql":"SELECT 1"})"), 400, "bad-request");
}

TEST_CASE("query: over its limits of rows and time it is refused, not endless") {
  TestService service;
  fill_and_apply(service);
  const std::string endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT ";
  problem(service.post(kQuery, R"({"sql":")" + endless + R"(i FROM n"})"), 413, "too-large");
  problem(service.post(kQuery, R"({"sql":")" + endless + R"(sum(i) FROM n"})"), 504, "timeout");
}

TEST_CASE("queries: no thread is left for one more is 503 with Retry-After") {
  TestService service({.work_threads = 1, .work_queue_max = 1});
  std::promise<void> gate;
  const auto open = gate.get_future().share();
  std::promise<void> running;
  REQUIRE(service.work().post([open, &running] {
    running.set_value();
    open.wait();
  }));
  running.get_future().wait();
  REQUIRE(service.work().post([open] { open.wait(); }));
  const auto response = service.get(kRows);
  problem(response, 503, "overloaded");
  CHECK_FALSE(response.field("Retry-After").empty());
  gate.set_value();
}

TEST_CASE("read models of several partitions: positions name each") {
  TestService service({.partitions = 3});
  for (int i = 0; i < 12; ++i) service.command(std::to_string(i), "open");
  const std::string end = service.store.topic().end().to_string();
  const auto response = service.get(kRows + "?wait_ms=60000&min=" + end);
  CHECK(body(response)["rows"].size() == 12);
  CHECK(body(response)["at"] == end);
  CHECK(response.field("ETag").find(',') == std::string::npos);
  CHECK(service.get(kRows + "?at=" + end, {"If-None-Match: " + response.field("ETag")}).status ==
        304);
  problem(service.get(kRows + "?at=3"), 400, "bad-request");
}

TEST_CASE("rows and queries: of some partitions") {
  TestService service({.partitions = 3});
  for (int i = 0; i < 30; ++i) service.command(std::to_string(i), "open");
  const std::string end = service.store.topic("test", 3).end().to_string();
  std::set<std::string> ids;
  std::string at;
  for (const char* part : {"0", "1,2"}) {
    const auto response = service.get(kRows + "?wait_ms=60000&partitions=" + part + "&min=" + end);
    const json answer = body(response);
    for (const json& row : answer["rows"]) CHECK(ids.insert(row["id"]).second);
    at += (at.empty() ? "" : ",") + response.field("Keelson-Position");
  }
  CHECK(ids.size() == 30);
  CHECK(at == end);
  const std::string count = R"({"sql":"SELECT count(*) FROM wallets"})";
  const auto counted = service.post(kQuery + "?partitions=1", count);
  const auto whole = service.post(kQuery, count);
  CHECK(body(counted)["rows"][0][0] < body(whole)["rows"][0][0]);
  for (const char* bad : {"", "3", "0,", "0,,1", "a", "-1", "0;1", "99999999999"}) {
    CAPTURE(bad);
    CHECK(service.get(kRows + "?partitions=" + bad).status == 400);
    CHECK(service.post(kQuery + "?partitions=" + bad, R"({"sql":"SELECT 1"})").status == 400);
  }
}

TEST_CASE("rows and queries: what other nodes have is asked of them, or in parts") {
  TestService service({.partitions = 3});
  for (int i = 0; i < 30; ++i) service.command(std::to_string(i), "open");
  Topic& topic = service.store.topic("test", 3);
  const auto place = [&](std::uint32_t p, bool here, std::vector<std::string> others) {
    dynamic_cast<NodePartition&>(topic.partition(PartitionId(p)))
        .set_whereabouts(here, std::move(others));
  };
  const std::string query = R"({"sql":"SELECT count(*) FROM wallets"})";
  place(0, true, {"b:1"});
  place(1, false, {"c:1", "b:1"});
  place(2, true, {"b:1"});
  const auto sent = problem(service.post(kQuery, query), 307, "not-leader");
  CHECK(sent["leader"] == "b:1");
  CHECK(problem(service.get(kRows + "?partitions=1"), 307, "not-leader")["leader"] == "c:1");
  CHECK(service.get(kRows + "?partitions=0,2").status == 200);

  place(0, true, {"c:1"});
  for (const auto& response : {service.post(kQuery, query), service.get(kRows + "/history")}) {
    const json said = problem(response, 400, "not-on-one-node");
    CHECK(said["parts"] == json::parse(R"([{"partitions":"0,2","node":""},
                                           {"partitions":"1","node":"b:1"}])"));
    CHECK(said["detail"].get<std::string>().ends_with("; partitions=1 at b:1."));
  }
  CHECK(service.post(kQuery + "?partitions=0,2", query).status == 200);

  place(1, false, {});
  problem(service.post(kQuery, query), 503, "not-enough-replicas");
}
