#include "samples/bank/transfer.h"

#include <doctest/doctest.h>

#include "aggregates/kit.h"

namespace bank::test {

using keelson::aggregates::decode;
using keelson::aggregates::given;
using keelson::aggregates::Refusal;
using keelson::aggregates::Step;

namespace {

const Day kDay = *Day::parse("1993-01-05");
const Context kReaction{.id = "1", .principal = "$reaction/x"};

Transfer::Request request(std::int64_t amount, std::string from = "a", std::string to = "b") {
  return {AccountId{std::move(from)}, AccountId{std::move(to)}, amount, {}, kDay};
}
Transfer::Requested requested() { return {AccountId{"a"}, AccountId{"b"}, 5, {}, kDay}; }

Cause cause_at(std::string id) {
  Cause cause;
  cause.id = std::move(id);
  return cause;
}

/// `account-b receive_transfer`, of the only step there is.
std::string only_step(const Steps& steps) {
  REQUIRE(steps.all().size() == 1);
  const Step& step = steps.all()[0];
  return step.type() + "-" + step.id() + " " + step.command();
}

}  // namespace

TEST_CASE("transfer: is requested once, between two accounts, of a positive amount") {
  given<Transfer>().when(request(5)).then(requested());
  given<Transfer>(requested()).when(request(5)).then_refused("already_requested");
  given<Transfer>(requested(), Transfer::Completed{})
      .when(request(5))
      .then_refused("already_requested");
  given<Transfer>().when(request(0)).then_refused("amount_not_positive");
  given<Transfer>().when(request(-5)).then_refused("amount_not_positive");
  given<Transfer>().when(request(5, "a", "a")).then_refused("same_account");
}

TEST_CASE("transfer: ends once, and only by a reaction") {
  const auto pending = given<Transfer>(requested());
  pending.when(Transfer::Complete{}, kReaction).then(Transfer::Completed{});
  pending.when(Transfer::Fail{"closed"}, kReaction).then(Transfer::Failed{"closed"});
  const auto refunded = pending.when(Transfer::Refund{"closed"}, kReaction);
  refunded.then(Transfer::Refunded{"closed"});
  CHECK(refunded.state().status == Transfer::Status::refunded);
  CHECK(refunded.state().reason == "closed");
  for (const auto& ended : {given<Transfer>(), given<Transfer>(requested(), Transfer::Completed{}),
                            given<Transfer>(requested(), Transfer::Failed{"x"}),
                            given<Transfer>(requested(), Transfer::Refunded{"x"})}) {
    ended.when(Transfer::Complete{}, kReaction).then_refused("not_pending");
    ended.when(Transfer::Fail{"x"}, kReaction).then_refused("not_pending");
    ended.when(Transfer::Refund{"x"}, kReaction).then_refused("not_pending");
  }
  pending.when(Transfer::Complete{}).then_refused("not_for_clients");
  pending.when(Transfer::Fail{"x"}).then_refused("not_for_clients");
  pending.when(Transfer::Refund{"x"}).then_refused("not_for_clients");
}

TEST_CASE("transfer: an account that could be none is refused before money moves") {
  for (const std::string& bad : {std::string(), std::string(201, 'a'), std::string("a\\u0000")}) {
    CAPTURE(bad);
    const std::string text = R"({"from":"a","to":")" + bad + R"(","amount":5})";
    CHECK_FALSE(decode<Transfer::Request>(std::string_view(text)).has_value());
  }
  CHECK(decode<Transfer::Request>(R"({"from":"a","to":"b","amount":5})").has_value());
}

TEST_CASE("transfer: a source that refuses fails it, and nothing else is asked") {
  const Steps start = StartTransfer::react(requested(), cause_at("t"));
  CHECK(only_step(start) == "account-a send_transfer");
  CHECK(start.all()[0].after_accepted()->all().empty());  // the next reaction goes on
  CHECK(only_step(*start.all()[0].after_refused(Refusal{"closed", ""})) == "transfer-t fail");
}

TEST_CASE("transfer: money sent arrives and is settled, or is returned and refunded") {
  const Account::TransferSent sent{"t", AccountId{"b"}, 5, Currency{"CZK"}, 0, kDay, {}};
  const Steps carry = CarryTransfer::react(sent, cause_at("a"));
  CHECK(only_step(carry) == "account-b receive_transfer");

  const auto settled = *carry.all()[0].after_accepted();
  CHECK(only_step(settled) == "account-a settle_transfer");
  CHECK(only_step(*settled.all()[0].after_accepted()) == "transfer-t complete");

  const auto returned = *carry.all()[0].after_refused(Refusal{"closed", ""});
  CHECK(only_step(returned) == "account-a return_transfer");
  CHECK(only_step(*returned.all()[0].after_accepted()) == "transfer-t refund");
  CHECK(returned.all()[0].body().find(R"("reason":"closed")") != std::string::npos);
}

}  // namespace bank::test
