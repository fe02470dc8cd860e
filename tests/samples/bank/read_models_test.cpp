#include "samples/bank/read_models.h"

#include <doctest/doctest.h>

#include <future>
#include <map>
#include <set>

#include "projections/projection_host.h"
#include "tests/samples/bank/bank_host.h"
#include "tests/support/temporary_folder.h"

namespace bank::test {

using keelson::projections::ProjectionHost;
using keelson::projections::ProjectionRegistry;
using Rows = nlohmann::json;

namespace {

/// The bank with its read models.
class ReadBank {
 public:
  explicit ReadBank(std::uint32_t partitions) : bank(partitions) {
    auto registry = std::make_shared<ProjectionRegistry>();
    registry->add(bank_read_models());
    keelson::projections::HostOptions options;
    options.folder = folder_.path();
    auto opened =
        ProjectionHost::open(bank.host().store().environment(), bank.topic(), registry, options);
    if (!opened) FAIL(opened.error().message());
    projections_ = *std::move(opened);
    projections_->start();
    bank.host()->start_reactions();
  }
  ~ReadBank() {
    bank.host()->stop_reactions();
    projections_->stop();
  }

  /// Once everything committed is applied.
  Rows query(const std::string& sql) {
    std::promise<void> applied;
    auto waiting =
        projections_->when_applied("bank", bank.topic().end(), [&applied] { applied.set_value(); });
    REQUIRE(waiting.has_value());
    REQUIRE(applied.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready);
    const auto result = projections_->query("bank", sql, nullptr, std::nullopt, {});
    if (!result) FAIL(result.error().message());
    return Rows::parse(result->rows_json);
  }

  BankHost bank;

 private:
  keelson::test::TemporaryFolder folder_;
  std::unique_ptr<ProjectionHost> projections_;
};

std::string body(std::int64_t amount, const std::string& day) {
  return R"({"amount":)" + std::to_string(amount) + R"(,"booked_at":")" + day + R"("})";
}

}  // namespace

TEST_CASE("read models: after any history they say what the accounts' own states say") {
  constexpr int kAccounts = 10;
  ReadBank read(4);
  BankHost& bank = read.bank;
  for (int i = 0; i < kAccounts; ++i) bank.open_account(std::to_string(i));
  std::uint64_t dice = 7;
  const auto roll = [&dice](std::uint64_t count) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % count;
  };
  std::set<std::string> transfers;
  for (int i = 0; i < 600; ++i) {
    const std::string account = std::to_string(roll(kAccounts));
    const auto amount = static_cast<std::int64_t>(roll(100) + 1);
    const std::string day = "1993-01-1" + std::to_string(roll(10));
    const std::string key = "k" + std::to_string(i);
    // What is refused leaves no trace, and is part of the test.
    if (roll(5) == 0) {
      const std::string to = std::to_string(roll(kAccounts + 1));
      const auto reply = bank.execute("transfer", key, "request",
                                      R"({"from":")" + account + R"(","to":")" + to +
                                          R"(","amount":)" + std::to_string(amount) + "}");
      REQUIRE(reply.has_value());
      if (!reply->outcome.rejected) transfers.insert(key);
    } else {
      REQUIRE(
          bank.execute("account", account, roll(3) == 0 ? "withdraw" : "deposit", body(amount, day))
              .has_value());
    }
  }
  for (const auto& id : transfers) bank.await([&] { return bank.has_ended(id); });

  Rows balances = Rows::array();
  for (int i = 0; i < kAccounts; ++i) {
    const std::string id = std::to_string(i);
    const auto loaded = bank.host()->load("account", id, {});
    REQUIRE(loaded.has_value());
    balances.push_back(
        {id, id, "CZK", bank.state("account", id).at("balance"), loaded->version.value});
  }
  CHECK(read.query("SELECT account_id, owner, currency, balance, version FROM balances "
                   "ORDER BY account_id") == balances);

  const Rows chained = read.query(R"sql(
    SELECT count(*) FROM (
      SELECT balance_after - CASE WHEN kind IN ('deposit', 'transfer_in', 'transfer_returned')
                                  THEN amount ELSE -amount END AS balance_before,
             lag(balance_after, 1, 0) OVER (PARTITION BY account_id ORDER BY version) AS expected
      FROM statements)
    WHERE balance_before <> expected)sql");
  CHECK(chained == Rows::parse("[[0]]"));
  CHECK(read.query("SELECT sum(balance) FROM balances") ==
        read.query("SELECT sum(credits) - sum(debits) FROM daily_totals"));
  CHECK(read.query("SELECT count(*) FROM statements") ==
        read.query("SELECT sum(count) FROM daily_totals"));
  CHECK(read.query("SELECT day, sum(credits) FROM daily_totals GROUP BY day ORDER BY day") ==
        read.query("SELECT booked_at, sum(CASE WHEN kind IN ('deposit', 'transfer_in', "
                   "'transfer_returned') THEN amount ELSE 0 END) "
                   "FROM statements GROUP BY booked_at ORDER BY booked_at"));

  for (const auto& row : read.query("SELECT transfer_id, status, reason FROM transfers")) {
    const auto state = bank.state("transfer", row[0].get<std::string>());
    CHECK(state.at("status") == row[1]);
    CHECK(state.at("reason") == (row[2].is_null() ? Rows("") : row[2]));
    transfers.erase(row[0].get<std::string>());
  }
  CHECK(transfers.empty());
  CHECK(read.query("SELECT DISTINCT status FROM transfers ORDER BY 1") ==
        Rows::parse(R"([["completed"],["failed"],["refunded"]])"));
  CHECK(read.query("SELECT count(*) FROM held") == Rows::parse("[[0]]"));
}

TEST_CASE("read models: an account that is closed leaves balances and keeps its statements") {
  ReadBank read(1);
  read.bank.open_account("1", 5);
  read.bank.accept("account", "1", "withdraw", R"({"amount":5,"booked_at":"1993-01-05",
                                                   "reference":"all of it"})");
  read.bank.accept("account", "1", "close", "{}");
  CHECK(read.query("SELECT count(*) FROM balances") == Rows::parse("[[0]]"));
  CHECK(read.query("SELECT version, kind, amount, balance_after, reference FROM statements "
                   "WHERE account_id = '1' ORDER BY version") ==
        Rows::parse(R"([[2,"deposit",5,5,null],[3,"withdrawal",5,0,"all of it"]])"));
}

TEST_CASE("read models: amounts too large to be summed do not halt them") {
  ReadBank read(1);
  for (const char* id : {"1", "2", "3"}) {
    read.bank.open_account(id);
    read.bank.accept("account", id, "deposit", body(INT64_MAX, "1993-01-05"));
  }
  CHECK(read.query("SELECT credits, debits, count FROM daily_totals") ==
        Rows::parse("[[9223372036854775807,0,3]]"));
  CHECK(read.query("SELECT count(*) FROM balances WHERE balance = 9223372036854775807") ==
        Rows::parse("[[3]]"));
}

}  // namespace bank::test
