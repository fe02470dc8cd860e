#include "aggregates/registry.h"

#include <doctest/doctest.h>

#include "aggregates/reaction.h"
#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

Event event_of(std::string type, std::string data) {
  Event event;
  event.stream = "wallet-7";
  event.version = Version(3);
  event.offset = Offset(17);
  event.type = std::move(type);
  event.data = std::move(data);
  return event;
}

/// Shapes of `added`, oldest first: `put {sum}`, then `added {sum}`, then today's `added {amount}`.
Upcasters two_generations() {
  Upcasters upcasters;
  upcasters.push_back({"put", {}, [](nlohmann::json data) {
                         return StoredEvent{"added", std::move(data)};
                       }});
  upcasters.push_back({"added", [](const nlohmann::json& data) { return data.contains("sum"); },
                       [](nlohmann::json data) {
                         return StoredEvent{"added", {{"amount", data.at("sum")}}};
                       }});
  return upcasters;
}

struct Thrower {
  static constexpr std::string_view kType = "thrower";
  struct State {};
  struct Do {
    static constexpr std::string_view kName = "do";
    std::int64_t what = 0;
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
    if (command.what == 0) throw std::out_of_range("no such thing");
    if (command.what == 1) return Done{"too long"};
    return std::vector<Event>{};
  }
  static State evolve(State, const Done&) { throw std::runtime_error("cannot"); }
};

struct Audit {
  static constexpr std::string_view kName = "audit";
  using Source = Wallet;
  static Steps react(const Wallet::Added& event, const Cause& cause) {
    return ask<Wallet>("audit", Wallet::Put{event.amount, cause.id})
        .on_refused([](const Refusal& refusal) -> Steps {
          if (refusal.reason == "bad") throw std::runtime_error("badly");
          return ask<Wallet>("audit", Wallet::Open{});
        });
  }
  static Steps react(const Wallet::Closed&, const Cause&) { throw std::runtime_error("no"); }
};

}  // namespace

TEST_CASE("registry: a type tells its commands, events, refusals and shapes") {
  AggregateRegistry registry;
  registry.add<Wallet>();
  REQUIRE(registry.find("wallet") != nullptr);
  CHECK(registry.find("purse") == nullptr);
  const AggregateInfo& info = registry.find("wallet")->info();
  CHECK(info.summary == "Money in one pocket");
  REQUIRE(info.commands.size() == 4);
  CHECK(info.commands[0].name == "open");
  CHECK(info.commands[0].summary == "Starts the wallet");
  CHECK(info.commands[1].schema == schema<Wallet::Put>());
  REQUIRE(info.events.size() == 4);
  CHECK(info.events[2].type == "taken");
  CHECK(info.refusals.size() == 4);
  CHECK(info.state_schema == schema<Wallet::State>());
}

TEST_CASE("registry: the code version changes with the user's word and with the shapes") {
  AggregateRegistry one;
  one.add<Wallet>();
  AggregateRegistry two;
  two.add<Wallet>({.code_version = "2"});
  AggregateRegistry three;
  three.add<Thrower>();
  const auto& version = one.find("wallet")->info().code_version;
  CHECK(version.starts_with("1-"));
  CHECK(two.find("wallet")->info().code_version == "2" + version.substr(1));
  CHECK(three.find("thrower")->info().code_version != version);
}

TEST_CASE("upcasters: a chain brings any old shape to the newest, on reading") {
  AggregateRegistry registry;
  registry.add<Wallet>({.upcasters = two_generations()});
  const AggregateType& wallet = *registry.find("wallet");
  const auto state = wallet.initial();
  for (const auto& [type, data] : {std::pair{"put", R"({"sum":1})"},
                                   {"added", R"({"sum":10})"},
                                   {"added", R"({"amount":100,"note":null})"}}) {
    CHECK(wallet.evolve(*state, event_of(type, data).view()).has_value());
  }
  CHECK(state->to_json() == R"({"open":false,"balance":111})");
}

