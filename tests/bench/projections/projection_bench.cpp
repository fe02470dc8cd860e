// Applying events with history beside the same upserts in bare SQLite; queries as of the past
// beside live ones. Every figure is of a bank: 4,500 accounts, balances and statements.
#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/io/posix_file_system.h"
#include "projections/projection.h"
#include "projections/projection_host.h"
#include "tests/bench/report.h"
#include "tests/projections/support/memory_topic.h"
#include "tests/support/temporary_folder.h"

using namespace keelson;
using namespace keelson::bench;
using projections::Projection;
using projections::ProjectionHost;

namespace {

constexpr int kAccounts = 4'500;

constexpr const char* kSchema = R"sql(
  CREATE TABLE balances (
    account_id TEXT PRIMARY KEY, owner TEXT NOT NULL, balance INTEGER NOT NULL,
    version INTEGER NOT NULL, updated_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX balances_by_owner ON balances (owner);
  CREATE TABLE statements (
    account_id TEXT, version INTEGER, amount INTEGER NOT NULL, balance_after INTEGER NOT NULL,
    booked_at TEXT NOT NULL,
    PRIMARY KEY (account_id, version)
  ) STRICT, WITHOUT ROWID;
)sql";

constexpr const char* kDeposit = R"sql(
  INSERT INTO balances
    VALUES (@stream_id, 'owner ' || substr(@stream_id, 1, 2), :amount, @version, @time)
    ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, version = excluded.version,
                              updated_at = excluded.updated_at;
  INSERT INTO statements SELECT account_id, version, :amount, balance, updated_at
    FROM balances WHERE account_id = @stream_id;
)sql";

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

