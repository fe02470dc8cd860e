#include "http/command_routes.h"

#include <future>
#include <sstream>

#include "http/command_batch.h"
#include "http/work_pool.h"
#include "tests/http/test_service.h"
#include "tests/support/simulated_file_system.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::http::test;

namespace {

json open(const std::string& id) { return {{"type", "wallet"}, {"id", id}, {"command", "open"}}; }

json put(const std::string& id, int amount) {
  return {{"type", "wallet"}, {"id", id}, {"command", "put"}, {"data", {{"amount", amount}}}};
}

json with(json command, const char* name, json value) {
  command[name] = std::move(value);
  return command;
}

std::string lines(const std::vector<json>& commands) {
  std::string text;
  for (const json& command : commands) text += command.dump() + "\n";
  return text;
}

std::vector<json> parse_lines(const std::string& text) {
  std::vector<json> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(json::parse(line));
  return all;
}

}  // namespace

TEST_CASE("commands: outcomes in order, each on its own") {
  TestService service;
  const json commands = {
      open("1"),
      put("1", 5),
      {{"type", "wallet"}, {"id", "1"}, {"command", "take"}, {"data", {{"amount", 9}}}},
      {{"type", "wallet"}, {"id", "1"}, {"command", "fly"}},
      put("1", -1),
      with(put("1", 1), "expected_version", 7),
      with(put("1", 1), "expected_version", 2),
      with(put("1", 1), "expected_version", nullptr)};
  const auto response = service.post("/v1/commands", commands.dump());
  CHECK(response.status == 200);
  CHECK(response.field("Content-Type") == "application/json");
  CHECK(response.field("Keelson-Position") == "3");
  const json outcomes = json::parse(response.body);
  REQUIRE(outcomes.size() == commands.size());
  CHECK(outcomes[0]["status"] == 200);
  CHECK(outcomes[0]["outcome"] == "accepted");
  CHECK(outcomes[0]["offset"] == 0);
  CHECK(outcomes[0]["events"][0]["type"] == "opened");
  CHECK_FALSE(outcomes[0].contains("replayed"));
  CHECK(outcomes[1]["version"] == 2);
  CHECK(outcomes[2]["status"] == 409);
  CHECK(outcomes[2]["outcome"] == "rejected");
  CHECK(outcomes[2]["reason"] == "insufficient_funds");
  CHECK(outcomes[2]["detail"] == "the balance is 5");
  CHECK(outcomes[3]["status"] == 404);
  CHECK(outcomes[3]["outcome"] == "error");
  CHECK(outcomes[3]["code"] == "not-found");
  CHECK(outcomes[4]["status"] == 400);
  CHECK(outcomes[4]["code"] == "bad-request");
  CHECK(outcomes[5]["status"] == 412);
  CHECK(outcomes[5]["code"] == "version-conflict");
  CHECK(outcomes[5]["current"] == 2);
  CHECK(outcomes[6]["version"] == 3);
  CHECK(outcomes[7]["version"] == 4);
}

TEST_CASE("commands: to one aggregate decided in the order given, 1,000 at a time") {
  TestService service({.partitions = 4});
  json commands = json::array();
  constexpr int kWallets = 50;
  constexpr int kEach = 19;
  for (int i = 0; i < kWallets; ++i) commands.push_back(open(std::to_string(i)));
  for (int n = 1; n <= kEach; ++n) {
    for (int i = 0; i < kWallets; ++i) commands.push_back(put(std::to_string(i), n));
  }
  const json outcomes = json::parse(service.post("/v1/commands", commands.dump()).body);
  REQUIRE(outcomes.size() == 1000);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    CHECK(outcomes[i]["outcome"] == "accepted");
    CHECK(outcomes[i]["version"] == i / kWallets + 1);
    CHECK(outcomes[i]["events"][0]["stream"] == "wallet-" + std::to_string(i % kWallets));
  }
}

TEST_CASE("commands: a key repeated is a replay, in one request and in the next") {
  TestService service;
  const json commands = {open("1"), with(put("1", 5), "key", "k"), with(put("1", 5), "key", "k"),
                         with(put("1", 6), "key", "k")};
  json outcomes = json::parse(service.post("/v1/commands", commands.dump()).body);
  CHECK_FALSE(outcomes[1].contains("replayed"));
  CHECK(outcomes[2]["replayed"] == true);
  CHECK(outcomes[2]["offset"] == outcomes[1]["offset"]);
  CHECK(outcomes[3]["status"] == 422);
  CHECK(outcomes[3]["code"] == "idempotency-mismatch");
  outcomes =
      json::parse(service.post("/v1/commands", json{with(put("1", 5), "key", "k")}.dump()).body);
  CHECK(outcomes[0]["replayed"] == true);
  CHECK(json::parse(service.get("/v1/aggregates/wallet/1").body)["state"]["balance"] == 5);
}

