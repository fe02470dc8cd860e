#include "http/problem.h"

#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "tests/support/captured_log.h"

using namespace keelson;
using namespace keelson::http;
using keelson::test::CapturedLog;

namespace {

struct Row {
  Errc error;
  unsigned status;
  const char* code;
  bool retry_after;
  bool context_shown;
};

// Every error of the layers below, as docs/http-api.md has it.
constexpr Row kRows[] = {
    {Errc::bad_request, 400, "bad-request", false, true},
    {Errc::not_found, 404, "not-found", false, true},
    {Errc::already_exists, 409, "already-exists", false, true},
    {Errc::version_conflict, 412, "version-conflict", false, true},
    {Errc::idempotency_mismatch, 422, "idempotency-mismatch", false, true},
    {Errc::too_large, 413, "too-large", false, true},
    {Errc::overloaded, 503, "overloaded", true, true},
    {Errc::not_leader, 307, "not-leader", false, false},
    {Errc::not_enough_replicas, 503, "not-enough-replicas", true, true},
    {Errc::outcome_unknown, 504, "outcome-unknown", false, true},
    {Errc::disk_full, 507, "disk-full", false, false},
    {Errc::beyond_end, 400, "beyond-end", false, true},
    {Errc::below_start, 410, "below-start", false, true},
    {Errc::not_caught_up, 503, "not-caught-up", true, true},
    {Errc::halted, 503, "halted", false, true},
    {Errc::timeout, 504, "timeout", false, true},
    {Errc::corruption, 500, "corruption", false, false},
    {Errc::unsupported_format, 500, "unsupported-format", false, false},
    {Errc::locked, 503, "locked", true, false},
    {Errc::io_error, 500, "io-error", false, false},
    {Errc::closed, 503, "stopping", true, false},
    {Errc::internal, 500, "internal", false, false},
};

std::string header(const Response& response, std::string_view name) {
  for (const auto& [known, value] : response.headers) {
    if (known == name) return value;
  }
  return "";
}

}  // namespace

TEST_CASE("problem: every error has its status, its code and something to do") {
  CHECK(std::size(kRows) == static_cast<std::size_t>(Errc::internal) + 1);
  for (const Row& row : kRows) {
    CAPTURE(row.code);
    const Response response =
        to_response(problem_of(Error{row.error, "file /data/x at 7", std::nullopt}));
    CHECK(response.status == row.status);
    CHECK(header(response, "Content-Type") == "application/problem+json");
    CHECK(header(response, "Retry-After") == (row.retry_after ? "1" : ""));
    const auto body = nlohmann::json::parse(response.body);
    CHECK(body.at("type") == std::string("urn:keelson:problem:") + row.code);
    CHECK(body.at("status") == row.status);
    CHECK(body.at("code") == row.code);
    CHECK_FALSE(body.at("title").get<std::string>().empty());
    const auto detail = body.at("detail").get<std::string>();
    CHECK((detail.find("/data/x") != std::string::npos) == row.context_shown);
    CHECK(detail.size() > std::string_view("file /data/x at 7").size());
  }
}

TEST_CASE("problem: what an answer keeps from the client is put in the log") {
  for (const Errc code : {Errc::io_error, Errc::corruption, Errc::internal}) {
    const CapturedLog log;
    const Error error{code, "file /data/x at 7", std::nullopt};
    CHECK(to_json(answered_problem(error)) == to_json(problem_of(error)));
    CHECK(log.has("answered 500: " + error.message()));
  }
  const CapturedLog log;
  CHECK(answered_problem({Errc::not_found, "topic x", std::nullopt}).status == 404);
  CHECK_FALSE(log.has("topic x"));
}

TEST_CASE("problem: of many answers that keep something from the client the log has a few lines") {
  const CapturedLog log;
  // Of a kind that nothing else here answers with.
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) {
    CHECK(answered_problem({Errc::unsupported_format, "file", std::nullopt}).status == 500);
  }
  const auto took = std::chrono::steady_clock::now() - begun;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(took).count();
  CHECK(log.count("answered 500: unsupported_format") >= 10);
  CHECK(log.count("answered 500: unsupported_format") <= 10 * seconds);
  // Another kind of error is not left out for that.
  CHECK(answered_problem({Errc::corruption, "hidden", std::nullopt}).status == 500);
  CHECK(log.has("corruption: hidden"));
}

TEST_CASE("problem: of a full disk there is a line in the log, and not one for each answer") {
  const CapturedLog log;
  CHECK(answered_problem({Errc::disk_full, "first", std::nullopt}).status == 507);
  CHECK(answered_problem({Errc::disk_full, "second", std::nullopt}).status == 507);
  CHECK(log.has("answered 507: disk_full: first"));
  CHECK_FALSE(log.has("second"));
}

TEST_CASE("problem: a version conflict names the stream, what was expected and what is") {
  Error error{Errc::version_conflict, "stream account-1", std::nullopt};
  error.versions = VersionMismatch{"account-1", "18446744073709551615", Version(9)};
  auto body = nlohmann::json::parse(to_json(problem_of(error)));
  CHECK(body.at("stream") == "account-1");
  CHECK(body.at("expected") == UINT64_MAX);
  CHECK(body.at("current") == 9);
  error.versions->expected = "none";
  body = nlohmann::json::parse(to_json(problem_of(error)));
  CHECK(body.at("expected") == "none");
}

TEST_CASE("problem: a detail that is not UTF-8 still makes valid JSON") {
  const auto body = nlohmann::json::parse(to_json(bad_request("bad \xff\"\n byte")));
  CHECK(body.at("detail") == "bad \xEF\xBF\xBD\"\n byte.");
}

TEST_CASE("response: a header value cannot start another header") {
  const Response response = Response(200).header("X-A", "1\r\nX-B: 2\n\0");
  CHECK(response.headers.front().second == "1X-B: 2");
}
