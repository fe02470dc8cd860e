#include "aggregates/kit.h"

#include <doctest/doctest.h>

#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

using W = Wallet;

/// The text of the failure that `claim` throws; empty when it holds.
std::string failure_of(const auto& claim) {
  try {
    claim();
  } catch (const kit::Failure& failure) {
    return failure.what();
  }
  return {};
}

struct Sloppy {
  static constexpr std::string_view kType = "sloppy";
  static constexpr std::array<std::string_view, 1> kRefusals = {"known"};
  struct State {};
  struct Do {
    static constexpr std::string_view kName = "do";
    int what = 0;
    static constexpr auto kFields = fields(field("what", &Do::what));
  };
  struct Done {
    static constexpr std::string_view kType = "done";
    std::string text;
    static constexpr auto kFields = fields(field("text", &Done::text, {.length_max = 2}));
  };
  using Command = std::variant<Do>;
  using Event = std::variant<Done>;
  static Decision<Event> decide(const State&, const Do& command, const Context&) {
    if (command.what == 0) return std::vector<Event>{};
    if (command.what == 1) return Done{"too long"};
    return refuse("unknown");
  }
  static State evolve(State state, const Done&) { return state; }
};

}  // namespace

TEST_CASE("kit: claims that hold say nothing") {
  given<W>(W::Opened{}, W::Added{100, {}})
      .then_state({.open = true, .balance = 100})
      .when(W::Take{30})
      .then(W::Taken{30})
      .then_state({.open = true, .balance = 70});
  given<W>(W::Opened{}, W::Added{5, {}}).when(W::Empty{}).then(W::Taken{5}, W::Closed{});
  given<W>().when(W::Put{1, {}}).then_refused("not_open").then_state({});
}

TEST_CASE("kit: a claim that does not hold says what was expected and what happened") {
  const auto taken = [] { return given<W>(W::Opened{}, W::Added{9, {}}).when(W::Take{3}); };
  CHECK(failure_of([&] { taken().then(W::Taken{4}); }) ==
        "expected:\n  taken {\"amount\":4}\nhappened:\n  taken {\"amount\":3}\n");
  CHECK(failure_of([&] { taken().then(); }).starts_with("expected:\n  nothing\n"));
  CHECK(failure_of([&] { taken().then(W::Taken{3}, W::Closed{}); }) != "");
  CHECK(failure_of([&] {
          taken().then_refused("not_open");
        }).starts_with("expected:\n  refused: not_open\nhappened:\n  taken"));
  CHECK(failure_of([&] { taken().then_state({.open = true, .balance = 7}); }) ==
        "expected:\n  {\"open\":true,\"balance\":7}\nhappened:\n  "
        "{\"open\":true,\"balance\":6}\n");
  CHECK(failure_of([&] { given<W>(W::Opened{}).then_state({}); }) != "");
  const auto refused = [] { return given<W>(W::Opened{}).when(W::Take{3}); };
  CHECK(failure_of([&] {
          refused().then(W::Taken{3});
        }).ends_with("happened:\n  refused: insufficient_funds (the balance is 0)\n"));
  CHECK(failure_of([&] { refused().then_refused("overflow"); }) != "");
}

TEST_CASE("kit: finds what the host would refuse to write") {
  CHECK(failure_of([] { (void)given<Sloppy>().when(Sloppy::Do{0}); }) ==
        "decide gave neither an event nor a refusal");
  CHECK(failure_of([] {
          (void)given<Sloppy>().when(Sloppy::Do{1});
        }).starts_with("done cannot be read back: text: expected a string of at most 2"));
  CHECK(failure_of([] { given<Sloppy>().when(Sloppy::Do{2}).then_refused("unknown"); }) ==
        "'unknown' is not among kRefusals");
}

}  // namespace keelson::test