TEST_CASE("commands: NDJSON is answered with NDJSON") {
  TestService service;
  std::vector<json> commands = {open("1")};
  for (int i = 0; i < 600; ++i) commands.push_back(put("1", 1));
  const auto response = service.post("/v1/commands", lines(commands), {}, "application/x-ndjson");
  CHECK(response.status == 200);
  CHECK(response.field("Content-Type") == "application/x-ndjson");
  CHECK(response.body.back() == '\n');
  const auto outcomes = parse_lines(response.body);
  REQUIRE(outcomes.size() == commands.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) CHECK(outcomes[i]["version"] == i + 1);
}

TEST_CASE("commands: a byte order mark before the body is ignored, by every route alike") {
  TestService service;
  const std::string mark = "\xef\xbb\xbf";
  const std::string deposit = R"({"amount":5})";
  const auto key = {std::string_view("Idempotency-Key: k")};
  CHECK(service.post("/v1/aggregates/wallet/1/open", mark + "{}").status == 200);
  CHECK(service.post("/v1/aggregates/wallet/1/put", mark + deposit, key).status == 200);
  const auto replayed = service.post("/v1/aggregates/wallet/1/put", deposit, key);
  CHECK(replayed.status == 200);
  CHECK(replayed.field("Idempotency-Replayed") == "true");
  CHECK(service.post("/v1/commands", mark + json({put("1", 1)}).dump()).status == 200);
  const auto outcomes = parse_lines(
      service.post("/v1/commands", mark + lines({put("1", 1)}), {}, "application/x-ndjson").body);
  REQUIRE(outcomes.size() == 1);
  CHECK(outcomes[0]["outcome"] == "accepted");
  CHECK(service.post("/v1/projections/wallets/query", mark + R"({"sql":"SELECT 1"})").status ==
        200);
  // One mark, and nowhere else.
  CHECK(service.post("/v1/aggregates/wallet/1/put", mark + mark + deposit).status == 400);
  CHECK(service.post("/v1/commands", "[" + mark + "]").status == 400);
}

TEST_CASE("commands: a malformed line is its own error, empty lines are passed over") {
  TestService service;
  const auto response = service.post(
      "/v1/commands", open("1").dump() + "\r\n\n  \n{\"type\":\n[]\n" + put("1", 5).dump(), {},
      "application/x-ndjson; charset=utf-8");
  const auto outcomes = parse_lines(response.body);
  REQUIRE(outcomes.size() == 4);
  CHECK(outcomes[0]["status"] == 200);
  CHECK(outcomes[1]["status"] == 400);
  CHECK(outcomes[2]["status"] == 400);
  CHECK(outcomes[3]["status"] == 200);
}

TEST_CASE("commands: Accept chooses the form of the answer") {
  TestService service;
  const auto as_lines = service.post("/v1/commands", json{open("1"), open("2")}.dump(),
                                     {"Accept: application/x-ndjson"});
  CHECK(as_lines.field("Content-Type") == "application/x-ndjson");
  CHECK(parse_lines(as_lines.body).size() == 2);
  const auto as_array = service.post("/v1/commands", lines({open("3")}),
                                     {"Accept: application/json"}, "application/x-ndjson");
  CHECK(as_array.field("Content-Type") == "application/json");
  CHECK(json::parse(as_array.body).size() == 1);
  problem(service.post("/v1/commands", "[]", {"Accept: text/html"}), 406, "not-acceptable");
}

TEST_CASE("commands: none is an empty answer") {
  TestService service;
  CHECK(service.post("/v1/commands", "[]").body == "[]");
  const auto none = service.post("/v1/commands", "", {}, "application/x-ndjson");
  CHECK(none.status == 200);
  CHECK(none.body.empty());
}

TEST_CASE("commands: what is no list of commands is refused whole") {
  TestService service;
  for (const auto* body :
       {"", "{}", "[", "[{}", "[{}]x", "5", "[{\"a\":1,\"a\":2}]", "[\"\xff\"]"}) {
    CAPTURE(body);
    problem(service.post("/v1/commands", body), 400, "bad-request");
  }
  problem(service.post("/v1/commands?x=1", "[]"), 400, "bad-request");
  problem(service.post("/v1/commands", "[]", {}, "text/plain"), 415, "unsupported-media-type");
  std::string many = "[0";
  for (std::size_t i = 0; i < kBatchCommandsMax; ++i) many += ",0";
  problem(service.post("/v1/commands", many + "]"), 413, "too-large");
  problem(service.post("/v1/commands", "[" + std::string(17u << 20, ' ') + "]"), 413, "too-large");
}

