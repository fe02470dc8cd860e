#include "samples/bank/importer.h"

#include <doctest/doctest.h>

#include "samples/bank/generator.h"
#include "tests/samples/bank/text_source.h"
#include "tests/samples/bank/unreliable_bank.h"

namespace bank::test {

namespace {

constexpr std::uint64_t kRows = 1000;
constexpr std::uint32_t kAccounts = 40;

std::string transactions() {
  std::string text = csv_header();
  TransactionGenerator generator({.accounts = kAccounts, .rows = kRows, .seed = 4});
  while (const auto row = generator.next()) append_csv(text, *row);
  return text;
}

ImportReport import(const UnreliableBank& server, const std::string& csv,
                    ImportOptions options = {}) {
  options.url = server.url();
  auto reader = TransactionReader::open("file.csv", text_source(csv, 4096));
  REQUIRE(reader.has_value());
  return Importer(std::move(options), *std::move(reader)).run();
}

}  // namespace

TEST_CASE(
    "importer: lost connections, lost answers and refusals for now change nothing in the end") {
  const std::string csv = transactions();
  for (const bool single : {false, true}) {
    CAPTURE(single);
    ImportOptions options;
    options.in_flight = 48;
    options.connections = 4;
    options.single = single;
    std::map<std::string, std::int64_t> expected;
    {
      UnreliableBank calm({});
      const ImportReport report = import(calm, csv, options);
      CHECK(report.good());
      CHECK(report.applied == kRows);
      CHECK(report.accounts_opened == kAccounts);
      CHECK(report.repeats == 0);
      expected = calm.balances();
    }
    UnreliableBank server({.trouble_percent = 3});
    const ImportReport report = import(server, csv, options);
    CHECK(report.good());
    CHECK(report.rows == kRows);
    CHECK(report.balances_met == kRows);
    CHECK(report.applied + report.replayed == kRows);
    CHECK(report.repeats > 0);
    CHECK(server.troubles() > 10);
    CHECK(server.effects() == kRows + kAccounts);
    CHECK(server.balances() == expected);

    const ImportReport again = import(server, csv, options);
    CHECK(again.good());
    CHECK(again.replayed == kRows);
    CHECK(again.applied == 0);
    CHECK(server.effects() == kRows + kAccounts);
  }
}

TEST_CASE("importer: commands go where they are sent on to, and from then on at once") {
  const std::string csv = transactions();
  for (const bool single : {false, true}) {
    CAPTURE(single);
    UnreliableBank leader({});
    UnreliableBank follower({.leader = leader.url().authority()});
    ImportOptions options;
    options.in_flight = 48;
    options.connections = 4;
    options.single = single;
    const ImportReport report = import(follower, csv, options);
    CHECK(report.good());
    CHECK(report.balances_met == kRows);
    CHECK(leader.effects() == kRows + kAccounts);
    CHECK(follower.effects() == 0);
    CHECK(report.repeats <= kAccounts);
  }
}

TEST_CASE("importer: it gives up when it is sent on to no address") {
  const std::string csv = "date,account_id,trans_id,delta,balance_after\n1993-01-05,1,a,5,5\n";
  ImportOptions options;
  options.retry = std::chrono::seconds(0);
  UnreliableBank server({.leader = "no address"});
  const ImportReport report = import(server, csv, options);
  REQUIRE(report.stopped.has_value());
  CHECK(report.stopped->context == "gave up after 0 s: 307");
}

TEST_CASE(
    "importer: a balance that differs and a row refused for ever are told, and the rest goes on") {
  const std::string csv =
      "date,account_id,trans_id,delta,balance_after\n"
      "1993-01-05,1,a,5,5\n"
      "1993-01-05,2,b,7,8\n"
      "1993-01-05,1,c,-2,3\n"
      "1993-01-05,1,d,-1,2\n"
      "1993-01-06,2,e,1,8\n";
  UnreliableBank server({.refused_key = "c"});
  const ImportReport report = import(server, csv);
  CHECK_FALSE(report.good());
  CHECK(report.rows == 5);
  CHECK(report.failed == 1);
  CHECK(report.balances_met == 2);
  REQUIRE(report.problem_count == 3);
  std::map<std::uint64_t, std::string> problems;
  for (const ImportProblem& problem : report.problems) problems[problem.line] = problem.what;
  CHECK(problems[3] == "the balance is 7, the file says 8");
  CHECK(problems[4] == "409 closed");
  CHECK(problems[5] == "the balance is 4, the file says 2");
}

TEST_CASE("importer: what comes before a row that cannot be read is imported") {
  UnreliableBank server({});
  const ImportReport report = import(server,
                                     "date,account_id,trans_id,delta,balance_after\n"
                                     "1993-01-05,1,a,5,5\n"
                                     "1993-01-05,1,b,5,10\n"
                                     "1993-01-05,1,c,five,15\n"
                                     "1993-01-05,1,d,5,20\n");
  CHECK(report.rows == 2);
  REQUIRE(report.stopped.has_value());
  CHECK(report.stopped->context == "file.csv: line 4, column delta: 'five' is no 64-bit integer");
  CHECK(server.balances() == std::map<std::string, std::int64_t>{{"1", 10}});
}

TEST_CASE("importer: it stops at a server that refuses it, or has nothing but excuses") {
  const std::string csv = "date,account_id,trans_id,delta,balance_after\n1993-01-05,1,a,5,5\n";
  ImportOptions options;
  options.retry = std::chrono::seconds(0);
  {
    UnreliableBank server({.status = 401});
    const ImportReport report = import(server, csv);
    REQUIRE(report.stopped.has_value());
    CHECK(report.stopped->context == "the server answered 401 told_to: as the test wants");
    CHECK(report.rows == 0);
  }
  UnreliableBank server({.status = 503});
  const ImportReport report = import(server, csv, options);
  REQUIRE(report.stopped.has_value());
  CHECK(report.stopped->context == "gave up after 0 s: 503 told_to: as the test wants");
}

TEST_CASE("import report: the problems shown are bounded, their number is not") {
  ImportReport report;
  for (std::uint64_t i = 0; i < 1000; ++i) report.add_problem({i, "1", "k", "x"});
  CHECK(report.problems.size() == ImportReport::kProblemsMax);
  CHECK(report.problem_count == 1000);
  CHECK(to_table(report, "f").find("… and 980 more") != std::string::npos);
  CHECK(to_json(report, "f").find(R"("problem_count":1000)") != std::string::npos);
}

}  // namespace bank::test
