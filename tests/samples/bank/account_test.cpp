#include "samples/bank/account.h"

#include <doctest/doctest.h>

#include "aggregates/kit.h"

namespace bank::test {

using keelson::aggregates::decode;
using keelson::aggregates::given;

namespace {

constexpr std::int64_t kMax = INT64_MAX;
const Day kDay = *Day::parse("1993-01-05");
const Context kReaction{.id = "1", .principal = "$reaction/x"};

Account::Opened opened(std::optional<std::int64_t> overdraft_limit = 0) {
  return {"Ada", Currency{"CZK"}, overdraft_limit};
}
Account::Deposited deposited(std::int64_t amount, std::int64_t balance_after) {
  return {amount, balance_after, kDay, {}};
}
Account::Withdrawn withdrawn(std::int64_t amount, std::int64_t balance_after) {
  return {amount, balance_after, kDay, {}};
}
Account::Deposit deposit(std::int64_t amount) { return {amount, {}, kDay}; }
Account::Withdraw withdraw(std::int64_t amount) { return {amount, {}, kDay}; }
Account::SendTransfer send(std::string id, std::int64_t amount) {
  return {std::move(id), AccountId{"2"}, amount, {}, kDay};
}
Account::TransferSent sent(std::string id, std::int64_t amount, std::int64_t balance_after) {
  return {std::move(id), AccountId{"2"}, amount, Currency{"CZK"}, balance_after, kDay, {}};
}
Account::ReceiveTransfer receive(std::int64_t amount, std::string currency = "CZK") {
  return {"t", AccountId{"9"}, amount, Currency{std::move(currency)}, {}, kDay};
}

}  // namespace

TEST_CASE("account: is opened once, and never again after it was closed") {
  given<Account>()
      .when(Account::Open{"Ada", Currency{"CZK"}, 0})
      .then(opened())
      .then_state({.status = Account::Status::open,
                   .owner = "Ada",
                   .currency = "CZK",
                   .overdraft_limit = 0,
                   .balance = 0,
                   .held = {}});
  given<Account>(opened())
      .when(Account::Open{"Ada", Currency{"CZK"}, 0})
      .then_refused("already_open");
  given<Account>(opened(), Account::Closed{})
      .when(Account::Open{"Ada", Currency{"CZK"}, 0})
      .then_refused("closed");
}

TEST_CASE("account: nothing happens to one that is not open") {
  for (const char* reason : {"not_open", "closed"}) {
    const auto account = std::string_view(reason) == "not_open"
                             ? given<Account>()
                             : given<Account>(opened(), Account::Closed{});
    account.when(deposit(1)).then_refused(reason);
    account.when(withdraw(1)).then_refused(reason);
    account.when(Account::Close{}).then_refused(reason);
    account.when(send("t", 1), kReaction).then_refused(reason);
    account.when(receive(1), kReaction).then_refused(reason);
    account.when(deposit(-1)).then_refused(reason);  // before the amount is looked at
  }
}

TEST_CASE("account: movements carry the balance after them and the day they are booked") {
  given<Account>(opened()).when(deposit(100)).then(deposited(100, 100));
  given<Account>(opened(), deposited(100, 100)).when(withdraw(30)).then(withdrawn(30, 70));
  const Context now{.id = "1", .time = keelson::TimeUs(86'400'000'000)};
  given<Account>(opened())
      .when(Account::Deposit{5, "rent", {}}, now)
      .then(Account::Deposited{5, 5, *Day::parse("1970-01-02"), "rent"});
}

TEST_CASE("account: an amount is positive") {
  const auto account = given<Account>(opened(std::nullopt));
  for (const std::int64_t amount : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN}) {
    account.when(deposit(amount)).then_refused("amount_not_positive");
    account.when(withdraw(amount)).then_refused("amount_not_positive");
    account.when(send("t", amount), kReaction).then_refused("amount_not_positive");
    account.when(receive(amount), kReaction).then_refused("amount_not_positive");
  }
}

TEST_CASE("account: an overdraft limit is how far below 0 the balance may go, to the unit") {
  given<Account>(opened(0)).when(withdraw(1)).then_refused("insufficient_funds");
  given<Account>(opened(0), deposited(5, 5)).when(withdraw(5)).then(withdrawn(5, 0));
  given<Account>(opened(10)).when(withdraw(10)).then(withdrawn(10, -10));
  given<Account>(opened(10)).when(withdraw(11)).then_refused("insufficient_funds");
  given<Account>(opened(10), withdrawn(10, -10))
      .when(withdraw(1))
      .then_refused("insufficient_funds");
  given<Account>(opened(kMax)).when(withdraw(kMax)).then(withdrawn(kMax, -kMax));
  // Below what 64 bits hold is below every limit.
  given<Account>(opened(kMax), withdrawn(kMax, -kMax))
      .when(withdraw(kMax))
      .then_refused("insufficient_funds");
}

TEST_CASE("account: without a limit it stops only where 64 bits do") {
  given<Account>(opened(std::nullopt)).when(withdraw(kMax)).then(withdrawn(kMax, -kMax));
  const auto low = given<Account>(opened(std::nullopt), withdrawn(kMax, -kMax));
  low.when(withdraw(1)).then(withdrawn(1, INT64_MIN));
  low.when(withdraw(2)).then_refused("overflow");
  const auto high = given<Account>(opened(std::nullopt), deposited(kMax, kMax));
  high.when(deposit(1)).then_refused("overflow");
  high.when(receive(1), kReaction).then_refused("overflow");
  given<Account>(opened(std::nullopt), deposited(kMax - 1, kMax - 1))
      .when(deposit(1))
      .then(deposited(1, kMax));
}

TEST_CASE("account: it can be closed when it is empty, and nothing of it is under way") {
  given<Account>(opened()).when(Account::Close{}).then(Account::Closed{});
  given<Account>(opened(), deposited(1, 1)).when(Account::Close{}).then_refused("balance_not_zero");
  given<Account>(opened(5), withdrawn(1, -1))
      .when(Account::Close{})
      .then_refused("balance_not_zero");
  given<Account>(opened(), deposited(1, 1), sent("t", 1, 0))
      .when(Account::Close{})
      .then_refused("transfer_pending");
  given<Account>(opened(), deposited(1, 1), sent("t", 1, 0), Account::TransferSettled{"t"})
      .when(Account::Close{})
      .then(Account::Closed{});
}

TEST_CASE("account: money sent is held until it is settled or returned") {
  const auto account = given<Account>(opened(), deposited(10, 10));
  account.when(send("t", 11), kReaction).then_refused("insufficient_funds");
  account.when(send("t", 4), kReaction).then(sent("t", 4, 6));

  const auto holding = given<Account>(opened(), deposited(10, 10), sent("t", 4, 6));
  CHECK(holding.when(withdraw(6)).state().held.at("t") == 4);
  holding.when(withdraw(7)).then_refused("insufficient_funds");  // held money is not there
  holding.when(send("t", 1), kReaction).then_refused("transfer_pending");
  CHECK(holding.when(Account::SettleTransfer{"t"}, kReaction).state().held.empty());
  holding.when(Account::SettleTransfer{"u"}, kReaction).then_refused("unknown_transfer");
  const auto returned = holding.when(Account::ReturnTransfer{"t", "closed"}, kReaction);
  returned.then(Account::TransferReturned{"t", "closed", 4, 10, *Day::parse("1970-01-01")});
  CHECK(returned.state().held.empty());
  CHECK(returned.state().balance == 10);
  given<Account>(opened(), deposited(10, 10), sent("t", 4, 6), Account::TransferSettled{"t"})
      .when(Account::ReturnTransfer{"t", "x"}, kReaction)
      .then_refused("unknown_transfer");
}

TEST_CASE("account: room is kept for money that may come back") {
  const auto account = given<Account>(opened(), deposited(kMax, kMax), sent("t", 5, kMax - 5));
  account.when(deposit(1)).then_refused("overflow");
  account.when(receive(1), kReaction).then_refused("overflow");
  account.when(Account::ReturnTransfer{"t", "x"}, kReaction)
      .then(Account::TransferReturned{"t", "x", 5, kMax, *Day::parse("1970-01-01")});
  given<Account>(opened(), deposited(kMax, kMax), sent("t", 5, kMax - 5),
                 Account::TransferSettled{"t"})
      .when(deposit(5))
      .then(deposited(5, kMax));
  // With no overdraft limit more than 64 bits could be held: that is refused as well.
  given<Account>(opened(std::nullopt), sent("t", kMax, -kMax))
      .when(send("u", 1), kReaction)
      .then_refused("overflow");
}

TEST_CASE("account: the transfers under way from one account are bounded") {
  std::vector<Account::Event> history = {opened(std::nullopt)};
  for (std::uint32_t i = 1; i <= Account::kTransfersHeldMax; ++i)
    history.emplace_back(sent("t" + std::to_string(i), 1, -std::int64_t{i}));
  keelson::aggregates::kit::Given<Account>(history)
      .when(send("one more", 1), kReaction)
      .then_refused("too_many_transfers");
  history.pop_back();
  const auto last = keelson::aggregates::kit::Given<Account>(history).when(send("t", 1), kReaction);
  CHECK(last.state().held.size() == Account::kTransfersHeldMax);
  CHECK(decode<Account::State>(keelson::aggregates::encode(last.state())).has_value());
}

TEST_CASE("account: money of another currency is refused") {
  given<Account>(opened()).when(receive(5, "EUR"), kReaction).then_refused("currency_mismatch");
  given<Account>(opened())
      .when(receive(5), kReaction)
      .then(Account::TransferReceived{"t", AccountId{"9"}, 5, 5, kDay, {}});
}

TEST_CASE("account: a client cannot take the steps of a transfer") {
  const auto account = given<Account>(opened(), deposited(10, 10), sent("t", 4, 6));
  for (const auto* principal : {"", "alice", "reaction/x", "$"}) {
    const Context client{.id = "1", .principal = principal};
    account.when(send("u", 1), client).then_refused("not_for_clients");
    account.when(receive(1), client).then_refused("not_for_clients");
    account.when(Account::SettleTransfer{"t"}, client).then_refused("not_for_clients");
    account.when(Account::ReturnTransfer{"t", "x"}, client).then_refused("not_for_clients");
  }
}

TEST_CASE("account: what a request may say is checked where it is read") {
  CHECK(decode<Account::Open>(R"({"owner":"A","currency":"CZK","overdraft_limit":null})")
            ->overdraft_limit == std::nullopt);
  for (const auto* bad : {R"({"owner":"A","currency":"czk","overdraft_limit":0})",
                          R"({"owner":"A","currency":"CZK","overdraft_limit":-1})",
                          R"({"owner":"A","currency":"CZK","overdraft_limit":1.5})",
                          R"({"owner":"A","overdraft_limit":0})"}) {
    CAPTURE(bad);
    CHECK_FALSE(decode<Account::Open>(std::string_view(bad)).has_value());
  }
  for (const auto* bad : {R"({"amount":9223372036854775808})", R"({"amount":"5"})", R"({})",
                          R"({"amount":5,"booked_at":"1993-02-30"})", R"({"amount":5,"extra":1})",
                          R"({"amount":5,"reference":7})"}) {
    CAPTURE(bad);
    CHECK_FALSE(decode<Account::Deposit>(std::string_view(bad)).has_value());
  }
  CHECK(decode<Account::Deposit>(R"({"amount":9223372036854775807})")->amount == kMax);
}

}  // namespace bank::test
