// Opens a store in a fresh folder, runs commands and asks the read model, now and as of the past:
// through the installed headers and libraries alone.
#include <future>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "aggregates/aggregate_host.h"
#include "aggregates/registry.h"
#include "counter.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/base/thread_scheduler.h"
#include "engine/io/posix_file_system.h"
#include "engine/store/store.h"
#include "projections/projection_host.h"

namespace {

/// The value, or the end of the program.
template <class T>
T need(keelson::Result<T> result) {
  if (!result) {
    std::cerr << result.error().message() << '\n';
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void require(bool claim, const char* text) {
  if (claim) return;
  std::cerr << "not so: " << text << '\n';
  std::exit(1);
}

aggregates::CommandReply add(aggregates::AggregateHost& host, const std::string& key, int amount) {
  std::promise<keelson::Result<aggregates::CommandReply>> reply;
  aggregates::CommandCall call{.type = "counter",
                               .id = "a",
                               .command = "add",
                               .body = "{\"amount\":" + std::to_string(amount) + "}",
                               .key = key,
                               .principal = {},
                               .expected = {},
                               .metadata = {}};
  host.execute(std::move(call), [&reply](keelson::Result<aggregates::CommandReply> result) {
    reply.set_value(std::move(result));
  });
  return need(reply.get_future().get());
}

std::string total(const projections::ProjectionHost& host, const keelson::Position& at) {
  return need(host.query("counters", "SELECT total FROM counters WHERE id = ?",
                         nlohmann::json::array({"a"}), at, {}))
      .rows_json;
}

void run(const std::string& folder) {
  keelson::io::PosixFileSystem files;
  keelson::SystemClock clock;
  keelson::SystemRandom random;
  keelson::ThreadScheduler scheduler(2);
  const keelson::Environment environment{files, clock, random, scheduler};
  need(files.remove_all(folder));

  keelson::StoreOptions options;
  options.folder = folder + "/log";
  const auto store = need(keelson::Store::open(environment, options));
  keelson::Topic& topic = *need(store->create_topic("counters", {.segment_bytes = 1 << 20}));

  auto deciders = std::make_shared<aggregates::AggregateRegistry>();
  deciders->add<Counter>();
  const auto commands =
      need(aggregates::AggregateHost::open(environment, topic, deciders, nullptr, {}));

  auto read_models = std::make_shared<projections::ProjectionRegistry>();
  read_models->add(counters());
  projections::HostOptions projection_options;
  projection_options.folder = folder + "/read-models";
  const auto queries = need(projections::ProjectionHost::open(
      environment, topic, std::move(read_models), std::move(projection_options)));
  queries->start();

  require(!add(*commands, "k1", 40).outcome.replayed, "the first command is new");
  const keelson::Position before = topic.end();
  require(add(*commands, "k2", 2).version == keelson::Version(2), "the second makes version 2");
  require(add(*commands, "k1", 40).outcome.replayed, "a repeated command is a replay");
  require(add(*commands, "k3", -1).reason == "amount_not_positive", "the domain refuses");

  std::promise<void> applied;
  const auto waiting =
      need(queries->when_applied("counters", topic.end(), [&applied] { applied.set_value(); }));
  applied.get_future().wait();
  require(total(*queries, topic.end()) == "[[42]]", "the total now");
  require(total(*queries, before) == "[[40]]", "the total as of the first command");
  queries->stop();
  store->close();
}

}  // namespace

int main() {
  run("counter-data");
  std::cout << "An installed Keelson counts to 42.\n";
}
