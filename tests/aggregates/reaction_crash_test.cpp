// A saga whose process is killed again and again.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <random>
#include <string>

#include "tests/aggregates/reacting.h"

namespace keelson::test {

namespace {

constexpr int kWallets = 5;
constexpr int kMoves = 40;
constexpr std::int64_t kStartMoney = 100;

/// A host on the store in `folder`, as a program of its own would have it.
struct Program {
  explicit Program(const std::string& folder) {
    StoreOptions options;
    options.folder = folder;
    store = Store::open(environment.get(), options).value();
    TopicOptions topic_options;
    topic_options.partitions = 3;
    topic_options.segment_bytes = 1u << 20;
    topic = store->create_topic("test", topic_options).value();
    host = AggregateHost::open(environment.get(), *topic, wallets_and_moves(),
                               reactions<CarryMove>(), {})
               .value();
  }

  /// Repeated in every life with the same keys: whatever a killed life left undone is done.
  void ask(CommandCall call, std::string key) {
    call.key = std::move(key);
    host->execute(std::move(call), [](const Result<CommandReply>&) {});
  }

  void ask_for_everything() {
    for (int i = 0; i < kWallets; ++i) {
      const std::string id = std::to_string(i);
      ask(wallet(id, "open"), "open");
      ask(wallet(id, "put", R"({"amount":)" + std::to_string(kStartMoney) + "}"), "start");
    }
    for (int i = 0; i < kMoves; ++i) {
      const std::string to = i % 7 == 3 ? "nobody" : std::to_string((i * 3 + 1) % kWallets);
      ask(request(std::to_string(i), std::to_string(i % kWallets), to, 1 + i * 5 % 60), "request");
    }
  }

  RealEnvironment environment;
  std::unique_ptr<Store> store;
  Topic* topic = nullptr;
  std::unique_ptr<AggregateHost> host;
};

/// Lives until it is killed; writes a byte for each event it sees committed.
[[noreturn]] void live(const std::string& folder, int progress) {
  Program program(folder);
  program.host->start_reactions();
  program.ask_for_everything();
  std::uint64_t seen = 0;
  while (true) {
    std::uint64_t end = 0;
    for (std::uint32_t p = 0; p < 3; ++p)
      end += program.topic->partition(PartitionId(p)).end().value;
    for (; seen < end; ++seen) {
      if (::write(progress, "e", 1) != 1) ::_exit(1);
    }
    if (settled(*program.host)) {  // so that the reader does not wait for ever
      ::close(progress);
      while (true) ::pause();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

/// Starts a life and kills it when it has seen `events`, or come to rest. Returns what it has seen.
int kill_after(const std::string& folder, int events) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    live(folder, ends[1]);
  }
  ::close(ends[1]);
  int seen = 0;
  char byte = 0;
  while (seen < events && ::read(ends[0], &byte, 1) == 1) ++seen;
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  ::close(ends[0]);
  return seen;
}

}  // namespace

TEST_CASE("reactions: killed at any moment, a saga does every step once and loses nothing") {
  const TemporaryFolder temporary;
  const std::string folder = temporary.path() + "/data";
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  int events = 5;
  for (int life = 0; life < 12; ++life) {
    events += static_cast<int>(random() % 25);
    kill_after(folder, events);
  }

  Program last(folder);
  last.host->start_reactions();
  last.ask_for_everything();
  eventually([&] { return settled(*last.host); });

  std::int64_t total = 0;
  for (int i = 0; i < kWallets; ++i) {
    const auto state = last.host->load("wallet", std::to_string(i), {});
    REQUIRE(state.has_value());
    total += nlohmann::json::parse(state->state).at("balance").get<std::int64_t>();
  }
  CHECK(total == kWallets * kStartMoney);

  int taken = 0;
  int given = 0;
  for (const Event& event : all_events(*last.topic)) {
    if (!event.command_id.starts_with("carry_move:") || !event.stream.starts_with("wallet-")) {
      continue;
    }
    (event.type == "taken" ? taken : given) += 1;
  }
  int paid = 0;
  for (int i = 0; i < kMoves; ++i) {
    const auto state = last.host->load("move", std::to_string(i), {});
    REQUIRE(state.has_value());
    const auto status = nlohmann::json::parse(state->state).at("status");
    CHECK((status == "done" || status == "returned" || status == "failed"));
    if (i % 7 == 3) CHECK(status != "done");
    paid += status == "failed" ? 0 : 1;
  }
  CHECK(paid > kMoves / 4);
  CHECK(taken == paid);
  CHECK(given == paid);
}

}  // namespace keelson::test