TEST_CASE("commands: an element that is no command says what is wrong with it") {
  const auto detail = [](const json& item) {
    const auto items = read_command_array(json::array({item}).dump(), "");
    REQUIRE(items);
    REQUIRE(items->size() == 1);
    REQUIRE_FALSE(items->front());
    CHECK(items->front().error().code == Errc::bad_request);
    return items->front().error().context;
  };
  CHECK(detail({{"id", "1"}, {"command", "open"}}).find("'type'") != std::string::npos);
  CHECK(detail({{"type", "wallet"}, {"command", "open"}}).find("'id'") != std::string::npos);
  CHECK(detail({{"type", "wallet"}, {"id", "1"}}).find("'command'") != std::string::npos);
  CHECK(detail(with(open("1"), "body", 1)).find("\"body\"") != std::string::npos);
  CHECK(detail(with(open("1"), "key", "")).find("'key'") != std::string::npos);
  CHECK_FALSE(detail(with(open("1"), "expected_version", -1)).empty());
  CHECK_FALSE(detail(with(open("1"), "id", 1)).empty());
  CHECK_FALSE(detail(5).empty());
}

TEST_CASE("commands: payloads reach the aggregate as they stand") {
  const auto items =
      read_command_array(R"([ {"type":"t","id":"i","command":"c","data": {"a" : [1, 2]} ,)"
                         R"("key":"k","expected_version":3} ])",
                         "me");
  REQUIRE(items);
  const auto& call = items->front().value();
  CHECK(call.body == R"({"a" : [1, 2]})");
  CHECK(call.key == "k");
  CHECK(call.principal == "me");
  CHECK(call.expected == Version(3));
  CHECK(read_command_lines("{\"type\":\"t\",\"id\":\"i\",\"command\":\"c\"}", "")->front()->body ==
        "{}");
}

namespace {

/// Calls the handler of POST /v1/commands as the server does, and waits for the answer.
Response post_commands(Router& router, std::string body, std::string_view type) {
  Request request;
  request.method = Method::post;
  request.body = std::move(body);
  request.headers.add("Content-Type", type);
  std::promise<Response> answer;
  router.match(Method::post, "/v1/commands")
      ->route->handler(std::move(request), Responder([&answer](Response response) {
                         answer.set_value(std::move(response));
                       }));
  return answer.get_future().get();
}

}  // namespace

TEST_CASE("commands: what was decided is answered although every thread is taken") {
  ThreadWorkPool full(1, 0);  // the store, which posts to it, is closed before it goes
  TestService service;
  REQUIRE_FALSE(full.post([] {}));
  const Services& real = service.services();
  Services services{real.environment, real.store, real.aggregates, real.projections,
                    real.timers,      full,       real.metrics};
  Router router;
  add_command_routes(router, services);
  const Response whole = post_commands(router, json{open("1")}.dump(), "application/json");
  CHECK(json::parse(whole.body)[0]["status"] == 200);

  Response streamed = post_commands(router, lines({open("2")}), "application/x-ndjson");
  std::promise<Chunk> chunk;
  streamed.stream->next([&chunk](Result<Chunk> next) { chunk.set_value(*std::move(next)); });
  const Chunk got = chunk.get_future().get();
  CHECK(got.last);
  CHECK(parse_lines(got.bytes).front()["status"] == 200);
}

TEST_CASE("commands: those in flight when all but the store has ended complete, and go nowhere") {
  using keelson::test::DiskCall;
  for (const std::string_view type : {"application/json", "application/x-ndjson"}) {
    CAPTURE(type);
    keelson::test::SimulatedFileSystem disk(1);
    TestService service({.apply = false, .files = &disk});
    std::promise<void> syncing;
    std::promise<void> release;
    disk.set_fault([&, once = false, go_on = release.get_future().share()](
                       DiskCall call, const std::string&) mutable -> std::optional<Errc> {
      if (call == DiskCall::sync) {
        if (!std::exchange(once, true)) syncing.set_value();
        go_on.wait();
      }
      return std::nullopt;
    });
    RawClient client(service.port());
    const std::string body =
        type == "application/json" ? json{open("1")}.dump() : lines({open("1")});
    client.send(
        "POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + std::string(type) +
        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    syncing.get_future().wait();
    service.end_but_store();
    // The head of a streamed answer may have gone before; no outcome has.
    CHECK(client.receive_all().find("outcome") == std::string::npos);
    release.set_value();
    service.store.close();
  }
}
