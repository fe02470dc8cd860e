#include "samples/bank/import_wire.h"

#include <doctest/doctest.h>

namespace bank::test {

namespace {

using Kind = CommandAnswer::Kind;

ImportCommand command() {
  ImportCommand made;
  made.account_id = "a/b\"";
  made.name = "deposit";
  made.key = "t1";
  made.data = R"({"amount":5})";
  made.balance_after = 5;
  return made;
}

HttpAnswer answer(unsigned status, std::string body) {
  HttpAnswer made;
  made.status = status;
  made.body = std::move(body);
  return made;
}

}  // namespace

TEST_CASE("import wire: an account id is escaped in a path and in JSON") {
  const HttpRequest single = single_request(command());
  CHECK(single.target == "/v1/aggregates/account/a%2Fb%22/deposit");
  CHECK(single.idempotency_key == "t1");
  const HttpRequest batch = batch_request({command(), command()});
  const std::string line =
      R"({"type":"account","id":"a/b\"","command":"deposit","key":"t1","data":{"amount":5}})";
  CHECK(batch.body == line + "\n" + line + "\n");
  CHECK(batch.content_type == "application/x-ndjson");
}

TEST_CASE("import wire: the balance is that of the last event that tells") {
  const std::string events =
      R"([{"data":{"balance_after":1}},{"data":{"balance_after":-2}},{"data":{}}])";
  const auto read = read_single(answer(200, R"({"outcome":"accepted","events":)" + events + "}"));
  CHECK(read.kind == Kind::accepted);
  CHECK(read.balance_after == -2);
  CHECK_FALSE(read.replayed);
}

TEST_CASE("import wire: what fails for now is told from what fails for ever") {
  for (const unsigned status : {429u, 503u, 504u, 507u})
    CHECK(read_single(answer(status, "{}")).kind == Kind::transient);
  for (const unsigned status : {400u, 409u, 412u, 422u, 500u, 302u})
    CHECK(read_single(answer(status, "{}")).kind == Kind::failed);
  for (const unsigned status : {401u, 403u, 404u, 413u, 415u})
    CHECK(read_single(answer(status, "{}")).kind == Kind::fatal);
  CHECK(read_single(answer(409, R"({"reason":"closed","detail":"no more"})")).detail ==
        "409 closed: no more");
}

TEST_CASE("import wire: who leads is read from an answer and from each outcome") {
  const std::string sent_on = R"({"outcome":"error","status":307,"leader":"b:8080"})";
  CHECK(read_single(answer(307, sent_on)).kind == Kind::elsewhere);
  CHECK(read_single(answer(307, sent_on)).leader == "b:8080");
  CHECK(read_batch(answer(307, sent_on), 2).at(1).leader == "b:8080");
  const auto answers =
      read_batch(answer(200, sent_on + "\n" + R"({"outcome":"accepted","status":200})" + "\n"), 2);
  CHECK(answers.at(0).kind == Kind::elsewhere);
  CHECK(answers.at(0).leader == "b:8080");
  CHECK(answers.at(1).kind == Kind::accepted);
  CHECK(answers.at(1).leader.empty());
}

TEST_CASE("import wire: the nodes of a cluster are read, and nothing else") {
  CHECK(read_cluster(answer(200, R"({"nodes":[{"http_address":"a:1"},{"node":2},7]})")) ==
        std::vector<std::string>{"a:1"});
  CHECK(read_cluster(answer(404, R"({"nodes":[{"http_address":"a:1"}]})")).empty());
  for (const auto* body : {"", "[]", "{}", R"({"nodes":{}})"})
    CHECK(read_cluster(answer(200, body)).empty());
}

TEST_CASE("import wire: no answer of a server makes it throw or believe") {
  for (const auto* body : {"", "x", "[]", "{}", "null", R"({"outcome":1})",
                           R"({"outcome":"rejected"})", R"({"outcome":"accepted","events":7})"}) {
    CAPTURE(body);
    const auto single = read_single(answer(200, body));
    CHECK_FALSE(single.balance_after.has_value());
    for (const auto& one : read_batch(answer(200, body), 2)) CHECK(one.kind == Kind::fatal);
  }
}

TEST_CASE("import wire: a batch answers in lines or as an array, each on its own") {
  const std::string events = R"([{"data":{"balance_after":3}}])";
  const std::string good =
      R"({"outcome":"accepted","status":200,"replayed":true,"events":)" + events + "}";
  const std::string refused = R"({"outcome":"rejected","status":409,"reason":"closed"})";
  const std::string busy = R"({"outcome":"error","status":503,"code":"overloaded"})";
  for (const std::string& body : {good + "\n" + refused + "\n" + busy + "\n",
                                  "[" + good + "," + refused + "," + busy + "]"}) {
    const auto answers = read_batch(answer(200, body), 3);
    REQUIRE(answers.size() == 3);
    CHECK(answers[0].kind == Kind::accepted);
    CHECK(answers[0].replayed);
    CHECK(answers[0].balance_after == 3);
    CHECK(answers[1].kind == Kind::failed);
    CHECK(answers[2].kind == Kind::transient);
  }
  const auto all = read_batch(answer(503, R"({"code":"overloaded"})"), 2);
  CHECK(all.at(1).kind == Kind::transient);
  CHECK(read_batch(answer(400, "{}"), 1).at(0).kind == Kind::fatal);
}

}  // namespace bank::test
