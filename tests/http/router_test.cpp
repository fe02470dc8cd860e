#include "http/router.h"

#include <doctest/doctest.h>

using namespace keelson;
using namespace keelson::http;

namespace {

void ignore(Request, Responder) {}

void fill(Router& router) {
  router.add(Method::get, "/v1/topics", {}, ignore);
  router.add(Method::put, "/v1/topics/{topic}", {}, ignore);
  router.add(Method::get, "/v1/topics/{topic}", {}, ignore);
  router.add(Method::post, "/v1/topics/{topic}/streams/{stream}", {}, ignore);
  router.add(Method::get, "/v1/aggregates/{type}/{id}/events", {}, ignore);
  router.add(Method::post, "/v1/aggregates/{type}/{id}/{command}", {}, ignore);
}

}  // namespace

TEST_CASE("router: a pattern matches and its parameters are decoded") {
  Router router;
  fill(router);
  const auto match =
      router.match(Method::post, "/v1/topics/bank/streams/account-%C3%BC%2F1?a=1+2&b&c=%26%3D&a=3");
  REQUIRE(match);
  CHECK(match->route->pattern == "/v1/topics/{topic}/streams/{stream}");
  CHECK(match->path_parameters == Parameters{{"topic", "bank"}, {"stream", "account-ü/1"}});
  CHECK(match->query_parameters == Parameters{{"a", "1 2"}, {"b", ""}, {"c", "&="}, {"a", "3"}});
}

TEST_CASE("router: a plus sign in a path is itself") {
  Router router;
  fill(router);
  const auto match = router.match(Method::get, "/v1/topics/a+b");
  REQUIRE(match);
  CHECK(match->path_parameters.front().second == "a+b");
}

TEST_CASE("router: an escaped literal segment is the same segment") {
  Router router;
  fill(router);
  CHECK(router.match(Method::get, "/v1/%74opics"));
}

TEST_CASE("router: an absolute request target is accepted") {
  Router router;
  fill(router);
  CHECK(router.match(Method::get, "http://example.org:80/v1/topics"));
  CHECK(router.match(Method::get, "http://example.org").error().status == 404);
}

TEST_CASE("router: a literal wins over a parameter, for the methods it has") {
  Router router;
  fill(router);
  CHECK(router.match(Method::get, "/v1/aggregates/a/1/events")->route->method == Method::get);
  const auto command = router.match(Method::post, "/v1/aggregates/a/1/events");
  REQUIRE(command);
  CHECK(command->path_parameters.back() == Parameters::value_type{"command", "events"});
}

TEST_CASE("router: HEAD finds GET's route") {
  Router router;
  fill(router);
  CHECK(router.match(Method::head, "/v1/topics")->route->method == Method::get);
}

TEST_CASE("router: an unknown path is 404") {
  Router router;
  fill(router);
  for (const char* target : {"/", "/v1", "/v1/topics/", "/v1/topics//streams/a", "/v1/topics/a/b",
                             "/v1/topics/a/streams/b/c", "//v1/topics", "/v1/topicsx"}) {
    CAPTURE(target);
    const auto match = router.match(Method::get, target);
    REQUIRE_FALSE(match);
    CHECK(match.error().status == 404);
    CHECK(match.error().code == "not-found");
  }
}

TEST_CASE("router: a known path with another method is 405 and lists the methods") {
  Router router;
  fill(router);
  const auto match = router.match(Method::delete_, "/v1/topics/a");
  REQUIRE_FALSE(match);
  CHECK(match.error().status == 405);
  CHECK(match.error().headers.front() ==
        std::pair<std::string, std::string>("Allow", "GET, HEAD, PUT, OPTIONS"));
  CHECK(router.allow("/v1/topics/a") == "GET, HEAD, PUT, OPTIONS");
}

TEST_CASE("router: bad escapes, NUL and what is not UTF-8 are 400") {
  Router router;
  fill(router);
  for (const char* target :
       {"/v1/topics/%", "/v1/topics/%4", "/v1/topics/%zz", "/v1/topics/%00", "/v1/topics/%ff",
        "/v1/topics/%c0%80", "/v1/topics/%ed%a0%80", "/v1/topics/%C3", "/v1/topics?a=%f",
        "/v1/topics?%00=1", "/v1/topics/\xff", "/v1/topics#a", "v1/topics", "", "*"}) {
    CAPTURE(target);
    const auto match = router.match(Method::get, target);
    REQUIRE_FALSE(match);
    CHECK(match.error().status == 400);
    CHECK(match.error().code == "bad-request");
  }
}

TEST_CASE("request: a number in the query must be whole and in range") {
  Request request;
  request.query_parameters = {{"a", "7"},  {"b", "-1"}, {"c", "18446744073709551616"},  {"d", ""},
                              {"e", "7x"}, {"f", " 7"}, {"max", "18446744073709551615"}};
  CHECK(request.query_number("a").value() == 7);
  CHECK(request.query_number("max").value() == UINT64_MAX);
  CHECK(request.query_number("none").value() == std::nullopt);
  for (const char* name : {"b", "c", "d", "e", "f"}) {
    CAPTURE(name);
    CHECK(request.query_number(name).error().code == Errc::bad_request);
  }
  CHECK_FALSE(request.query_number("a", 8, 9));
  CHECK_FALSE(request.query_number("a", 1, 6));
}

TEST_CASE("request: a query parameter that is unknown or doubled is refused") {
  Request request;
  request.query_parameters = {{"limit", "1"}, {"from", "2"}};
  CHECK(request.check_query({"from", "limit"}));
  CHECK_FALSE(request.check_query({"from"}));
  request.query_parameters.emplace_back("limit", "1");
  CHECK_FALSE(request.check_query({"from", "limit"}));
}

TEST_CASE("headers: names are compared without case and repeated fields are joined") {
  Headers headers;
  headers.add("Accept", "a");
  headers.add("X-Other", "b");
  headers.add("ACCEPT", "c");
  CHECK(headers.find("accept") == "a");
  CHECK(headers.joined("Accept") == "a, c");
  CHECK(headers.count("aCCept") == 2);
  CHECK(headers.find("none") == std::nullopt);
  CHECK(headers.joined("none") == std::nullopt);
}
