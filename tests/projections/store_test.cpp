// Projections over a real store: its log, its threads, its wake-ups.
#include "tests/support/test_store.h"

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "projections/projection.h"
#include "projections/projection_host.h"

using namespace keelson;
using namespace keelson::test;
using projections::Projection;
using projections::ProjectionHost;

namespace {

std::unique_ptr<ProjectionHost> open_host(TestStore& store, Topic& topic) {
  Projection totals("totals", 1);
  totals.schema(R"sql(
    CREATE TABLE totals (stream TEXT PRIMARY KEY, n INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
  )sql");
  totals.on_any_stream("t", R"sql(
    INSERT INTO totals VALUES (@stream, 1, @data)
    ON CONFLICT DO UPDATE SET n = n + 1, sum = sum + excluded.sum;
  )sql");
  auto registry = std::make_shared<projections::ProjectionRegistry>();
  registry->add(std::move(totals));
  projections::HostOptions options;
  options.folder = store.folder() + "/projections";
  auto host = ProjectionHost::open(store.environment(), topic, registry, options);
  if (!host) FAIL(host.error().message());
  (*host)->start();
  return *std::move(host);
}

void wait_for(ProjectionHost& host, const Position& position) {
  std::promise<void> applied;
  const auto waiting = host.when_applied("totals", position, [&] { applied.set_value(); });
  REQUIRE(waiting);
  REQUIRE(applied.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready);
}

std::string ask(ProjectionHost& host, const std::string& sql,
                const std::optional<Position>& at = std::nullopt) {
  const auto result = host.query("totals", sql, nullptr, at, {});
  return result ? result->rows_json : result.error().message();
}

}  // namespace

TEST_CASE("projections on a store: follow it, keep its past, and go on after a restart") {
  TestStore store;
  Topic* topic = &store.topic("bank", 3);
  auto host = open_host(store, *topic);
  const std::string sql = "SELECT count(*), sum(n), sum(sum) FROM totals";
  std::vector<std::pair<Position, std::string>> past;
  int sum = 0;
  for (int i = 1; i <= 120; ++i) {
    const std::string stream = "account-" + std::to_string(i % 40);
    sum += i;
    REQUIRE(commit(topic->home_of(stream), write_to(stream, {std::to_string(i)})));
    if (i == 60) {
      // Stopped and closed in its midst; events 61 to 80 are committed with no host at all.
      host.reset();
    }
    if (i == 80) {
      store.reopen();
      topic = &store.topic("bank", 3);
      host = open_host(store, *topic);
    }
    if (!host) continue;
    wait_for(*host, topic->end());
    const std::string now = "[[" + std::to_string(std::min(i, 40)) + "," + std::to_string(i) + "," +
                            std::to_string(sum) + "]]";
    REQUIRE(ask(*host, sql) == now);
    past.emplace_back(topic->end(), now);
  }
  for (const auto& [at, then] : past) REQUIRE(ask(*host, sql, at) == then);

  // Everything but the log can be deleted: what is built from it again is the same.
  const std::string rows = "SELECT * FROM totals ORDER BY stream";
  const std::string before = ask(*host, rows);
  host.reset();
  std::filesystem::remove_all(store.folder() + "/projections");
  host = open_host(store, *topic);
  wait_for(*host, topic->end());
  CHECK(ask(*host, rows) == before);
  for (const auto& [at, then] : past) REQUIRE(ask(*host, sql, at) == then);
  host.reset();
  store.close();
}

TEST_CASE("projections on a store: readers and writers at once never see half of a commit") {
  TestStore store;
  Topic& topic = store.topic("bank", 1);
  auto host = open_host(store, topic);
  // Two streams of one commit move by the same amount; but events are applied one by one, so only
  // the difference of one event may ever show, and every as-of answer must stay what it was.
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 300; ++i) {
      Commit both = write_to("account-1", {"1"});
      both.writes.push_back(write_to("account-2", {"1"}).writes[0]);
      CHECK(commit(topic.partition(PartitionId(0)), std::move(both)));
    }
    done = true;
  });
  const std::string sql = "SELECT coalesce(sum(n), 0), coalesce(sum(sum), 0) FROM totals";
  do {
    const auto now = host->query("totals", sql, nullptr, std::nullopt, {});
    REQUIRE(now);
    const std::string n = std::to_string(now->at.next(PartitionId(0)).value);
    REQUIRE(now->rows_json == "[[" + n + "," + n + "]]");
    REQUIRE(ask(*host, sql, now->at) == now->rows_json);
  } while (!done);
  writer.join();
  wait_for(*host, topic.end());
  CHECK(ask(*host, sql) == "[[600,600]]");
  host.reset();
}