std::unique_ptr<test::MemoryTopic> make_topic(int events) {
  auto topic = std::make_unique<test::MemoryTopic>();
  std::mt19937 random(7);
  for (int i = 0; i < events; ++i) {
    const int account = i < kAccounts ? i : static_cast<int>(random() % kAccounts);
    const std::string amount = std::to_string(random() % 100'000);
    topic->append("account-" + std::to_string(account), "deposited",
                  R"({"amount":)" + amount + R"(,"reference":"standing order"})");
  }
  return topic;
}

/// A host that has applied everything.
class Bank {
 public:
  explicit Bank(test::MemoryTopic& topic) {
    Projection bank("bank", 1);
    bank.schema(kSchema);
    bank.on("account", "deposited", kDeposit);
    auto registry = std::make_shared<projections::ProjectionRegistry>();
    registry->add(std::move(bank));
    projections::HostOptions options;
    options.folder = folder_.path();
    auto opened =
        ProjectionHost::open({files_, clock_, random_, scheduler_}, topic, registry, options);
    if (!opened) give_up(opened.error().message());
    host_ = std::move(*opened);
    host_->start();
    scheduler_.run();
  }

  void query(const std::string& sql, const nlohmann::json& params,
             const std::optional<Position>& at) {
    const auto result = host_->query("bank", sql, params, at, {});
    if (!result) give_up(result.error().message());
    if (result->row_count == 0) give_up("no rows: " + sql);
  }

 private:
  test::TemporaryFolder folder_;
  io::PosixFileSystem files_;
  SystemClock clock_;
  SystemRandom random_;
  test::ManualScheduler scheduler_;
  std::unique_ptr<ProjectionHost> host_;
};

void check(sqlite3* database, int code) {
  if (code != SQLITE_OK && code != SQLITE_DONE) give_up(sqlite3_errmsg(database));
}

/// The same statements, prepared once, in transactions of 10,000 events; no history, and parsing
/// the same JSON, because that is part of applying an event.
double apply_bare(test::MemoryTopic& topic) {
  const test::TemporaryFolder folder;
  sqlite3* database = nullptr;
  check(database, sqlite3_open((folder.path() + "/bare.db").c_str(), &database));
  const auto run = [&](const char* sql) {
    check(database, sqlite3_exec(database, sql, nullptr, nullptr, nullptr));
  };
  run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384");
  run(kSchema);
  sqlite3_stmt* statements[2] = {};
  const char* sql = kDeposit;
  for (auto& statement : statements) {
    check(database, sqlite3_prepare_v2(database, sql, -1, &statement, &sql));
  }
  const double taken = seconds([&] {
    run("BEGIN");
    auto cursor = *topic.memory().read(Offset(0));
    for (int i = 1;; ++i) {
      const auto event = *cursor->next();
      if (!event) break;
      const auto amount = nlohmann::json::parse(event->data)["amount"].get<std::int64_t>();
      for (sqlite3_stmt* statement : statements) {
        const auto index = [&](const char* name) {
          return sqlite3_bind_parameter_index(statement, name);
        };
        const std::string_view id = event->stream.substr(8);
        sqlite3_bind_text(statement, index("@stream_id"), id.data(), int(id.size()),
                          SQLITE_TRANSIENT);
        sqlite3_bind_int64(statement, index(":amount"), amount);
        sqlite3_bind_int64(statement, index("@version"), std::int64_t(event->version.value));
        sqlite3_bind_text(statement, index("@time"), "2023-11-14T22:13:20.000000Z", 27,
                          SQLITE_STATIC);
        check(database, sqlite3_step(statement));
        sqlite3_reset(statement);
      }
      if (i % 10'000 == 0) run("COMMIT; BEGIN");
    }
    run("COMMIT");
  });
  for (sqlite3_stmt* statement : statements) sqlite3_finalize(statement);
  sqlite3_close(database);
  return taken;
}

double apply_with_history(test::MemoryTopic& topic) {
  return seconds([&] { const Bank bank(topic); });
}

void measure_apply(int events, int runs) {
  auto topic = make_topic(events);
  const auto [value, limit] = paired(
      runs, [&] { return events / apply_with_history(*topic); },
      [&] { return events / apply_bare(*topic); });
  report("projection.history", value, "events/s", limit,
         "two upserts an event with history; limit: the same SQL in bare SQLite without");
}

/// A bank of `events`, asked about its past and its present.
class History {
 public:
  explicit History(int events) : topic_(make_topic(events)), bank_(*topic_) {
    half_.set_next(PartitionId(0), Offset(static_cast<std::uint64_t>(events / 2)));
  }

  /// Queries a second as of half the log.
  double past(const std::string& sql, int times, bool by_key) {
    return rate(sql, times, by_key, half_);
  }

  double present(const std::string& sql, int times, bool by_key) {
    return rate(sql, times, by_key, std::nullopt);
  }

 private:
  double rate(const std::string& sql, int times, bool by_key, const std::optional<Position>& at) {
    int account = 0;
    return times / seconds([&] {
             for (int i = 0; i < times; ++i) {
               account = (account + 7) % kAccounts;
               bank_.query(sql, by_key ? nlohmann::json{std::to_string(account)} : nlohmann::json(),
                           at);
             }
           });
  }

  std::unique_ptr<test::MemoryTopic> topic_;
  Bank bank_;
  Position half_{1};
};

void measure_queries(History& history, const Arguments& arguments) {
  const auto compare = [&](const std::string& name, const std::string& sql, int times, bool by_key,
                           const std::string& what) {
    if (!arguments.wants(name)) return;
    const auto [value, limit] = paired(
        arguments.runs(), [&] { return history.past(sql, times, by_key); },
        [&] { return history.present(sql, times, by_key); });
    report(name, value, "queries/s", limit, what + " as of half the log; limit: the same now");
  };
  compare("asof.point", "SELECT balance FROM balances WHERE account_id = ?", 5'000, true,
          "one balance by its key");
  compare("asof.table", "SELECT * FROM balances", 20, false, "all 4,500 balances");
  compare("asof.index", "SELECT count(*) FROM balances WHERE owner = 'owner 12'", 500, false,
          "110 balances by an index");
  compare("asof.join",
          "SELECT count(*), sum(s.amount) FROM balances b JOIN statements s USING (account_id) "
          "WHERE b.owner = 'owner 12'",
          50, false, "statements of 110 accounts");
}

void measure_scan(History& history, int events, int runs) {
  const std::string sql = "SELECT sum(balance) FROM balances";
  constexpr int kTimes = 50;
  const auto us_a_key = [](double queries) { return 1e6 / queries / kAccounts; };
  History shorter(events / 10);
  const auto [value, brief] = paired(
      runs, [&] { return us_a_key(history.past(sql, kTimes, false)); },
      [&] { return us_a_key(shorter.past(sql, kTimes, false)); });
  const double now = median(runs, [&] { return us_a_key(history.present(sql, kTimes, false)); });
  const auto text = [](double us) { return std::to_string(us).substr(0, 4); };
  report("asof.scan", value, "us/key", 3,
         "the sum of all 4,500 balances as of half of " + std::to_string(events) + " events; now " +
             text(now) + ", of a tenth of the history " + text(brief) + "; limit: what is asked");
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  const int events = arguments.quick() ? 50'000 : 200'000;
  if (arguments.wants("projection.history")) measure_apply(events, arguments.runs());
  History history(events);
  measure_queries(history, arguments);
  if (arguments.wants("asof.scan")) measure_scan(history, events, arguments.runs());
  return 0;
}