TEST_CASE("upcasters: an unknown type, an unknown shape and a throwing upcaster name the event") {
  AggregateRegistry registry;
  registry.add<Wallet>({.upcasters = two_generations()});
  const AggregateType& wallet = *registry.find("wallet");
  const auto problem = [&](std::string type, std::string data) {
    const auto state = wallet.initial();
    const auto done = wallet.evolve(*state, event_of(std::move(type), std::move(data)).view());
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().code == Errc::unsupported_format);
    return done.error().context;
  };
  CHECK(problem("lost", "{}") == "wallet-7@3 (lost, offset 17): no such event type is known");
  CHECK(problem("added", R"({"amount":1,"x":1})") ==
        "wallet-7@3 (added, offset 17): x: unknown member");
  CHECK(problem("added", "{").starts_with("wallet-7@3 (added, offset 17): not valid JSON"));
  CHECK(problem("added", R"([])").starts_with("wallet-7@3 (added, offset 17): expected an object"));

  AggregateRegistry throwing;
  throwing.add<Wallet>({.upcasters = {{"old", {}, [](nlohmann::json data) {
                                         return StoredEvent{"added", data.at("no such member")};
                                       }}}});
  const auto state = throwing.find("wallet")->initial();
  const auto done = throwing.find("wallet")->evolve(*state, event_of("old", "{}").view());
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().context.starts_with("wallet-7@3 (old, offset 17): upcaster threw"));
}

TEST_CASE("registry: exceptions of the user's functions become errors") {
  AggregateRegistry registry;
  registry.add<Thrower>();
  const AggregateType& type = *registry.find("thrower");
  const auto decided = [&](int what) {
    const std::string body = R"({"what":)" + std::to_string(what) + '}';
    const auto command = type.read_command("do", JsonDocument::parse(body).value());
    REQUIRE(command.has_value());
    const auto result = type.decide(*type.initial(), **command, {});
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::internal);
    return result.error().context;
  };
  CHECK(decided(0) == "decide threw: no such thing");
  CHECK(decided(1).starts_with("decide made an event 'done' that cannot be read back: text:"));
  CHECK(decided(2) == "decide gave neither an event nor a refusal");

  const auto state = type.initial();
  const auto evolved = type.evolve(*state, event_of("done", R"({"text":"a"})").view());
  REQUIRE_FALSE(evolved.has_value());
  CHECK(evolved.error().code == Errc::internal);
}

TEST_CASE("registry: commands are found by name and checked") {
  AggregateRegistry registry;
  registry.add<Wallet>();
  const AggregateType& type = *registry.find("wallet");
  const auto read = [&](std::string_view name, std::string_view body) {
    return type.read_command(name, JsonDocument::parse(body).value());
  };
  CHECK(read("put", R"({"amount":1})").has_value());
  CHECK(read("push", R"({"amount":1})").error().code == Errc::not_found);
  CHECK(read("put", R"({"amount":"1"})").error().code == Errc::bad_request);
}

TEST_CASE("reaction: an overload makes steps, other events are passed over") {
  AggregateRegistry registry;
  registry.add<Wallet>({.upcasters = two_generations()});
  ReactionRegistry reactions;
  reactions.add<Audit>();
  const ReactionType& audit = *reactions.reactions().front();
  const AggregateType& wallet = *registry.find("wallet");
  CHECK(audit.name() == "audit");
  CHECK(audit.source() == "wallet");

  const auto steps = audit.react(wallet, event_of("put", R"({"sum":5})").view());
  REQUIRE(steps.has_value());
  REQUIRE(steps->all().size() == 1);
  const Step& step = steps->all().front();
  CHECK(step.type() == "wallet");
  CHECK(step.id() == "audit");
  CHECK(step.command() == "put");
  CHECK(step.body() == R"({"amount":5,"note":"7"})");
  CHECK(step.after_accepted().value().all().empty());
  CHECK(step.after_refused(refuse("not_open")).value().all().front().command() == "open");
  CHECK(step.after_refused(refuse("bad")).error().code == Errc::internal);

  CHECK(audit.react(wallet, event_of("opened", "{}").view()).value().all().empty());
  CHECK(audit.react(wallet, event_of("taken", "not read").view()).value().all().empty());
  CHECK(audit.react(wallet, event_of("closed", "{}").view()).error().code == Errc::internal);
  CHECK(audit.react(wallet, event_of("lost", "{}").view()).error().code ==
        Errc::unsupported_format);
}

TEST_CASE("reaction: what an upcaster makes of an event counts, and not what it is stored as") {
  Upcasters upcasters;
  upcasters.push_back({"opened", [](const nlohmann::json& data) { return data.contains("sum"); },
                       [](nlohmann::json data) {
                         return StoredEvent{"added", {{"amount", data.at("sum")}}};
                       }});
  AggregateRegistry registry;
  registry.add<Wallet>({.upcasters = upcasters});
  ReactionRegistry reactions;
  reactions.add<Audit>();
  const ReactionType& audit = *reactions.reactions().front();
  const auto steps_for = [&](const char* data) {
    return audit.react(*registry.find("wallet"), event_of("opened", data).view()).value().all();
  };
  CHECK(steps_for(R"({"sum":5})").size() == 1);
  CHECK(steps_for("{}").empty());
}

}  // namespace keelson::test
