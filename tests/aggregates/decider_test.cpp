#include "aggregates/decider.h"

#include <doctest/doctest.h>

#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

constexpr Context kContext{.id = "1"};

/// The same rules as one function over the variant each.
struct Switch {
  static constexpr std::string_view kType = "switch";
  struct State {
    bool on = false;
    static constexpr auto kFields = fields(field("on", &State::on));
  };
  struct Flip {
    static constexpr std::string_view kName = "flip";
  };
  struct Flipped {
    static constexpr std::string_view kType = "flipped";
  };
  using Command = std::variant<Flip>;
  using Event = std::variant<Flipped>;

  static Decision<Event> decide(const State&, const Command& command, const Context&) {
    return std::visit(overloaded{[](const Flip&) -> Decision<Event> { return Flipped{}; }},
                      command);
  }
  static State evolve(State state, const Event&) {
    state.on = !state.on;
    return state;
  }
};

}  // namespace

TEST_CASE("decider: an overload per command decides events or a refusal") {
  check_decider<Wallet>();
  Wallet::State state;
  const auto refused = detail::call_decide<Wallet>(state, Wallet::Put{5, {}}, kContext);
  REQUIRE(!refused.accepted());
  CHECK(refused.refusal().reason == "not_open");

  state = detail::call_evolve<Wallet>(state, Wallet::Opened{});
  state = detail::call_evolve<Wallet>(state, Wallet::Added{5, {}});
  CHECK(state.balance == 5);
  const auto emptied = detail::call_decide<Wallet>(state, Wallet::Empty{}, kContext);
  REQUIRE(emptied.accepted());
  REQUIRE(emptied.events().size() == 2);
  CHECK(std::get<Wallet::Taken>(emptied.events()[0]).amount == 5);
  CHECK(std::holds_alternative<Wallet::Closed>(emptied.events()[1]));
}

TEST_CASE("decider: one function over the whole variant serves as well") {
  check_decider<Switch>();
  const auto decision = detail::call_decide<Switch>({}, Switch::Flip{}, kContext);
  REQUIRE(decision.accepted());
  CHECK(detail::call_evolve<Switch>({}, decision.events().front()).on);
}

TEST_CASE("decider: names must be plain words, and distinct") {
  CHECK(detail::is_plain_name("account"));
  CHECK(detail::is_plain_name("a1_b"));
  for (const auto* bad : {"", "Account", "1a", "_a", "a-b", "a b", "a$", "\xc3\xa4"}) {
    CAPTURE(bad);
    CHECK_FALSE(detail::is_plain_name(bad));
  }
  CHECK(detail::are_plain_and_distinct({"a", "b"}));
  CHECK_FALSE(detail::are_plain_and_distinct({"a", "b", "a"}));
}

}  // namespace keelson::test
